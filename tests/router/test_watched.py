"""A file that is asked all the time: looked at seldom, read when it changed, and never behind one's own change."""

import os
import threading
from types import SimpleNamespace

import pytest

from rag.files import write
from router import watched
from router.watched import Watched


@pytest.fixture
def clock(monkeypatch):
    told = SimpleNamespace(now=100.0)
    monkeypatch.setattr(watched, "time", SimpleNamespace(monotonic=lambda: told.now))
    return told


@pytest.fixture
def file(tmp_path):
    return write("one", tmp_path / "said")


def watching(file):
    """Return what is watched, and the list of what was read."""
    reads = []

    def read(path):
        reads.append(path.read_text(encoding="utf-8"))
        return reads[-1]

    return Watched(file, read, empty="nothing"), reads


def test_it_is_looked_at_after_a_while_and_read_if_it_changed(file, clock):
    said, reads = watching(file)
    assert said.get() == "one"
    write("two", file)
    clock.now += 0.049
    assert said.get() == "one"
    clock.now += 0.002
    assert said.get() == "two"
    clock.now += 1
    assert said.get() == "two"
    assert reads == ["one", "two"]


def test_a_missing_file_is_not_remembered(tmp_path, clock):
    file = tmp_path / "said"
    said, _ = watching(file)
    assert said.get() == "nothing"
    write("one", file)
    assert said.get() == "one"
    file.rename(tmp_path / "away")
    clock.now += 1
    assert said.get() == "nothing"
    (tmp_path / "away").rename(file)
    assert said.get() == "one"
    file.unlink()
    write("two", file)
    clock.now += 1
    assert said.get() == "two"


def test_what_cannot_be_read_is_read_again(file, clock):
    failing = [ValueError("half"), ValueError("half")]

    def read(path):
        if failing:
            raise failing.pop()
        return path.read_text(encoding="utf-8")

    said = Watched(file, read, empty="nothing")
    for _ in range(2):
        with pytest.raises(ValueError, match="half"):
            said.get()
    assert said.get() == "one"


def test_what_is_forgotten_is_read_though_it_looks_the_same(file, clock):
    said, _ = watching(file)
    said.get()
    before = file.stat()
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now += 1
    assert said.get() == "one"
    said.forget()
    assert said.get() == "two"


def test_a_change_is_seen_at_once_also_where_another_thread_just_read_the_old(file, clock):
    """What the reader brings late must not pass for fresh for the next 50 ms."""
    begun, go_on = threading.Event(), threading.Event()

    def read(path):
        found = path.read_text(encoding="utf-8")
        begun.set()
        go_on.wait(10)
        return found

    said, seen = Watched(file, read, empty="nothing"), []

    def change():
        write("two", file)
        said.forget()
        seen.append(said.get())

    reader = threading.Thread(target=said.get)
    reader.start()
    assert begun.wait(10)
    writer = threading.Thread(target=change)
    writer.start()
    writer.join(0.2)  # it has written, and waits for the reader
    go_on.set()
    reader.join(10)
    writer.join(10)
    assert seen == ["two"]


def test_threads_that_change_it_at_once_lose_nothing_and_see_their_own(tmp_path):
    file, wrong = tmp_path / "count", []
    count = Watched(file, lambda path: int(path.read_text(encoding="utf-8")), empty=0)
    done = threading.Event()

    def change():
        for _ in range(15):
            with count.changing() as before:
                write(str(before + 1), file)
            if count.get() <= before:
                wrong.append("own change not seen")

    def look():
        last = 0
        while not done.is_set():
            now = count.get()
            if now < last:
                wrong.append(f"{now} after {last}")
            last = now

    writers = [threading.Thread(target=change) for _ in range(4)]
    readers = [threading.Thread(target=look) for _ in range(3)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert count.get() == 60
    assert sorted(p.name for p in tmp_path.iterdir()) == ["count", "count.lock"]
