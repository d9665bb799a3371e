"""`read`: files in, Exchanges out, and an account of everything that was met on the way."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from advisor.exchange import Exchange, Source
from advisor.logs.assemble import assemble, place
from advisor.logs.containers import Item, items
from advisor.logs.dialects import Dialect, detect
from advisor.logs.feedback import number_of, resolve
from advisor.logs.fieldmap import FieldMap
from advisor.logs.files import UNREADABLE, expand, open_bytes
from advisor.logs.records import Call, Note, Skip
from advisor.logs.spool import Spool

_KEPT_SKIPS = 1000
_REPORT_EVERY = 1000


@dataclass(slots=True)
class Counts:
    """What was met. `records` = read + skipped; every call ends in an exchange, a duplicate or a repetition.

    Attributes:
        files: Files opened.
        bytes: Their size on disk; stdin counts 0.
        records: Records found in them.
        read: Records that a reader took.
        skipped: Records and files that could not be read.
        calls: Model calls in the records.
        notes: Scores, retriever spans and the like that speak of calls.
        joined: Notes that found their call.
        exchanges: Exchanges made.
        duplicates: Identical records collapsed into them.
        dialects: Records by dialect.
    """

    files: int = 0
    bytes: int = 0
    records: int = 0
    read: int = 0
    skipped: int = 0
    calls: int = 0
    notes: int = 0
    joined: int = 0
    exchanges: int = 0
    duplicates: int = 0
    dialects: Counter[str] = field(default_factory=Counter)


class Reading:
    """Iterate it once for the Exchanges; afterwards it knows what was skipped, and why.

    Attributes:
        counts: What was met so far.
        skips: The first 1,000 things that could not be read.
        unknown_scores: Names of scores whose direction is not known; they were not used.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        field_map: FieldMap | None,
        on_progress: Callable[[Counts], None] | None,
    ) -> None:
        # Sorted, because what comes first breaks ties; the order on a command line means nothing.
        self._names = sorted(expand(paths))
        self._map = field_map
        self._progress = on_progress or (lambda counts: None)
        self.counts = Counts()
        self.skips: list[Skip] = []
        self.unknown_scores: set[str] = set()
        self._values: dict[str, set[float]] = {}

    def __iter__(self) -> Iterator[Exchange]:
        spool = Spool()
        try:
            for name in self._names:
                self._file(name, spool)
            for raw in assemble(spool):
                exchange = self._decided(raw)
                self.counts.exchanges += 1
                self.counts.duplicates += exchange.copies - 1
                if self.counts.exchanges % _REPORT_EVERY == 0:
                    self._progress(self.counts)
                yield exchange
            self.counts.joined = spool.joined()
        finally:
            spool.close()

    def _file(self, name: str, spool: Spool) -> None:
        self.counts.files += 1
        line = 0
        try:
            if name != "-":
                self.counts.bytes += Path(name).stat().st_size
            with open_bytes(name) as stream:
                dialects: tuple[Dialect, ...] = ()
                for item in items(stream):
                    line = item.line
                    dialects = self._item(name, item, spool, dialects)
        except UNREADABLE as error:
            self.counts.records += 1
            self._skip(Skip(file=name, line=line + 1, reason=f"cannot be read further: {_first_line(error)}"))

    def _item(self, name: str, item: Item, spool: Spool, last: tuple[Dialect, ...]) -> tuple[Dialect, ...]:
        self.counts.records += 1
        if self.counts.records % _REPORT_EVERY == 0:
            self._progress(self.counts)
        if item.problem:
            self._skip(Skip(file=name, line=item.line, reason=item.problem, keys=_keys(item.record)))
            return last
        if not isinstance(item.record, Mapping):
            self._skip(
                Skip(file=name, line=item.line, reason=f"a bare {type(item.record).__name__}, not a record")
            )
            return last
        try:
            return self._record(name, item, spool, last)
        except RecursionError:
            reason = "nested too deeply to be a chat"
        except Exception as error:  # One odd record must not cost the reading of a million others.
            reason = f"the reader failed on it, please report: {type(error).__name__}: {_first_line(error)}"
        self._skip(Skip(file=name, line=item.line, reason=reason, keys=_keys(item.record)))
        return last

    def _record(self, name: str, item: Item, spool: Spool, last: tuple[Dialect, ...]) -> tuple[Dialect, ...]:
        if self._map is not None and self._map.fits(item.record):
            self._take(name, item.line, "field-map", self._map.read(item.record, item.line), spool)
            return last
        dialect = detect(item.record, text=item.kind == "text", first=last)
        if dialect is None:
            reason = "no chat in it that any reader knows; name its fields with --map or logs.field_map"
            self._skip(Skip(file=name, line=item.line, reason=reason, keys=_keys(item.record)))
            return last
        self._take(name, item.line, dialect.name, dialect.read(item.record, item.line), spool)
        return (dialect,)

    def _take(
        self, name: str, line: int, dialect: str, found: Iterable[Call | Note | Skip], spool: Spool
    ) -> None:
        taken, reason = False, "nothing said in it"
        keys: tuple[str, ...] = ()
        for part in found:
            if isinstance(part, Skip):
                reason, keys = part.reason, part.keys
            else:
                self._keep(part, Source(file=name, line=part.line, dialect=dialect), spool)
                taken = True
        if taken:
            self.counts.read += 1
            self.counts.dialects[dialect] += 1
        else:
            self._skip(Skip(file=name, line=line, reason=f"{dialect}: {reason}", keys=keys))

    def _keep(self, part: Call | Note, source: Source, spool: Spool) -> None:
        if isinstance(part, Note):
            spool.add_note(part)
            self.counts.notes += 1
            self._values_of(part.parts.get("feedback", ()))
        else:
            place(part, source, spool)
            self.counts.calls += 1
            self._values_of(part.feedback)

    def _values_of(self, given: Iterable[Any]) -> None:
        for f in given:
            number = number_of(f)
            if number is not None:
                # The least and the greatest value of a column show its scale.
                seen = self._values.get(f.name, {number})
                self._values[f.name] = {min(number, *seen), max(number, *seen)}

    def _decided(self, exchange: Exchange) -> Exchange:
        if not exchange.feedback:
            return exchange
        given = tuple(resolve(f, self._values) for f in exchange.feedback)
        self.unknown_scores.update(f.name for f in given if f.polarity is None and f.value)
        return replace(exchange, feedback=given) if given != exchange.feedback else exchange

    def _skip(self, skip: Skip) -> None:
        self.counts.skipped += 1
        if len(self.skips) < _KEPT_SKIPS:
            self.skips.append(skip)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__


def _keys(record: Any) -> tuple[str, ...]:
    return tuple(str(k)[:60] for k in list(record)[:20]) if isinstance(record, Mapping) else ()


def read(
    paths: Iterable[str | os.PathLike[str]],
    *,
    field_map: FieldMap | Mapping[str, str] | None = None,
    on_progress: Callable[[Counts], None] | None = None,
) -> Reading:
    """Read files, folders, globs or `-` (stdin); iterate the result for Exchanges.

    Args:
        paths: What to read, in any order; the order changes nothing.
        field_map: Where an unknown shape keeps its fields, see `advisor.logs.fieldmap`.
        on_progress: Called now and then with the counts so far.

    Raises:
        InputError: A path names nothing, or the field map names an unknown field.
    """
    if field_map is not None and not isinstance(field_map, FieldMap):
        field_map = FieldMap.of(field_map)
    return Reading(paths, field_map=field_map, on_progress=on_progress)
