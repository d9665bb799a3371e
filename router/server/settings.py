"""Settings of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the server allows, and how long it waits.

    Attributes:
        at_once: Replies in the making at a time; more get 429.
        tenant_at_once: Likewise for one tenant, so that nobody takes all of it.
        per_minute: Requests a minute of one tenant; None for any number.
        body_bytes: Largest request.
        timeout_s: Longest time from a request that has come to the last word of its reply.
        read_s: Longest time in which head and body of a request must have come.
        grace_s: Longest wait for replies under way when the server stops.
        origins: Web origins other than the server's own whose pages may ask, for instance `https://shop.example`.
        title: Heading of the chat in the browser; None for no such page.
    """

    at_once: int = 64
    tenant_at_once: int = 48
    per_minute: int | None = 600
    body_bytes: int = 2**20
    timeout_s: float = 120.0
    read_s: float = 10.0
    grace_s: float = 30.0
    origins: tuple[str, ...] = ()
    title: str | None = "Chat"
