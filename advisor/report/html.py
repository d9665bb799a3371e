"""The report: one HTML file that needs nothing else, neither a network nor a font.

A policy in its head forbids every load and every script but its own six lines, so that log text which slipped
through the escaping could still do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files

from advisor.report.cards import plan_section
from advisor.report.listing import issues_section
from advisor.report.markup import Pen, esc
from advisor.report.overview import overview
from advisor.report.sources import sources_section
from advisor.report.words import percent
from advisor.result import Result


def render(result: Result, *, mask: bool = True, title: str = "What went wrong, and what to do") -> str:
    """Return a result as a self-contained HTML page.

    Args:
        result: What a run found.
        mask: Whether e-mail addresses, phone, card and account numbers, IP addresses and keys are masked.
        title: The page's heading.
    """
    pen = Pen(mask=mask)
    failed = percent(result.failed.value) if result.failed.total else "nothing"
    sections = (
        ("plan", "What to do, in this order", plan_section(result, pen)),
        ("issues", "Issues, largest first", issues_section(result, pen)),
        ("read", "What was read", sources_section(result, pen)),
    )
    links = "".join(f'<a href="#{key}">{words}</a>' for key, words, _ in sections)
    main = "".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{words}</h2>{body}</section>'
        for key, words, body in sections
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{_head(f"{failed} failed · {title}")}</head><body>'
        f'<a class="skip" href="#plan">Skip to the plan</a>'
        f'<header class="top"><h1>{esc(title)}</h1><nav aria-label="Parts of the report">{links}</nav></header>'
        f"<main>{overview(result, pen)}{main}</main>{_foot(result, mask=mask)}<script>{_resource('script.js')}</script></body></html>\n"
    )


@lru_cache(maxsize=4)
def _resource(name: str) -> str:
    return files("advisor.report").joinpath(name).read_text(encoding="utf-8").strip()


def _head(title: str) -> str:
    digest = base64.b64encode(hashlib.sha256(_resource("script.js").encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{esc(title)}</title><style>{_resource('style.css')}</style>"
    )


def _foot(result: Result, *, mask: bool) -> str:
    masked = (
        "E-mail addresses, phone, card and account numbers, IP addresses and keys are masked; names and postal addresses are not."
        if mask
        else "Personal data is not masked in this copy."
    )
    return (
        f"<footer><p>Plan <code>{esc(result.plan.hash)}</code>. {masked}</p>"
        "<p>Intervals are Wilson 95% intervals. A diagnosis is inferred from the log unless it says that a probe confirmed it.</p></footer>"
    )
