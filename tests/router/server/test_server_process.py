"""The server as a process: kept feedback outlives a kill, streams outlive the order to end, others need keys."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from http_served import Slow, release, serving

from advisor.logs import read
from router.chatbot import Chatbot
from router.server.keys import Keys
from router.server.settings import Settings

pytest.importorskip("starlette")
ADVISE = [sys.executable, "-c", "import sys; from advisor.cli import main; sys.exit(main())"]
BODY = json.dumps({"model": "live", "messages": [{"role": "user", "content": "Hi"}]})
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def live(state, tmp_path):
    (tmp_path / "script.json").write_text('{"Hi": "Hello you."}', encoding="utf-8")
    with Chatbot(state) as bot:
        bot.pointer.promote(release(state, model=f"scripted:{tmp_path / 'script.json'}"))
    return state


def started(state, *args):
    done = subprocess.Popen(
        [*ADVISE, "serve", "--state", str(state), "--port", "0", "--json", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = json.loads(done.stdout.readline())["address"]
    return done, address.removeprefix("http://")


def asked(line, path, body):
    line.request("POST", path, body, JSON)
    answer = line.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_feedback_that_was_acknowledged_outlives_a_kill(live):
    process, address = started(live)
    kept = []

    def rate(n):
        line = http.client.HTTPConnection(address, timeout=20)
        try:
            for _ in range(1000):
                reply = asked(line, "/v1/chat/completions", BODY)[1]["id"]
                said = json.dumps({"reply": reply, "thumb": "down", "comment": f"from {n}"})
                if asked(line, "/v1/feedback", said)[0] == 200:
                    kept.append(reply)
        except (OSError, http.client.HTTPException, ValueError):
            pass
        finally:
            line.close()

    raters = [threading.Thread(target=rate, args=(n,)) for n in range(4)]
    for thread in raters:
        thread.start()
    while len(kept) < 40:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    for thread in raters:
        thread.join()
    process.communicate()
    written = "".join(f.read_text() for f in (live / "traces").glob("*.jsonl"))
    assert len(kept) >= 40
    assert [k for k in kept if k not in written] == []
    with Chatbot(live) as bot:
        (route,) = bot.pointer.routes().values()
        assert bot.outcomes.tally(route="*", release=route.release).rated >= len(kept)
    # What was cut off in the middle of a line is one line that cannot be read, and no more.
    found = list(read([str(live / "traces")]))
    assert len([f for e in found for f in e.feedback]) >= len(kept)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_an_order_to_end_is_followed_politely(live, number):
    process, address = started(live)
    line = http.client.HTTPConnection(address, timeout=20)
    assert asked(line, "/v1/chat/completions", BODY)[0] == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    line.close()
    assert (process.returncode, out, err) == (0, "", "")
    assert [e.reply.content for e in read([str(live / "traces")])] == ["Hello you."]


def test_streams_under_way_are_finished_and_no_more_are_begun(state):
    slow = Slow("one two three four", pause=0.3)
    with serving(state, model=slow) as served:
        served.bot.pointer.promote(release(state))
        host, port = served.address.removeprefix("http://").split(":")
        line = http.client.HTTPConnection(host, int(port), timeout=20)
        body = {**json.loads(BODY), "stream": True}
        line.request("POST", "/v1/chat/completions", json.dumps(body), JSON)
        answer = line.getresponse()
        answer.readline()
        served.server.stop()
        time.sleep(0.4)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5).close()
        text = answer.read().decode()
        line.close()
    assert text.endswith("data: [DONE]\n\n") and " four" in text
    assert slow.done == 1


def test_a_stream_that_outlasts_the_grace_is_cut(state):
    slow = Slow("word " * 100, pause=0.3)
    with serving(state, model=slow, settings=Settings(grace_s=1)) as served:
        served.bot.pointer.promote(release(state))
        host, port = served.address.removeprefix("http://").split(":")
        line = http.client.HTTPConnection(host, int(port), timeout=20)
        line.request("POST", "/v1/chat/completions", json.dumps({**json.loads(BODY), "stream": True}), JSON)
        answer = line.getresponse()
        answer.readline()
        served.server.stop()
        with pytest.raises(http.client.HTTPException):
            answer.read()
        line.close()
    assert slow.under_way == 0


def test_the_address_of_all_needs_a_key(live):
    done = subprocess.run([*ADVISE, "serve", "--state", str(live), "--host", "0.0.0.0", "--port", "0"], capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 2 and "make a key first" in done.stderr and len(done.stderr.splitlines()) == 1
    token = Keys(live).add("acme")[1]
    process, address = started(live, "--host", "0.0.0.0")
    line = http.client.HTTPConnection(address.replace("0.0.0.0", "127.0.0.1"), timeout=20)
    assert asked(line, "/v1/chat/completions", BODY)[0] == 401
    line.request("POST", "/v1/chat/completions", BODY, {**JSON, "Authorization": f"Bearer {token}"})
    with line.getresponse() as answer:
        assert answer.status == 200
    line.close()
    process.terminate()
    process.communicate(timeout=20)


def test_a_port_that_is_taken_is_told(live):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*ADVISE, "serve", "--state", str(live), "--port", str(port)], capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 2 and f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
def test_secrets_are_for_their_owner_only_and_keys_are_hashed(state):
    token = Keys(state).add("acme")[1]
    with serving(state):
        pass
    for name in ("keys.json", "seal.key"):
        assert (state / name).stat().st_mode & 0o077 == 0
    assert (
        token not in (state / "keys.json").read_text() and token[12:] not in (state / "keys.json").read_text()
    )
