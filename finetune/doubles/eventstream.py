"""Amazon's event stream: the frames in which Bedrock sends a reply as it comes."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

_TEXT = 7
"""Type of a header whose value is a text."""


def event(name: str, value: Mapping[str, Any]) -> bytes:
    """Return one event as a frame: lengths and their checksum, headers, body, checksum of all."""
    headers = b"".join(
        _header(key, text)
        for key, text in (
            (":event-type", name),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    body = json.dumps(value).encode()
    head = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    frame = head + struct.pack(">I", zlib.crc32(head)) + headers + body
    return frame + struct.pack(">I", zlib.crc32(frame))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _TEXT, len(text)) + text
