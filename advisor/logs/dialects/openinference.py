"""Phoenix: spans of its API, tables of spans, and annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from advisor.logs.dialects.messages import unwrap
from advisor.logs.dialects.span_calls import read_span, scored
from advisor.logs.dialects.spans import span_of
from advisor.logs.records import Call, Note, Skip


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record is a Phoenix span, a row of its table, or an annotation."""
    if "annotator_kind" in record and ("span_id" in record or "result" in record):
        return True
    return (
        "context.span_id" in record or isinstance(record.get("context"), Mapping)
    ) and "span_kind" in record


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call or note of one record."""
    if "annotator_kind" in record and "attributes" not in record and "context" not in record:
        ids = tuple(str(record[k]) for k in ("span_id", "trace_id", "session_id") if record.get(k))
        yield (
            Note(line=line, ids=ids, parts={"feedback": (scored(record),)})
            if ids
            else Skip(file="", line=line, reason="an annotation that names no span")
        )
        return
    span = span_of(record)
    found: list[Call | Note | Skip] = list(read_span(span, line))
    given = unwrap(record.get("annotations"))
    scores = tuple(scored(a) for a in given if isinstance(a, Mapping)) if isinstance(given, list) else ()
    if scores and span.span_id:
        found.append(Note(line=line, ids=(span.span_id,), parts={"feedback": scores}))
    yield from found or [Skip(file="", line=line, reason=f"a span without words ({record.get('span_kind')})")]
