import os

import pytest

from rag.files import write


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
