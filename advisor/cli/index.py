"""`advise index`: the index of the operator's pages."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from advisor import config as settings
from advisor.cli.declaring import Actions, actions, common, loaded, nothing
from advisor.cli.faults import told
from advisor.cli.progress import Line
from advisor.logs.files import InputError
from rag.building import Progress
from rag.documents import Document, day
from rag.hits import Hit
from rag.index import Index
from rag.loading import load
from rag.manifest import Manifest
from rag.settings import Chunking, Retrieval, Settings
from rag.visibility import Filter
from router.live import Live
from router.releases import Releases

_SHRINKS = 0.5
"""Share of documents that may vanish in one update without `--yes`: a mistyped path looks like that."""
_SHOWN_SKIPS = 10


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions(parser, _ACTIONS, _common)


def _common(parser: argparse.ArgumentParser) -> None:
    common(parser)
    parser.add_argument(
        "--index", type=Path, metavar="FOLDER", help="the index (default: `index` in the state folder)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    config = loaded(args)
    with told(), opened(args, config) as index:
        _ACTIONS[args.action][0](args, config, index)
    return 0


@contextmanager
def opened(args: argparse.Namespace, config: settings.Config) -> Iterator[Index]:
    """Open the index that arguments and settings name; embedder and store are those of its live version unless it is built."""
    own = config.index
    building = args.action in ("build", "update")
    embedder = getattr(args, "embedder", None) or (None if own.embedder == "auto" else own.embedder)
    store = getattr(args, "store", None) or (None if own.store == "auto" else own.store)
    folder = args.index or own.folder or config.state / "index"
    with Index(
        folder, embedder=embedder if building else None, store=store if args.action == "build" else None
    ) as index:
        yield index


# What each action declares and does


def _build_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="*",
        type=Path,
        metavar="SOURCE",
        help="files, folders, a sitemap.xml; `index.sources` unless given",
    )
    parser.add_argument(
        "--embedder",
        metavar="NAME",
        help="static, minilm, sentence-transformers:NAME, openai:MODEL, bedrock:MODEL",
    )
    parser.add_argument("--store", metavar="NAME", help="memory, chroma, chroma:http://host:8000")
    _loading_options(parser)


def _update_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", nargs="*", type=Path, metavar="SOURCE",
        help="pages to add or replace; without any, all sources of the build are read again and pages that are gone are removed",
    )  # fmt: skip
    parser.add_argument(
        "--remove", action="append", default=[], metavar="ID", help="document to remove; may be repeated"
    )
    _loading_options(parser)


def _loading_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", help="the one customer that may see these pages")
    parser.add_argument(
        "--access",
        action="append",
        metavar="TAG",
        help="tag an asker must hold to see these pages; may be repeated",
    )
    parser.add_argument("--language", metavar="TAG", help="language of pages that do not say so themselves")
    parser.add_argument("--yes", action="store_true", help="go on even if most pages would vanish")
    parser.add_argument(
        "--no-live", action="store_true", help="do not make the new version live yet; `rollback --to ID` does"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _build(args: argparse.Namespace, config: settings.Config, index: Index) -> None:
    sources = tuple(args.sources) or config.index.sources or config.documents
    if not sources:
        raise InputError("nothing to build from; name files or folders, or set `index.sources`")
    _synced(args, config, index, sources)


def _synced(args: argparse.Namespace, config: settings.Config, index: Index, sources: Sequence[Path]) -> None:
    documents, skipped = _loaded(args, sources)
    before = index.live.version
    held = _held(index)
    gone = held - {d.id for d in documents}
    if held and len(gone) > _SHRINKS * len(held) and not args.yes:
        raise InputError(f"{len(gone)} of {len(held)} pages would vanish; if that is meant, say --yes")
    own = config.index
    wanted = Settings(
        chunking=Chunking(max_tokens=own.max_tokens, context=own.context, filterable=tuple(own.filterable)),
        retrieval=Retrieval(k=own.k, dense=own.dense, per_document=own.per_document, expand=own.expand, reranker=own.reranker),
    )  # fmt: skip
    with Line(show=not args.quiet and sys.stderr.isatty()) as line:
        made = index.build(
            documents,
            settings=None if before else wanted,
            sources=[str(s) for s in sources],
            live=not args.no_live,
            on_progress=_shown(line),
        )
    _report(args, index, made, before, skipped)


def _update(args: argparse.Namespace, config: settings.Config, index: Index) -> None:
    before = index.live.version
    if before is None:
        raise InputError("no index here yet; build one with `advise index build`")
    if not args.sources and not args.remove:
        known = index.versions()
        sources = next(m.sources for m in known if m.id == before)
        if not sources:
            raise InputError("this index was not built from files; name the pages to add")
        _synced(args, config, index, [Path(s) for s in sources])
        return
    unknown = set(args.remove) - _held(index)
    if unknown:
        raise InputError(
            f"no document {sorted(unknown)[0]!r} to remove; `advise index search` shows ids with --json"
        )
    documents, skipped = _loaded(args, args.sources) if args.sources else ((), ())
    with Line(show=not args.quiet and sys.stderr.isatty()) as line:
        made = index.update(
            add=documents, remove=args.remove, live=not args.no_live, on_progress=_shown(line)
        )
    _report(args, index, made, before, skipped)


def _held(index: Index) -> set[str]:
    live = index.live.version
    return set(next((m.documents for m in index.versions() if m.id == live), {}))


def _loaded(args: argparse.Namespace, sources: Sequence[Path]) -> tuple[Sequence[Document], Sequence[str]]:
    defaults = {"tenant": args.tenant, "access": tuple(sorted(args.access or ())), "language": args.language}
    try:
        found = load(*sources, defaults={k: v for k, v in defaults.items() if v})
    except FileNotFoundError as error:
        raise InputError(str(error)) from None
    if not found.documents:
        raise InputError("; ".join(found.skipped[:3]) or f"no page under {', '.join(map(str, sources))}")
    return found.documents, found.skipped


def _report(
    args: argparse.Namespace, index: Index, made: Manifest, before: str | None, skipped: Sequence[str]
) -> None:
    new = made.id != before
    if args.json:
        data = {**_summary(made), "live": index.live.version == made.id, "new": new, "skipped": list(skipped)}
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return
    standing = "live" if index.live.version == made.id else "not live yet"
    if new:
        print(
            f"version {made.id} ({standing}): {len(made.documents):,} documents, {made.chunks:,} chunks; {made.embedded:,} embedded, {made.reused:,} reused"
        )
        if before:
            print(f"compare: advise index diff {before[:8]} {made.id[:8]}   take back: advise index rollback")
    else:
        print(f"version {made.id} ({standing}): nothing changed")
    for reason in skipped[:_SHOWN_SKIPS]:
        print(f"skipped {reason}", file=sys.stderr)
    if len(skipped) > _SHOWN_SKIPS:
        print(f"... and {len(skipped) - _SHOWN_SKIPS} more (all with --json)", file=sys.stderr)


def _search_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", metavar="QUERY")
    parser.add_argument("-k", type=int, help="how many chunks")
    parser.add_argument("--version", metavar="ID", help="another version than the live one")
    parser.add_argument("--tenant", help="who asks; without it only what is for all")
    parser.add_argument(
        "--access", action="append", default=[], metavar="TAG", help="tag the asker holds; may be repeated"
    )
    parser.add_argument("--language", metavar="TAG", help="keep to this language")
    parser.add_argument("--on", metavar="DATE", help="keep to what holds on that day (default today)")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="keep to this metadata; may be repeated",
    )


def _search(args: argparse.Namespace, config: settings.Config, index: Index) -> None:
    wrong = [pair for pair in args.where if "=" not in pair]
    if wrong:
        raise InputError(f"--where {wrong[0]}: write KEY=VALUE")
    asked = Filter(
        tenant=args.tenant, access=frozenset(args.access), language=args.language, on=_day(args.on), where=dict(p.split("=", 1) for p in args.where)
    )  # fmt: skip
    snapshot = index.at(args.version) if args.version else index.snapshot()
    hits = snapshot.search(args.query, k=args.k, filter=asked)
    if args.json:
        print(
            json.dumps(
                {"version": snapshot.id, "hits": [_hit(h) for h in hits]}, ensure_ascii=False, indent=2
            )
        )
        return
    for number, h in enumerate(hits, 1):
        print(f"{number}. {' > '.join((h.title, *h.heading))}  [{h.score:.2f}; {h.why}]\n   {h.link}")
        print("   " + " ".join(h.text.split())[:200])
    if not hits:
        print("nothing found")


def _day(text: str | None) -> date | None:
    try:
        return day(text)
    except ValueError as error:
        raise InputError(f"--on: {error}") from None


def _hit(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "link": hit.link, "why": hit.why}


def _diff_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", help="version, or the beginning of its id")
    parser.add_argument("second", metavar="B", nargs="?", help="another one; the live one unless given")


def _diff(args: argparse.Namespace, config: settings.Config, index: Index) -> None:
    found = index.diff(args.first, args.second or index.live.version or "")
    if args.json:
        print(json.dumps(asdict(found), ensure_ascii=False, indent=2))
        return
    for sign, ids in (("+", found.added), ("-", found.removed), ("~", found.changed)):
        for id in ids:
            print(f"{sign} {id}")
    for line in found.settings:
        print(f"  {line}")
    print(
        f"{len(found.added)} added, {len(found.removed)} removed, {len(found.changed)} changed; {found.chunks[0]:,} -> {found.chunks[1]:,} chunks"
    )


def _rollback_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", metavar="ID", help="a version of any age, in place of the one that was live before"
    )


def _rollback(args: argparse.Namespace, config: settings.Config, index: Index) -> None:
    before = index.live.version
    made = index.promote(args.to) if args.to else index.rollback()
    if args.json:
        print(json.dumps({**_summary(made), "was": before}, ensure_ascii=False, indent=2))
    else:
        print(f"live: {made.id} of {made.created[:16]}, {len(made.documents):,} documents; was {before}")


def _gc_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep", type=int, metavar="N", help="versions to keep, the live one included (default `index.keep`)"
    )
    parser.add_argument(
        "--pin",
        action="append",
        default=[],
        metavar="ID",
        help="a version to keep in any case; may be repeated",
    )


def _gc(args: argparse.Namespace, config: settings.Config, index: Index) -> None:
    found = index.gc(keep=args.keep or config.index.keep, pinned=[*args.pin, *_in_use(config, index)])
    if args.json:
        print(json.dumps(asdict(found), ensure_ascii=False, indent=2))
        return
    print(
        f"{len(found.versions)} versions and {found.vectors:,} vectors deleted, {found.freed / 2**20:.1f} MB freed"
    )
    for id in found.in_use:
        print(f"{id} is being read; it stays until the next time")


def _in_use(config: settings.Config, index: Index) -> set[str]:
    """Return the versions that the bot answers from, or would after a rollback."""
    routes, releases = Live(config.state).routes().values(), Releases(config.state)
    named = {n for r in routes for n in (r.release, r.canary, r.shadow, *r.previous[:2]) if n is not None}
    found = {r.index for r in releases.all() if r.id in named and r.index is not None}
    return found & {v.id for v in index.versions()}


def _list(args: argparse.Namespace, config: settings.Config, index: Index) -> None:
    live = index.live.version
    versions = index.versions()
    if args.json:
        print(
            json.dumps(
                [{**_summary(m), "live": m.id == live} for m in versions], ensure_ascii=False, indent=2
            )
        )
        return
    for m in versions:
        print(
            f"{'*' if m.id == live else ' '} {m.id}  {m.created[:16]}  {len(m.documents):>7,} documents  {m.chunks:>8,} chunks  {m.recipe.embedder.model}, {m.recipe.store}"
        )
    if not versions:
        print("no version yet; build one with `advise index build`")


def _shown(line: Line) -> Callable[[Progress], None]:
    return lambda p: line.tell(p.stage, p.done, p.total)


def _summary(made: Manifest) -> dict[str, Any]:
    return {
        "version": made.id, "created": made.created, "documents": len(made.documents), "chunks": made.chunks, "embedded": made.embedded,
        "reused": made.reused, "embedder": made.recipe.embedder.model, "store": made.recipe.store, "parent": made.parent,
    }  # fmt: skip


_ACTIONS: Actions = {
    "build": (_build, "make the index hold these sources and nothing else", _build_options),
    "update": (_update, "read the sources again, or add, replace and remove single pages", _update_options),
    "search": (_search, "search it, and say which half found what", _search_options),
    "list": (_list, "list the versions", nothing),
    "diff": (_diff, "compare two versions", _diff_options),
    "rollback": (_rollback, "make the version live that was live before", _rollback_options),
    "gc": (_gc, "delete versions that nothing points at", _gc_options),
}
