"""An existing chat front end, unchanged: the command `llm` (PyPI), pointed at the server by its own configuration file."""

import os
import subprocess
import sys

import pytest
from http_served import release, serving

from advisor.logs import read
from router.models.scripted import Scripted

pytest.importorskip("starlette")
pytest.importorskip("llm")


def talked(folder, *args, said=""):
    """Run `llm` with everything it keeps in `folder`."""
    environment = {
        **os.environ,
        "LLM_USER_PATH": str(folder),
        "LLM_LOAD_PLUGINS": "",
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-m", "llm", *args],
        env=environment, input=said, capture_output=True, text=True, timeout=120, check=False, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_chat_in_the_terminal(state, tmp_path):
    folder = tmp_path / "llm"
    folder.mkdir()

    def answer(messages):
        return f"You said {sum(m['role'] == 'user' for m in messages)} things, at last {messages[-1]['content']!r}."

    with serving(state, model=lambda r: Scripted(outputs=answer)) as served:
        served.bot.pointer.promote(release(state))
        token = served.keys.add("acme")[1]
        (folder / "extra-openai-models.yaml").write_text(
            f"- model_id: shop\n  model_name: live\n  api_base: {served.address}/v1\n  api_key_name: shop\n",
            encoding="utf-8",
        )
        talked(folder, "keys", "set", "shop", "--value", token)
        assert "shop" in talked(folder, "models")
        assert talked(folder, "-m", "shop", "Hello").strip() == "You said 1 things, at last 'Hello'."
        assert (
            talked(folder, "-m", "shop", "--no-stream", "Hello").strip()
            == "You said 1 things, at last 'Hello'."
        )
        assert "You said 2 things, at last 'And now?'." in talked(folder, "-m", "shop", "-c", "And now?")
        chat = talked(folder, "chat", "-m", "shop", said="One\nTwo\nquit\n")
        assert "You said 1 things, at last 'One'." in chat and "You said 2 things, at last 'Two'." in chat
        served.bot.flush()
    found = list(read([str(state / "traces")]))
    assert {e.tenant for e in found} == {"acme"} and len(found) == 5
