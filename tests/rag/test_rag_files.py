import os
import subprocess
import sys

import pytest

from rag.files import folder_once, write


def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path):
    path = write("Grüße \ud800", tmp_path / "new" / "report.html")
    write("second", path)
    assert path.read_text(encoding="utf-8") == "second"
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = write("old", tmp_path / "report.html")

    def refuse(handle):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="disk full"):
        write("new", path)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def filled(text):
    def make(folder):
        (folder / "inside").mkdir()
        (folder / "inside" / "file").write_text(text, encoding="utf-8")

    return make


def test_a_folder_is_made_once(tmp_path):
    target = tmp_path / "new" / "folder"
    assert folder_once(target, filled("first")) == folder_once(target, filled("second")) == target
    assert (target / "inside" / "file").read_text(encoding="utf-8") == "first"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path, error):
    def fail(folder):
        filled("half")(folder)
        raise error("disk full")

    with pytest.raises(error, match="disk full"):
        folder_once(tmp_path / "folder", fail)
    assert list(tmp_path.iterdir()) == []
    folder_once(tmp_path / "folder", filled("whole"))
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_two_processes_make_a_folder_at_a_time(tmp_path):
    """Both are in the midst of it before either may end; the first one's stays, and both find it."""
    code = """if True:
        import sys
        from pathlib import Path
        from rag.files import folder_once

        def make(folder):
            (folder / "file").write_text(sys.argv[2])
            print("made", flush=True)
            sys.stdin.readline()

        target = folder_once(Path(sys.argv[1]), make)
        print((target / "file").read_text(), flush=True)
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", code, str(tmp_path / "folder")]
    both = [subprocess.Popen([*command, name], **pipes) for name in ("one", "two")]
    assert [p.stdout.readline() for p in both] == ["made\n", "made\n"]
    said = [p.communicate("go\n", timeout=30)[0] for p in both]
    assert said == ["one\n", "one\n"]
    assert [p.returncode for p in both] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
