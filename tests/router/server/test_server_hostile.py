"""A client that means harm: other tenants' keys and replies, what is too large, too slow, too deep, or no HTTP at all."""

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
from http_served import Slow, release, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.logs import read
from rag.documents import Document
from rag.index import Index
from router.models.scripted import Scripted
from router.releases import Retrieving
from router.server.settings import Settings

pytest.importorskip("starlette")

HI = {"model": "live", "messages": [{"role": "user", "content": "Hi"}]}
CHAT = "/v1/chat/completions"


def code(answer):
    status, _, body = answer
    return status, (body if isinstance(body, dict) else json.loads(body))["error"]["code"]


@pytest.fixture
def guarded(state):
    """Two tenants with a release each, and a server that says which one answered."""

    def model(reference):
        return Scripted(reference, outputs=lambda m: f"I am {reference}.")

    with serving(state, model=model, unknown="refuse") as served:
        for tenant in ("acme", "zeta"):
            served.tokens[tenant] = served.keys.add(tenant)[1]
            served.bot.pointer.promote(release(state, model=f"scripted:{tenant}"), tenant=tenant)
        yield served


def test_nobody_without_a_key(guarded):
    for token in (
        "",
        "x",
        "rf-",
        "rf-00000000-none",
        guarded.tokens["acme"][:-1],
        guarded.tokens["acme"] + "A",
    ):
        assert code(guarded.chat(token=token)) == (401, "invalid_api_key")
        assert guarded.ask("/v1/models", token=token)[0] == 401
        assert guarded.ask("/metrics", token=token)[0] == 401
    basic = guarded.ask(CHAT, HI, headers={"Authorization": f"Basic {guarded.tokens['acme']}"})
    assert code(basic) == (401, "invalid_api_key")
    assert guarded.ask("/healthz")[0] == 200


def test_a_key_is_revoked_from_the_next_request_on(guarded):
    key, token = guarded.keys.add("acme")
    assert guarded.chat(token=token)[0] == 200
    guarded.keys.revoke(key.id)
    assert guarded.chat(token=token)[0] == 401
    assert guarded.chat(token=guarded.tokens["acme"])[0] == 200


def test_a_key_opens_what_it_is_for(guarded):
    metrics = guarded.keys.add(None, scope="metrics")[1]
    assert code(guarded.chat(token=metrics)) == (403, "wrong_scope")
    assert code(guarded.ask("/metrics", token=guarded.tokens["acme"])) == (403, "wrong_scope")
    guarded.chat(token=guarded.tokens["acme"])
    text = guarded.ask("/metrics", token=metrics)[2].decode()
    assert 'rightfix_requests_total{endpoint="chat",status="200"} 1.0' in text
    assert "acme" not in text


def test_releases_of_others_cannot_be_named(guarded):
    acme, zeta = (guarded.bot.pointer.routes()[t].release for t in ("acme", "zeta"))
    listed = json.loads(guarded.ask("/v1/models", token=guarded.tokens["acme"])[2])["data"]
    assert [m["id"] for m in listed] == ["live", acme]
    assert guarded.chat(token=guarded.tokens["acme"], model=acme)[0] == 200
    for name in (zeta, zeta[:6], "live/../zeta", "zeta", "*", "scripted:zeta"):
        status, _, body = guarded.chat(token=guarded.tokens["acme"], model=name)
        assert "zeta" not in body.get("choices", [{}])[0].get("message", {}).get("content", "")
        assert status == 404 or name.startswith("live/")


def test_replies_of_others_cannot_be_rated(guarded):
    reply = guarded.chat(token=guarded.tokens["acme"])[2]["id"]
    other, own = guarded.tokens["zeta"], guarded.tokens["acme"]
    assert code(guarded.ask("/v1/feedback", {"reply": reply, "thumb": "down"}, token=other)) == (
        404,
        "reply_not_found",
    )
    for made_up in (
        reply[:-1],
        reply.rpartition("-")[0],
        "reply-1",
        "",
        "reply-" + "0" * 24 + "-" + "0" * 20,
    ):
        assert guarded.ask("/v1/feedback", {"reply": made_up, "thumb": "down"}, token=own)[0] in (400, 404)
    assert guarded.ask("/v1/feedback", {"reply": reply, "thumb": "down"}, token=own)[0] == 200


