"""Containers: what a file is on the outside, told from its content, and its records streamed out of it.

Whatever the size of the file, one record is in memory at a time; a single JSON document that is no list is the
one exception.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

import ijson
import orjson

from advisor.logs.files import SNIFF, Chunks, PushedBack, encoding_of
from advisor.logs.json_text import are_lines, holds, parsed, several

_PAGE_KEYS = (
    "data",
    "events",
    "items",
    "results",
    "records",
    "conversations",
    "traces",
    "spans",
    "rows",
    "logs",
    "runs",
)
_PAGE_ABOUT = {
    "object",
    "has_more",
    "first_id",
    "last_id",
    "next_cursor",
    "meta",
    "total",
    "type",
    "pages",
    "total_count",
    "nextToken",
    "status",
}
_WHOLE_LIMIT = 64 * 2**20
_LINE_LIMIT = 256 * 2**20
csv.field_size_limit(2**31 - 1)


class Item(NamedTuple):
    """One record, or a text, or the reason why there is none.

    Attributes:
        line: 1-based line, or index of the record in its list.
        record: A mapping; `{"text": str}` under `kind` "text".
        problem: Why it could not be read, empty if it could.
    """

    line: int
    record: Any
    problem: str = ""
    kind: str = "record"


def items(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of an opened file, whatever container it is."""
    head = _peek(stream)
    if not head.strip():
        return
    if head[:4] == b"PAR1":
        yield from _table("parquet", stream)
    elif head[:4] == b"PK\x03\x04":
        yield from _table("xlsx", stream)
    elif b"\x00" in head[:1024] and encoding_of(head) not in ("utf-16", "utf-32"):
        yield Item(1, None, "binary data in no form that is read here")
    else:
        yield from _text(stream, head)


def _peek(stream: BinaryIO) -> bytes:
    peek = getattr(stream, "peek", None)
    return bytes(peek(SNIFF)[:SNIFF]) if peek else b""


def _table(kind: str, stream: BinaryIO) -> Iterator[Item]:
    try:
        module = import_module(f"advisor.logs.{kind}")
    except ImportError:
        yield Item(1, None, f"{kind} needs an extra: pip install 'rightfix[tables]'")
        return
    line = 0
    try:
        for line, row in module.rows(stream):
            yield Item(line, row)
    except Exception as error:  # What a foreign parser raises on broken bytes is anybody's guess.
        yield Item(line + 1, None, f"not a readable {kind} file: {_short(error)}")


def _text(stream: BinaryIO, head: bytes) -> Iterator[Item]:
    encoding = encoding_of(head)
    start = head.decode(encoding, errors="replace").lstrip("\ufeff \t\r\n")
    if start[:1] == "[" and not are_lines(start):
        yield from _array(_utf8(stream, encoding))
    elif are_lines(start):
        yield from _lines(_utf8(stream, encoding))
    elif start[:1] == "{":
        yield from _objects(_utf8(stream, encoding))
    else:
        text = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
        try:
            yield from _plain(text, start)
        finally:
            # The stream is closed by the one who opened it.
            if not stream.closed:
                text.detach()


def _utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    if encoding in ("utf-8", "utf-8-sig"):
        if encoding == "utf-8-sig":
            stream.read(3)
        return stream
    return io.BytesIO(stream.read().decode(encoding, errors="replace").lstrip("\ufeff").encode())


def _array(stream: BinaryIO) -> Iterator[Item]:
    """A JSON array, record by record; or a text that merely starts with a bracket."""
    whole = stream.read(_WHOLE_LIMIT + 1)
    if len(whole) <= _WHOLE_LIMIT:
        try:
            value = parsed(whole)
        except ValueError:
            yield from _broken_array(whole)
            return
        yield from _list(value)
        return
    line = 0
    try:
        for value in ijson.items(Chunks(_pieces(whole, stream)), "item", use_float=True):
            line += 1
            yield _item(line, value)
    except (ijson.JSONError, UnicodeError) as error:
        yield Item(line + 1, None, f"the JSON array breaks off here: {_short(error)}")


def _pieces(whole: bytes, stream: BinaryIO) -> Iterator[bytes]:
    return chain([whole], iter(lambda: stream.read(2**20), b""))


