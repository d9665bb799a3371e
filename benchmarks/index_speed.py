"""Cost of a build, of changing 1 % of it, and of a query, beside LangChain's indexing API on Chroma with the same embedder.

    python benchmarks/index_speed.py --work FOLDER [--sizes 1000 50000] [--embedder static] [--ours-only]

Generated pages of about 40 words, one chunk each. Every step in one process, one after the other.
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rag.documents import Document
from rag.embedders import load
from rag.index import Index

QUERIES = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 50_000])
    parser.add_argument("--embedder", default="static")
    parser.add_argument("--ours-only", action="store_true")
    args = parser.parse_args()
    print(
        f"embedder: {args.embedder}\n| chunks | what | build (s) | 1 % changed (s) | share | rollback (ms) | query p50 / p99 (ms) | disk (MB) |\n|---|---|---|---|---|---|---|---|"
    )
    for size in args.sizes:
        documents, queries = pages(size), asked()
        for store in ("memory", "chroma"):
            ours(size, store, documents, queries, args)
        if not args.ours_only:
            langchain(size, documents, queries, args)


WORDS = [
    f"{a}{b}{c}"
    for a in ("par", "del", "ship", "ret", "ord", "gift", "tent", "boot")
    for b in ("ca", "li", "mo", "ne", "ru", "so")
    for c in ("l", "nt", "rs", "ck", "pe", "th", "x")
]


def pages(size: int) -> list[Document]:
    chance = random.Random(1)
    return [
        Document(
            id=f"p{n:07d}", title=f"Page {n}", text=" ".join(chance.choices(WORDS, k=40)) + f" number {n}."
        )
        for n in range(size)
    ]


def asked() -> list[str]:
    chance = random.Random(2)
    return [" ".join(chance.choices(WORDS, k=6)) for _ in range(QUERIES)]


def changed(documents: list[Document]) -> list[Document]:
    chance = random.Random(3)
    touched = set(chance.sample(range(len(documents)), len(documents) // 100))
    return [
        Document(id=d.id, title=d.title, text=f"{d.text} Changed.") if n in touched else d
        for n, d in enumerate(documents)
    ]


def ours(
    size: int, store: str, documents: list[Document], queries: list[str], args: argparse.Namespace
) -> None:
    folder = args.work / f"ours-{store}-{size}"
    shutil.rmtree(folder, ignore_errors=True)
    after = changed(documents)
    with Index(folder, embedder=args.embedder, store=store) as index:
        load(args.embedder).embed(["warm"], kind="query")
        build = timed(lambda: index.build(documents))
        index.search("warm")
        update = timed(lambda: index.build(after))
        latencies = asking(index.search, queries)
        back = timed(lambda: (index.rollback(), index.search("warm")))
        row(size, f"Index, {store}, words and meaning", build, update, back, latencies, folder)
    shutil.rmtree(folder, ignore_errors=True)


def langchain(size: int, documents: list[Document], queries: list[str], args: argparse.Namespace) -> None:
    from langchain_chroma import Chroma
    from langchain_core.documents import Document as Page
    from langchain_core.embeddings import Embeddings
    from langchain_core.indexing import InMemoryRecordManager, index

    class Same(Embeddings):
        own = load(args.embedder)

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return self.own.embed(texts, kind="passage").tolist()

        def embed_query(self, text: str) -> list[float]:
            return self.own.embed([text], kind="query")[0].tolist()

    folder = args.work / f"langchain-{size}"
    shutil.rmtree(folder, ignore_errors=True)
    store = Chroma(collection_name="pages", embedding_function=Same(), persist_directory=str(folder))
    records = InMemoryRecordManager("pages")
    records.create_schema()

    def sync(held: list[Document]) -> Any:
        made = (Page(page_content=f"{d.title}\n{d.text}", metadata={"source": d.id}) for d in held)
        return index(
            made,
            records,
            store,
            cleanup="full",
            source_id_key="source",
            batch_size=1000,
            key_encoder="sha256",
        )

    build = timed(lambda: sync(documents))
    update = timed(lambda: sync(changed(documents)))
    latencies = asking(lambda q: store.similarity_search(q, k=5), queries)
    row(size, "LangChain on Chroma, meaning only", build, update, None, latencies, folder)
    shutil.rmtree(folder, ignore_errors=True)


def asking(search: Callable[[str], Any], queries: list[str]) -> list[float]:
    for query in queries[:20]:
        search(query + " warm")
    return sorted(timed(lambda query=query: search(query)) for query in queries)


def timed(step: Callable[[], Any]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def row(
    size: int,
    what: str,
    build: float,
    update: float,
    back: float | None,
    latencies: list[float],
    folder: Path,
) -> None:
    p50, p99 = (1000 * latencies[int(len(latencies) * q)] for q in (0.5, 0.99))
    disk = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20
    undone = f"{1000 * back:.0f}" if back is not None else "-"
    print(
        f"| {size:,} | {what} | {build:.1f} | {update:.2f} | {update / build:.1%} | {undone} | {p50:.1f} / {p99:.1f} | {disk:,.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
