"""`advise serve keys` from the shell's side; the server itself is tested in tests/router/server."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from advisor import config as settings
from advisor.cli import main
from advisor.cli.serve import _ended
from rag.index import Index
from router.chatbot import Chatbot
from router.releases import Releases
from router.watching import Looked


def told(capsys, *args, code=0):
    capsys.readouterr()
    assert main(["serve", *args]) == code
    return capsys.readouterr()


def test_keys_are_made_shown_without_secrets_and_revoked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "advise serve keys add" in told(capsys, "keys", "list").out
    token = told(capsys, "keys", "add", "acme", "--access", "staff", "--note", "web shop").out.strip()
    made = json.loads(told(capsys, "keys", "add", "--metrics", "--json").out)
    assert token.startswith("rf-") and made["token"].startswith("rf-") and made["scope"] == "metrics"
    listed = told(capsys, "keys", "list").out
    assert "acme  staff  web shop" in listed and token not in listed
    told(capsys, "keys", "revoke", token[3:11])
    shown = json.loads(told(capsys, "keys", "list", "--json").out)
    assert [(k["tenant"], k["access"], k["revoked"] is None) for k in shown] == [
        ("acme", ["staff"], False),
        (None, [], True),
    ]
    assert not any("digest" in k for k in shown)


def test_faults_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "no key 'x'" in told(capsys, "keys", "revoke", "x", code=2).err
    assert "a tenant is named" in told(capsys, "keys", "add", "a/b", code=2).err


def test_an_address_that_others_reach_needs_a_key(tmp_path, monkeypatch, capsys):
    pytest.importorskip("starlette")
    monkeypatch.chdir(tmp_path)
    assert "make a key first" in told(capsys, "--host", "0.0.0.0", "--port", "0", code=2).err


def test_a_canary_that_is_taken_up_takes_the_index_along(tmp_path, monkeypatch, caplog):
    """Only once it is live; and an index that another process writes to must not end the watch over other canaries."""
    monkeypatch.chdir(tmp_path)
    for folder, text in (("help", "A parcel costs 5 euros."), ("new", "A refund costs 2 euros.")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "page.md").write_text(f"# {folder}\n\n{text}", encoding="utf-8")
    (tmp_path / "advisor.yaml").write_text(
        "index: {embedder: static, store: memory, sources: [help]}\nchat: {model: 'scripted:x'}\n",
        encoding="utf-8",
    )
    assert main(["index", "build", "--quiet"]) == main(["release", "make", "--promote"]) == 0
    assert main(["index", "update", "new", "--no-live", "--quiet"]) == 0
    config, counted = settings.load(tmp_path / "advisor.yaml"), []
    with Index(config.state / "index") as index, Chatbot(config.state, tracing=None) as bot:
        first = index.live.version
        (grown,) = (m.id for m in index.versions() if m.id != first)
        base = Releases(config.state).get(bot.pointer.routes()["*"].release)
        id = Releases(config.state).add(replace(base, index=grown))
        looked = Looked(route="*", canary=id, seen=SimpleNamespace(verdict="promote"), done=True)
        figures = SimpleNamespace(ended=counted.append)
        _ended(config, bot, figures, looked)
        assert index.live.version == first, "it is not live"
        bot.pointer.promote(id)
        with index._versions.writing(wait_s=1):
            _ended(config, bot, figures, looked)
        assert index.live.version == first and "left at another version" in caplog.text
        _ended(config, bot, figures, looked)
        assert index.live.version == grown and counted == ["promote"] * 3