def _list(value: Any) -> Iterator[Item]:
    if isinstance(value, list) and not _is_conversation(value) and not _is_from_value(value):
        for line, record in enumerate(value, 1):
            yield _item(line, record)
    else:
        yield _item(1, value)


def _item(line: int, value: Any) -> Item:
    """A record; a bare list of messages is put under the key that it has in other logs."""
    if isinstance(value, list):
        if _is_conversation(value):
            value = {"messages": value}
        elif _is_from_value(value):
            value = {"conversations": value}
    return Item(line, value)


def _is_conversation(value: list[Any]) -> bool:
    """Whether a list is one list of messages (not a list of records)."""
    if not value or not all(isinstance(v, Mapping) for v in value):
        return False
    first = value[0]
    if "role" in first:
        return ("content" in first or "parts" in first or "tool_calls" in first) and "messages" not in first
    spoken = first.get("type") in ("human", "ai", "system", "tool") and (
        "content" in first or "data" in first
    )
    return spoken or (first.get("lc") == 1 and "kwargs" in first)


def _is_from_value(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(v, Mapping) and "from" in v and "value" in v for v in value)


def _broken_array(whole: bytes) -> Iterator[Item]:
    good, inner = 0, whole.lstrip()[1:].lstrip()[:1]
    if inner not in (b"{", b"[", b'"', b""):
        # A time or a name in brackets, with which the lines of a transcript begin.
        text = whole.decode("utf-8", errors="replace")
        yield from _plain(io.StringIO(text, newline=""), text[:SNIFF])
        return
    try:
        for value in ijson.items(io.BytesIO(whole), "item", use_float=True):
            good += 1
            yield _item(good, value)
    except (ijson.JSONError, UnicodeError) as error:
        yield Item(good + 1, None, f"the JSON array breaks off here: {_short(error)}")


def _objects(stream: BinaryIO) -> Iterator[Item]:
    """JSON Lines, or one (pretty-printed) object, or several pretty-printed ones after another."""
    line, first = _row(stream, 0)
    try:
        value = parsed(first)
    except ValueError:
        yield from _first_broken(line, first, stream)
        return
    after, rest = _row(stream, line)
    if not rest:
        yield from _value_items(line, value)
        return
    yield _item(line, value)
    yield from _lines(PushedBack(rest, stream), line=after - 1)


def _row(stream: BinaryIO, line: int) -> tuple[int, bytes]:
    """The next row that is not empty and its number, b"" at the end."""
    row = stream.readline(_LINE_LIMIT)
    line += 1
    while row and not row.strip():
        row = stream.readline(_LINE_LIMIT)
        line += 1
    return line, row


def _first_broken(line: int, first: bytes, stream: BinaryIO) -> Iterator[Item]:
    """The first row is no object: the first of a pretty-printed one, or a broken one with whole ones behind it."""
    second = stream.readline(_LINE_LIMIT)
    if (
        second.lstrip()[:1] == b"{"
        and second.rstrip()[-1:] == b"}"
        and holds(second.decode(errors="replace"))
    ):
        yield Item(line, None, "not valid JSON; the rest of the file goes on")
        yield from _lines(PushedBack(second, stream), line=line)
        return
    yield from _pretty(first + second, stream)


def _lines(stream: Any, *, line: int = 0) -> Iterator[Item]:
    while raw := stream.readline(_LINE_LIMIT):
        line += 1
        if not raw.strip():
            continue
        try:
            value = parsed(raw)
        except ValueError as error:
            yield from _broken_row(line, raw, error)
            continue
        yield _item(line, value)


def _broken_row(line: int, raw: bytes, error: ValueError) -> Iterator[Item]:
    try:
        values = several(raw)
    except ValueError:
        yield Item(line, None, f"not valid JSON: {_short(error)}")
        return
    for value in values:
        yield _item(line, value)


