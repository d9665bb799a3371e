"""What loads what: help is instant, the main job needs nothing heavy."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch", "transformers", "sentence_transformers", "langchain", "langchain_core", "chromadb", "openai", "anthropic", "boto3",
    "pandas", "pyarrow", "openpyxl", "xllamacpp", "sklearn", "starlette", "uvicorn", "prometheus_client",
}  # fmt: skip
SLOW = HEAVY | {"numpy", "bm25s", "pydantic", "yaml", "jsonschema", "py3langid", "ijson", "asyncio"}


def loaded(code: str) -> set[str]:
    script = f"{code}\nimport sys, json; print('\\n' + json.dumps(sorted(m.partition('.')[0] for m in sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import advisor",
        "from advisor.cli import main; main(['--help'])",
        "from advisor.cli import main; main(['--version'])",
    ],
)
def test_help_and_import_load_nothing_slow(code):
    assert loaded(code) & SLOW == set()


def test_the_main_job_loads_nothing_heavy(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"question": "Do you ship to Canada?", "answer": "I do not know.", "rating": "down"}\n',
        encoding="utf-8",
    )
    code = f"from advisor.cli import main; main([{str(log)!r}, '--state', {str(tmp_path / 's')!r}])"
    assert loaded(code) & HEAVY == set()