def test_what_a_body_claims_of_its_sender_counts_for_nothing(guarded):
    claims = {
        "tenant": "zeta",
        "access": ["secret"],
        "id": "reply-1",
        "route": "zeta",
        "release": "x",
        "task": "y",
    }
    status, _, body = guarded.chat(token=guarded.tokens["acme"], **claims, user="zeta")
    assert status == 200 and body["choices"][0]["message"]["content"] == "I am scripted:acme."
    assert body["id"] != "reply-1"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Documents of two tenants and for holders of a tag, and a model that repeats all it was shown."""
    state = tmp_path_factory.mktemp("shared")
    with Index(state / "index", embedder="static", store="memory") as index:
        pages = [
            Document(id=f"{t}-{tag}", title="Prices", text=f"The price of a kayak is known as {t}{tag}.", tenant=t, access=() if tag == "open" else (tag,))
            for t in ("acme", "zeta")
            for tag in ("open", "staff")
        ]  # fmt: skip
        version = index.build(pages).id
    with serving(state, model=lambda r: Scripted(outputs=lambda m: str(m))) as served:
        served.bot.pointer.promote(
            release(state, index=version, retrieving=Retrieving(grounded=False, cite=False))
        )
        for tenant in ("acme", "zeta"):
            served.tokens[tenant, False] = served.keys.add(tenant)[1]
            served.tokens[tenant, True] = served.keys.add(tenant, access=("staff",))[1]
        yield served


@settings(max_examples=40)
@given(
    tenant=st.sampled_from(["acme", "zeta"]),
    staff=st.booleans(),
    words=st.lists(st.sampled_from(["price", "kayak", "acmestaff", "zetastaff", "acmeopen", "zetaopen", "known"]), min_size=2, max_size=6),
    claims=st.dictionaries(st.sampled_from(["tenant", "access", "user", "filter"]), st.sampled_from(["acme", "zeta", "staff"]), max_size=3),
)  # fmt: skip
def test_no_question_and_no_claim_reaches_documents_of_others(shared, tenant, staff, words, claims):
    question = " ".join(words) + " price of a kayak"
    status, _, body = shared.chat(question, token=shared.tokens[tenant, staff], **claims)
    assert status == 200
    shown = body["choices"][0]["message"]["content"].replace(question, "")
    other = "zeta" if tenant == "acme" else "acme"
    assert f"known as {tenant}open" in shown
    assert f"known as {other}" not in shown
    assert staff or "staff" not in shown


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": "live"}', b'{"model": 1, "messages": []}', b"[" * 100_000,
        b'{"model": "live", "messages": "Hi"}', b'{"model": "live", "messages": [1]}', b'{"model": "live", "messages": [{"role": "root", "content": "x"}]}',
        b'{"model": "live", "messages": [{"role": "user"}]}', b'{"model": "live", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "live", "messages": [{"role": "user", "content": [{"type": "text"}]}]}', b'{"model": "live", "messages": [{"role": "user", "content": NaN}]}',
        b'{"model": "live", "messages": [{"role": "user", "content": "x"}], "tools": [{"function": 1}]}',
        b'{"model": "live", "messages": [{"role": "user", "content": "x"}], "tools": {"a": 1}}',
        b'{"model": "live", "messages": [{"role": "user", "content": "x"}], "response_format": 1}',
        b'{"model": "live", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": 1}}]}]}',
        b'{"model": "live", "messages": [{"role": "tool", "content": "x"}]}', b'{"model": "live", "messages": [{"role": "user", "content": "x"}], "stop": [1]}',
        b'{"model": "live", "messages": [{"role": "user", "content": "x"}], "metadata": {"conversation": 5}}',
    ],
)  # fmt: skip
def test_bodies_that_make_no_sense(shared, body):
    token = shared.tokens["acme", False]
    status, _, text = shared.ask(CHAT, body, token=token)
    assert status == 400 and json.loads(text)["error"]["type"] == "invalid_request_error"
    assert shared.ask("/v1/feedback", body, token=token)[0] == 400


@settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
            "model", "messages", "role", "content", "tools", "function", "parameters", "name", "stream", "stop", "metadata", "user",
            "response_format", "json_schema", "schema", "type", "tool_calls", "arguments", "max_tokens", "stream_options", "pattern",
        ]), inner, max_size=6),
        max_leaves=12,
    )
)  # fmt: skip
def test_any_json_is_answered_and_never_by_a_failure_of_ours(shared, value):
    body = json.dumps({**HI, **value} if isinstance(value, dict) else value).encode()
    assert shared.ask(CHAT, body, token=shared.tokens["acme", False])[0] in (200, 400, 404)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "http://127.0.0.1:1/x"}, "outside"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "outside"),
        ({"type": "string", "pattern": "^(a+)+$"}, "for ever"),
        ({"patternProperties": {"(x*)*y": {}}}, "for ever"),
        ({"type": "string", "pattern": "a" * 2000}, "for ever"),
        ({"enum": list(range(6000))}, "at most"),
    ],
)
def test_schemas_that_would_fetch_or_never_end(shared, schema, said):
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    tool = {"type": "function", "function": {"name": "x", "parameters": schema}}
    for more in ({"response_format": wanted}, {"tools": [tool]}):
        status, _, body = shared.chat(token=shared.tokens["acme", False], **more)
        assert status == 400 and said in body["error"]["message"]


def test_too_large_is_refused_before_it_is_read(state):
    with serving(state, settings=Settings(body_bytes=5000)) as served:
        served.bot.pointer.promote(release(state))
        large = {**HI, "messages": [{"role": "user", "content": "x" * 6000}]}
        assert code(served.ask(CHAT, large)) == (413, "too_large")
        host, port = served.address.removeprefix("http://").split(":")
        endless = http.client.HTTPConnection(host, int(port), timeout=10)
        endless.putrequest("POST", CHAT)
        endless.putheader("Content-Type", "application/json")
        endless.putheader("Transfer-Encoding", "chunked")
        endless.endheaders()
        with contextlib.suppress(OSError):  # the server may have answered and hung up before all was sent
            for _ in range(7):
                endless.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        answer = endless.getresponse()
        assert answer.status == 413 and answer.headers["connection"] == "close"
        endless.close()


def raw(served):
    host, port = served.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_slow_heads_and_slow_bodies_are_left(state):
    with serving(state, settings=Settings(read_s=0.5)) as served:
        served.bot.pointer.promote(release(state))
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
        for sent in (b"", b"\r\n", head, head + b"X: "):
            with raw(served) as line:
                line.sendall(sent)
                began = time.monotonic()
                try:
                    while line.recv(1024) and time.monotonic() - began < 5:
                        pass
                except ConnectionResetError:
                    pass
                assert time.monotonic() - began < 3
        with raw(served) as line:
            line.sendall(head + b"Content-Length: 100\r\n\r\n{")
            assert line.recv(1024).startswith(b"HTTP/1.1 408")
        with raw(served) as line:
            trickling = threading.Thread(target=trickle, args=(line,))
            trickling.start()
            began = time.monotonic()
            while line.recv(1024):
                pass
            assert time.monotonic() - began < 3
            trickling.join()
        assert served.chat()[0] == 200


def trickle(line):
    try:
        for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 100:
            line.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass


def test_a_head_without_end_is_left(shared):
    # A connection may end politely or be reset; what counts is that it ends.
    with raw(shared) as line, pytest.raises((ConnectionError, EOFError)):
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        for n in range(400):
            line.sendall(b"X-%d: " % n + b"y" * 1000 + b"\r\n")
        if not line.recv(4096):
            raise EOFError


def test_no_http_at_all(shared):
    with raw(shared) as line:
        line.sendall(b"\x16\x03\x01\x02\x00hello\r\n\r\n")
        assert line.recv(1024).startswith(b"HTTP/1.1 400")
    assert shared.ask("/healthz")[0] == 200


def test_a_web_page_cannot_ask_a_server_without_keys(state):
    with serving(state) as served:
        served.bot.pointer.promote(release(state))
        assert served.chat()[0] == 200
        # Another name for this machine, as in a rebinding of DNS; and a form, which a browser sends without asking for leave.
        for host in (
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "user@evil.example",
        ):
            assert code(served.ask(CHAT, HI, headers={"Host": host})) == (403, "wrong_host")
        for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"):
            assert served.ask(CHAT, HI, headers={"Host": host})[0] == 200
        assert code(served.ask(CHAT, json.dumps(HI).encode(), headers={"Content-Type": "text/plain"})) == (415, "wrong_content_type")  # fmt: skip
        assert (
            served.ask(CHAT, HI, headers={"Origin": "https://evil.example"})[1]["access-control-allow-origin"]
            is None
        )


def test_named_origins_may_ask_from_a_browser(state):
    with serving(state, settings=Settings(origins=("https://shop.example",))) as served:
        asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
        status, headers, _ = served.ask(CHAT, headers=asked, method="OPTIONS")
        assert status == 200 and headers["access-control-allow-origin"] == "https://shop.example"
        status, headers, _ = served.ask(
            CHAT, headers=asked | {"Origin": "https://evil.example"}, method="OPTIONS"
        )
        assert status == 400 and headers["access-control-allow-origin"] is None


def test_a_server_that_others_reach_wants_keys_even_if_they_are_taken_away(state):
    with serving(state, own=False) as served:
        served.bot.pointer.promote(release(state))
        assert served.ask(CHAT, HI, headers={"Host": "localhost"})[0] == 401


def test_one_tenant_cannot_take_all(state):
    gate = threading.Event()
    slow = Slow("word", gate=gate)
    with serving(
        state, model=slow, settings=Settings(at_once=3, tenant_at_once=2, per_minute=None)
    ) as served:
        served.bot.pointer.promote(release(state))
        tokens = {t: served.keys.add(t)[1] for t in ("acme", "zeta", "beta")}
        done = []
        waiting = [threading.Thread(target=lambda: done.append(served.chat(token=tokens["acme"])[0])) for _ in range(2)]  # fmt: skip
        for thread in waiting:
            thread.start()
        while slow.under_way < 2:
            time.sleep(0.01)
        status, headers, body = served.chat(token=tokens["acme"])
        assert (status, body["error"]["code"], headers["retry-after"]) == (
            429,
            "concurrency_limit_exceeded",
            "1",
        )
        last = threading.Thread(target=lambda: done.append(served.chat(token=tokens["zeta"])[0]))
        last.start()
        while slow.under_way < 3:
            time.sleep(0.01)
        assert code(served.chat(token=tokens["beta"])) == (429, "overloaded")
        assert served.ask("/healthz")[0] == 200
        gate.set()
        for thread in (*waiting, last):
            thread.join()
        assert done == [200] * 3
        assert served.chat(token=tokens["acme"])[0] == 200


def test_so_many_a_minute(state):
    with serving(state, settings=Settings(per_minute=3)) as served:
        served.bot.pointer.promote(release(state))
        tokens = {t: served.keys.add(t)[1] for t in ("acme", "zeta")}
        assert [served.chat(token=tokens["acme"])[0] for _ in range(3)] == [200] * 3
        status, headers, body = served.chat(token=tokens["acme"])
        assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 15 <= int(headers["retry-after"]) <= 20
        assert served.ask("/v1/models", token=tokens["acme"])[0] == 429
        assert served.chat(token=tokens["zeta"])[0] == 200


def test_a_reply_that_takes_too_long_is_given_up(state):
    slow = Slow("one two", pause=3)
    with serving(state, model=slow, settings=Settings(timeout_s=0.4)) as served:
        served.bot.pointer.promote(release(state))
        assert code(served.chat()) == (504, "timeout")
        assert code(served.chat(stream=True)) == (504, "timeout")
        assert slow.under_way == 0


def test_errors_of_ours_say_nothing_of_the_inside(state, caplog):
    def broken(messages):
        raise RuntimeError("password is hunter2")

    with serving(state, model=lambda r: Scripted(outputs=broken)) as served:
        served.bot.pointer.promote(release(state))
        status, _, body = served.chat()
        assert status == 500 and "hunter2" not in json.dumps(body)
        assert served.ask("/nosuch")[0] == 404 and served.ask(CHAT)[0] == 405
    assert "hunter2" in caplog.text


def test_keys_and_words_of_tenants_stay_out_of_the_traces_of_others(guarded, state):
    guarded.chat("acme's own question", token=guarded.tokens["acme"])
    guarded.bot.flush()
    found = list(read([str(state / "traces")]))
    assert [e.tenant for e in found] == ["acme"]
    text = "".join(f.read_text() for f in state.rglob("*.json*"))
    assert not any(token in text for token in guarded.tokens.values())
