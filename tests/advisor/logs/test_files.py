import gzip
import io
import sys

import pytest
import zstandard

from advisor.logs.files import InputError, encoding_of, expand, open_bytes

TEXT = b'{"a": 1}\n' * 50_000


def test_paths_folders_and_globs_each_file_once(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("in/b.jsonl", "in/a.jsonl", "in/.hidden", "c.csv"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    found = list(expand([tmp_path / "in", str(tmp_path / "in" / "*.jsonl"), tmp_path / "c.csv", "-"]))
    assert [f.rsplit("/", 1)[-1] for f in found] == ["a.jsonl", "b.jsonl", "c.csv", "-"]


def test_a_link_to_a_file_already_named_is_not_read_again(tmp_path):
    (tmp_path / "a.jsonl").write_text("x", encoding="utf-8")
    (tmp_path / "z.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert len(list(expand([tmp_path]))) == 1


@pytest.mark.parametrize("name", ["no-such-file", "no/*.such", "x" * 5000, "a\0b"])
def test_a_path_that_names_nothing_is_an_input_error(name):
    with pytest.raises(InputError):
        list(expand([name]))


@pytest.mark.parametrize(
    "pack",
    [
        lambda raw: raw,
        gzip.compress,
        lambda raw: gzip.compress(raw[:1000]) + gzip.compress(raw[1000:]),
        zstandard.ZstdCompressor().compress,
        lambda raw: zstandard.compress(raw[:1000]) + zstandard.compress(raw[1000:]),
    ],
    ids=["plain", "gzip", "gzip of two members", "zstd", "zstd of two frames"],
)
def test_whatever_the_compression(tmp_path, pack):
    path = tmp_path / "log"
    path.write_bytes(pack(TEXT))
    with open_bytes(str(path)) as stream:
        assert len(stream.peek(65_536)) == 65_536  # type: ignore[attr-defined]
        assert stream.read() == TEXT


def test_a_cut_gzip_gives_what_it_held(tmp_path):
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(TEXT, mtime=0)[:-9])
    with open_bytes(str(path)) as stream:
        lines = []
        with pytest.raises(EOFError):
            while line := stream.readline():
                lines.append(line)
    assert len(lines) > 49_000 and set(lines) == {b'{"a": 1}\n'}


def test_a_pipe_that_drips_is_seen_whole(monkeypatch):
    class Drip(io.RawIOBase):
        left = b"question,answer\nhi,hello\n"

        def readable(self):
            return True

        def readinto(self, buffer):
            piece, self.left = self.left[:3], self.left[3:]
            buffer[: len(piece)] = piece
            return len(piece)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Drip()), encoding="utf-8"))
    assert open_bytes("-").peek(65_536) == Drip.left  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("é".encode(), "utf-8"),
        ("é".encode()[:1], "utf-8"),
        ("é".encode("utf-8-sig"), "utf-8-sig"),
        ("é".encode("utf-16"), "utf-16"),
        (b"\xfe\xff\x00a", "utf-16"),
        ("é".encode("utf-32"), "utf-32"),
        ("é!".encode("cp1252"), "cp1252"),
        (b"", "utf-8"),
    ],
)
def test_the_encoding_is_told_from_the_bytes(raw, name):
    assert encoding_of(raw) == name