def _value_items(line: int, value: Any) -> Iterator[Item]:
    """A page of an API or a wrapper of one list gives its records, any other value itself."""
    if isinstance(value, dict):
        pages = [
            k
            for k in _PAGE_KEYS
            if isinstance(value.get(k), list)
            and value[k]
            and all(isinstance(v, dict | list) for v in value[k])
        ]
        for key in pages:
            if _is_from_value(value[key]):
                continue
            if key == "events" and "message" in value[key][0] and "timestamp" in value[key][0]:
                for index, event in enumerate(value[key], 1):
                    yield from _event(index, event)
                return
            others = set(value) - {key} - _PAGE_ABOUT
            if not others:
                yield from _list(value[key])
                return
    yield _item(line, value)


def _event(index: int, event: Any) -> Iterator[Item]:
    """CloudWatch wraps each record in a string."""
    try:
        yield Item(index, orjson.loads(event["message"]))
    except (orjson.JSONDecodeError, TypeError, KeyError):
        yield Item(index, event)


def _pretty(start: bytes, stream: BinaryIO) -> Iterator[Item]:
    """Concatenated pretty-printed JSON values; ijson reads them one by one."""
    whole = start + stream.read(max(0, _WHOLE_LIMIT - len(start)))
    rest = stream.read(1)
    if not rest:
        try:
            value = parsed(whole)
        except ValueError:
            pass
        else:
            yield from _value_items(1, value)
            return
    found, numbers = 0, _line_numbers(whole)
    try:
        for value in ijson.items(
            Chunks(_pieces(whole + rest, stream)), "", multiple_values=True, use_float=True
        ):
            found += 1
            yield _item(next(numbers), value)
    except (ijson.JSONError, UnicodeError) as error:
        if found or start.lstrip()[:2] in (b'{"', b"{\n", b"{\r", b"{ "):
            yield Item(next(numbers), None, f"not valid JSON: {_short(error)}")
        else:
            text = whole.decode("utf-8", errors="replace")
            yield from _plain(io.StringIO(text, newline=""), text[:SNIFF])


def _line_numbers(whole: bytes) -> Iterator[int]:
    """The lines on which the top-level objects start, as far as they start lines; good enough to find them by."""
    line, position = 1, 0
    yield line
    while (found := whole.find(b"\n{", position)) >= 0:
        line += whole.count(b"\n", position, found + 1)
        position = found + 1
        yield line
    while True:
        yield line


def _plain(text: Any, start: str) -> Iterator[Item]:
    dialect = _csv_dialect(start)
    if dialect is None:
        body = text.read(_WHOLE_LIMIT)
        yield Item(1, {"text": body}, kind="text")
        if text.read(1):
            yield Item(
                1, None, f"only the first {_WHOLE_LIMIT // 2**20} MB of a transcript are read; split the file"
            )
        return
    reader = csv.reader(text, delimiter=dialect, quotechar='"')
    try:
        # Empty rows may stand above the header.
        header = [h.strip().lstrip("\ufeff") for h in next((row for row in reader if any(row)), [])]
        for row in reader:
            if any(cell.strip() for cell in row):
                problem = "" if len(row) <= len(header) else f"{len(row)} cells under {len(header)} columns"
                yield Item(
                    reader.line_num, dict(zip(header, row, strict=False)) if not problem else None, problem
                )
    except csv.Error as error:
        yield Item(reader.line_num, None, f"not readable as a table: {error}")


def _csv_dialect(start: str) -> str | None:
    """Return the delimiter if the text is a table with a header of short names, else None."""
    for delimiter in ("\t", ";", ",", "|"):
        rows = _rows(start, delimiter)
        names = [name.strip() for name in rows[0]] if rows else []
        if len(names) < 2 or _speaks(names[0]) or len({n.lower() for n in names}) < 0.9 * len(names):
            continue
        if not all(0 < len(n) <= 80 and len(n.split()) <= 5 for n in names):
            continue
        fitting = sum(len(row) == len(names) for row in rows[1:])
        if len(rows) > 1 and fitting >= 0.6 * (len(rows) - 1):
            return delimiter
    return None


def _rows(start: str, delimiter: str) -> list[list[str]]:
    """The rows that a text has if it is a table, without the last one where that may go on; none if it is no table."""
    try:
        rows = [row for row in csv.reader(io.StringIO(start, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        return []
    return rows if len(rows) < 3 or start.endswith(("\n", "\r")) else rows[:-1]


def _speaks(name: str) -> bool:
    return ":" in name or name.strip().endswith(("?", "!", "."))


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
