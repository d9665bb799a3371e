"""Webhook: an address is told what is new; what could not be sent is kept and sent with the next run."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from advisor.state import State

_TIMEOUT_S = 10


def notify(state: State, url: str, message: Mapping[str, Any]) -> str | None:
    """Send a message and what waits before it, the oldest first; return why not, None if all was sent.

    A message is written down before it is sent and forgotten once it was taken, so it may come twice and is never lost.
    """
    state.note_unsent(message)
    for number, body in state.unsent():
        fault = _posted(url, body)
        if fault is not None:
            return fault
        state.sent(number)
    return None


def _posted(url: str, body: Mapping[str, Any]) -> str | None:
    data = json.dumps(body, ensure_ascii=False).encode()
    request = urllib.request.Request(
        url, data=data, headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        return f"{url} answered {error.code} {error.reason}"
    except (urllib.error.URLError, TimeoutError, OSError, ValueError) as error:
        return f"{url} cannot be reached: {getattr(error, 'reason', error)}"
