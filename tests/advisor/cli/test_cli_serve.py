"""`advise serve keys` from the shell's side; the server itself is tested in tests/router/server."""

import json

import pytest

from advisor.cli import main


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
