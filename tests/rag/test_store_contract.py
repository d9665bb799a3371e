"""Every vector store does what the port says."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rag import stores
from rag.stores.port import Change, Rows, StoreMissing

DIMENSION = 8
# Chroma's client leaves its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def vectors(*seeds):
    rows = np.array(
        [np.random.default_rng(s).normal(size=DIMENSION) for s in seeds], dtype=np.float32
    ).reshape(-1, DIMENSION)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def rows(**classes):
    """Rows r0, r1, ... by number, each with its class."""
    numbers = [int(name[1:]) for name in classes]
    return Rows(ids=tuple(classes), classes=tuple(classes.values()), vectors=vectors(*numbers))


def change(whole, *, added=None, removed=(), parent=None):
    counts = {c: whole.classes.count(c) for c in set(whole.classes)}
    return Change(
        everything=lambda: iter([whole]),
        classes=counts,
        added=added or whole,
        removed=removed,
        parent=parent,
        dimension=DIMENSION,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pytest.importorskip("chromadb")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = Path(sys.executable).with_name("chroma")
    process = subprocess.Popen(
        [str(command), "run", "--path", str(tmp_path_factory.mktemp("chroma")), "--port", str(port), "--host", "127.0.0.1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "ANONYMIZED_TELEMETRY": "False"},
    )  # fmt: skip
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)


@pytest.fixture(params=["memory", "chroma", "server", "langchain"])
def store(request):
    if request.param == "memory":
        return stores.load("memory")
    if request.param == "langchain":
        pytest.importorskip("langchain_core")
        from langchain_core.vectorstores import InMemoryVectorStore

        from rag.stores.langchain import LangChainStore

        made = {}

        def make(name, embedding):
            return made.setdefault(name, InMemoryVectorStore(embedding))

        return LangChainStore(make, drop=lambda name: made.pop(name, None))
    pytest.importorskip("chromadb")
    return stores.load(
        "chroma" if request.param == "chroma" else f"chroma:{request.getfixturevalue('server')}"
    )


@pytest.fixture
def opened():
    held = []
    yield (
        lambda store, folder: (
            held.append(store.open(folder, lambda ids: vectors(*(int(i[1:]) for i in ids)))) or held[-1]
        )
    )
    for each in held:
        each.close()


WHOLE = {f"r{n}": "shared" if n % 2 else "acme" for n in range(20)}


def test_the_nearest_come_first(store, tmp_path, opened):
    store.write(tmp_path / "v", change(rows(**WHOLE)))
    found = opened(store, tmp_path / "v").search(vectors(7)[0], 3, allowed=None)
    assert found[0].id == "r7"
    assert found[0].similarity == pytest.approx(1.0, abs=1e-4)
    assert [f.similarity for f in found] == sorted((f.similarity for f in found), reverse=True)
    assert len(found) == 3
    exact = sorted(((float(vectors(n)[0] @ vectors(7)[0]), f"r{n}") for n in range(20)), reverse=True)
    assert [f.id for f in found] == [id for _, id in exact[:3]]


@pytest.mark.parametrize("allowed", [{"acme"}, {"shared"}, {"acme", "shared"}, set(), {"unknown"}])
def test_only_allowed_classes_are_found_and_all_k_of_them(store, tmp_path, opened, allowed):
    store.write(tmp_path / "v", change(rows(**WHOLE)))
    found = opened(store, tmp_path / "v").search(vectors(7)[0], 8, allowed=frozenset(allowed))
    assert {WHOLE[f.id] for f in found} <= allowed
    assert len(found) == min(8, sum(c in allowed for c in WHOLE.values()))


def test_the_next_version_starts_from_the_last_and_leaves_it_alone(store, tmp_path, opened):
    store.write(tmp_path / "v1", change(rows(**WHOLE)))
    first = opened(store, tmp_path / "v1")
    now = {**{k: c for k, c in WHOLE.items() if k != "r7"}, "r30": "acme"}
    store.write(
        tmp_path / "v2", change(rows(**now), added=rows(r30="acme"), removed=("r7",), parent=tmp_path / "v1")
    )
    second = opened(store, tmp_path / "v2")
    assert second.search(vectors(30)[0], 1, allowed=None)[0].id == "r30"
    assert "r7" not in [f.id for f in second.search(vectors(7)[0], 25, allowed=None)]
    assert len(second.search(vectors(7)[0], 25, allowed=frozenset({"acme"}))) == 11
    assert first.search(vectors(7)[0], 1, allowed=None)[0].id == "r7"
    assert "r30" not in [f.id for f in first.search(vectors(30)[0], 25, allowed=None)]


def test_much_change_is_written_in_full(store, tmp_path, opened):
    store.write(tmp_path / "v0", change(rows(**WHOLE)))
    folder = tmp_path / "v0"
    for n in range(1, 5):
        now = {f"r{n * 100 + i}": "shared" for i in range(20)}
        before = WHOLE if n == 1 else {f"r{(n - 1) * 100 + i}": "shared" for i in range(20)}
        store.write(
            tmp_path / f"v{n}", change(rows(**now), added=rows(**now), removed=tuple(before), parent=folder)
        )
        folder = tmp_path / f"v{n}"
    assert opened(store, folder).search(vectors(405)[0], 1, allowed=None)[0].id == "r405"


def test_nothing_in_it_is_nothing_found(store, tmp_path, opened):
    store.write(tmp_path / "v", change(Rows(ids=(), classes=(), vectors=vectors())))
    assert list(opened(store, tmp_path / "v").search(vectors(1)[0], 5, allowed=None)) == []


def test_dropping_is_harmless_twice_and_for_half_a_version(store, tmp_path, opened):
    store.write(tmp_path / "v", change(rows(**WHOLE)))
    store.write(tmp_path / "other", change(rows(**WHOLE)))
    store.drop(tmp_path / "v")
    store.drop(tmp_path / "v")
    store.drop(tmp_path / "never-written")
    assert list(opened(store, tmp_path / "other").search(vectors(1)[0], 5, allowed=None))


@pytest.mark.parametrize(
    "reference, told",
    [
        ("cromha", "known are|did you mean"),
        ("chroma:nowhere", "http://host"),
        ("langchain", "LangChainStore"),
    ],
)
def test_what_is_no_store_is_said_so(reference, told):
    if reference != "cromha":
        pytest.importorskip("chromadb")
    with pytest.raises(StoreMissing, match=told):
        stores.load(reference)


def test_a_server_that_does_not_answer_is_said_so(tmp_path):
    pytest.importorskip("chromadb")
    with pytest.raises(StoreMissing, match="does not answer"):
        stores.load("chroma:http://127.0.0.1:9").write(tmp_path / "v", change(rows(r1="a")))
