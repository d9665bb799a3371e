"""Webhook: an address is told what is new; what could not be sent is kept and sent with the next run."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from advisor.state import State

_TIMEOUT_S = 10
_FOR_GOOD = frozenset({400, 413, 422})
"""Answers about the message itself: it would be refused again."""


def send(state: State, url: str) -> Iterator[str]:
    """Send the messages that wait, the oldest first; yield why one could not be sent.

    A message is forgotten once it was taken, so it may come twice, and it is lost only where the address refuses what it says.
    """
    for number, body in state.unsent():
        code, fault = _posted(url, body)
        if not fault or code in _FOR_GOOD:
            state.sent(number)
        if fault:
            yield f"{fault}; it is {'not sent again' if code in _FOR_GOOD else 'sent with the next run'}"
        if fault and code is None:
            return  # nobody is there: the others would wait in vain


def _posted(url: str, body: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return what the address answered, None if it did not, and why the message was not taken; empty if it was."""
    data = json.dumps(body, ensure_ascii=False).encode()
    try:
        request = urllib.request.Request(
            url, data=data, headers={"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, f"{url} answered {error.code} {error.reason}"
    except (http.client.HTTPException, OSError, ValueError) as error:
        return None, f"{url} (`run.webhook`) cannot be reached: {getattr(error, 'reason', error)!s}".strip()
