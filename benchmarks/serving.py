"""What the server adds: requests at a fixed rate from a second process, beside a bare proxy and a plain LangChain chatbot.

    python benchmarks/serving.py [--rate 500] [--seconds 60] [--stream] [--only floor ours index langchain]
    python benchmarks/serving.py streams [--count 10000]
    python benchmarks/serving.py overhead [--count 3000]

Every server has the same fake model in its own process, which answers at once with the same 20 words:

    floor      Starlette that parses the request, asks the fake and writes the answer: what any proxy must do
    ours       `advise serve` with keys, limits, contract and traces; no index
    index      the same, searching the example shop's pages (static embeddings) for every question
    langchain  FastAPI with a pydantic request and `prompt | model` of LangChain: what one would write in an evening

Requests come at fixed times whether or not earlier ones were answered (open loop), and a request's time counts from when it was due,
so a server that stalls is not spared. Needs aiohttp, fastapi, langchain-core and the extra `serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORDS = "We send parcels every day and a refund takes about six working days after it has reached our warehouse again."
QUESTIONS = (
    "How long does a refund take?",
    "What does a parcel to Norway cost?",
    "How long is a gift card valid?",
    "Can I hire a tent?",
    "How do I wash a waterproof jacket?",
    "When are the shops open?",
)
SERVERS = ("floor", "ours", "index", "langchain")


# The servers, each in a process of its own


class Fake:
    """A model that answers at once."""

    async def astream(self, messages: Any, **options: Any) -> Any:
        from router.models.port import Completion, Delta, Usage

        for word in WORDS.split(" "):
            yield Delta(text=f"{word} ")
        usage = Usage(input_tokens=40, output_tokens=20)
        yield Delta(completion=Completion(text=WORDS, usage=usage, finish_reason="stop", model="fake"))


class Idle:
    """A model that says one word and then nothing."""

    async def astream(self, messages: Any, **options: Any) -> Any:
        from router.models.port import Delta

        yield Delta(text="Well")
        await asyncio.sleep(3600)


def floor(port: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    async def chat(request: Request) -> Any:
        body = await request.json()
        deltas = Fake().astream(body["messages"])
        if body.get("stream"):

            async def events() -> Any:
                async for delta in deltas:
                    choice = {"index": 0, "delta": {"content": delta.text}}
                    yield f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
                yield "data: [DONE]\n\n"

            return StreamingResponse(events(), media_type="text/event-stream")
        said = "".join([delta.text async for delta in deltas])
        return JSONResponse({"object": "chat.completion", "choices": [{"message": {"content": said}}]})

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    uvicorn.run(app, port=port, access_log=False, log_level="error")


def langchain(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
    from pydantic import BaseModel

    class Message(BaseModel):
        role: str
        content: str

    class Body(BaseModel):
        model: str
        messages: list[Message]
        stream: bool = False

    prompt = ChatPromptTemplate([("system", "You help."), MessagesPlaceholder("messages")])
    chain = prompt | FakeListChatModel(responses=[WORDS])
    app = FastAPI()

    # FastAPI looks annotations up among the names of the module.
    async def chat(body: Body) -> Any:
        given = {"messages": [(m.role, m.content) for m in body.messages]}
        if body.stream:

            async def events() -> Any:
                async for chunk in chain.astream(given):
                    choice = {"index": 0, "delta": {"content": chunk.content}}
                    yield f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
                yield "data: [DONE]\n\n"

            return StreamingResponse(events(), media_type="text/event-stream")
        said = await chain.ainvoke(given)
        return {"object": "chat.completion", "choices": [{"message": {"content": said.content}}]}

    chat.__annotations__["body"] = Body
    app.post("/v1/chat/completions")(chat)
    uvicorn.run(app, port=port, access_log=False, log_level="error")


def ours(port: int, *, index: bool = False, idle: bool = False) -> None:
    from rag.index import Index
    from rag.loading import load
    from router.chatbot import Chatbot
    from router.prompts import Prompt, Prompts
    from router.releases import Release, Releases, Retrieving
    from router.server import app, figures, serving
    from router.server.keys import Keys
    from router.server.seal import Seal
    from router.server.settings import Settings

    state = Path(os.environ["BENCHMARK_STATE"])
    version = None
    if index:
        with Index(state / "index", embedder="static", store="memory") as made:
            version = made.build(load(ROOT / "examples/shop/documents").documents).id
    prompt = Prompts(state).add(Prompt.of("You help."))
    retrieving = Retrieving(cite=not idle, grounded=not idle)
    released = Releases(state).add(
        Release(model="fake:fake", prompt=prompt, index=version, retrieving=retrieving)
    )
    settings = Settings(per_minute=None, at_once=20_000, tenant_at_once=20_000, timeout_s=600)
    with Chatbot(state, load=lambda reference: Idle() if idle else Fake()) as bot:
        bot.pointer.promote(released)
        keys = Keys(state)
        (state / "token").write_text(keys.add("acme")[1], encoding="utf-8")
        parts = app.Parts(
            chatbot=bot, keys=keys, own=True, seal=Seal(state), settings=settings, figures=figures.Figures(),
            background=(lambda: watched(state),) if idle else (),
        )  # fmt: skip
        with serving.listening("127.0.0.1", port, keys=keys) as listener:
            serving.Serving(app.app(parts), listener, settings).run(started=lambda: None)


async def watched(state: Path) -> None:
    """Write down every second what is held."""
    import gc

    while True:
        await asyncio.sleep(1)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what is free but not given back is no leak
        held = {
            "tasks": len(asyncio.all_tasks()), "sockets": len(list(Path("/proc/self/fd").iterdir())), "memory_mb": memory_mb("self"),
            "python_mb": tracemalloc.get_traced_memory()[0] / 2**20,
        }  # fmt: skip
        (state / "held.part").write_text(json.dumps(held), encoding="utf-8")
        (state / "held.part").replace(state / "held.json")


# The load, in a process of its own


async def load_of(url: str, token: str, rate: float, seconds: float, stream: bool) -> dict[str, Any]:
    import aiohttp

    times: list[float] = []
    errors: dict[str, int] = {}
    loop = asyncio.get_running_loop()

    async def one(session: aiohttp.ClientSession, n: int, due: float) -> None:
        body = {
            "model": "live", "messages": [{"role": "user", "content": QUESTIONS[n % len(QUESTIONS)]}], "stream": stream,
            "metadata": {"conversation": f"c-{n}"},
        }  # fmt: skip
        try:
            async with session.post(url, data=json.dumps(body)) as answer:
                text = await answer.read()
                good = answer.status == 200 and (b"[DONE]" in text if stream else b"choices" in text)
                if not good:
                    errors[str(answer.status)] = errors.get(str(answer.status), 0) + 1
        except (aiohttp.ClientError, OSError) as error:
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
        times.append(loop.time() - due)

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(limit=1000, keepalive_timeout=60)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        tasks = set()
        began = loop.time()
        for n in range(round(rate * seconds)):
            due = began + n / rate
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.ensure_future(one(session, n, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        sent = loop.time() - began
        await asyncio.gather(*tasks)
    times.sort()
    return {
        "requests": len(times), "sent_s": sent, "per_s": len(times) / (loop.time() - began), "errors": errors,
        "p50_ms": 1000 * times[len(times) // 2], "p99_ms": 1000 * times[int(len(times) * 0.99)], "max_ms": 1000 * times[-1],
    }  # fmt: skip


# Both together


def memory_mb(pid: int | str) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def cpu_s(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def spawned(*args: str, state: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "BENCHMARK_STATE": str(state), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, __file__, *args], env=environment, stdout=subprocess.PIPE, text=True
    )


def up(port: int) -> None:
    import socket

    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing listens on {port}")


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def measured(name: str, rate: float, seconds: float, stream: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        state, port = Path(folder), free_port()
        server = spawned("a-server", name, str(port), state=state)
        try:
            up(port)
            token = (state / "token").read_text(encoding="utf-8") if (state / "token").exists() else "none"
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            found: dict[str, Any] = {}
            for length in (3.0, seconds):  # the first is for warming up
                before = cpu_s(server.pid)
                client = spawned(
                    "a-client", url, token, str(rate), str(length), str(int(stream)), state=state
                )
                out, _ = client.communicate()
                found = json.loads(out)
                found["cpu_ms"] = 1000 * (cpu_s(server.pid) - before) / found["requests"]
            return found | {"memory_mb": memory_mb(server.pid)}
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def busy() -> str:
    return f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def table(args: argparse.Namespace) -> None:
    print(
        f"{args.rate:.0f} requests/s for {args.seconds:.0f} s, {'streamed' if args.stream else 'whole'}; {busy()} before\n"
    )
    print(
        "| server | answered/s | p50 (ms) | p99 (ms) | worst (ms) | CPU a request (ms) | memory (MB) | errors |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in args.only:
        f = measured(name, args.rate, args.seconds, args.stream)
        print(
            f"| {name} | {f['per_s']:.0f} | {f['p50_ms']:.2f} | {f['p99_ms']:.1f} | {f['max_ms']:.0f} | {f['cpu_ms']:.2f} | {f['memory_mb']:.0f} | {f['errors'] or 0} |",
            flush=True,
        )
    print(f"\n{busy()} after")


async def opened(url: str, token: str, count: int) -> int:
    """Open streams, read the first word of each, hold all, then drop all; return how many were open together."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"model": "live", "messages": [{"role": "user", "content": "Go on"}], "stream": True})
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    lines: list[asyncio.StreamWriter] = []
    limit = asyncio.Semaphore(200)

    async def one() -> None:
        async with limit:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode())
            await reader.readuntil(b"Well")
            lines.append(writer)

    await asyncio.gather(*(one() for _ in range(count)))
    together = len(lines)
    for writer in lines:
        writer.transport.abort()
    return together


def streams(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state, port = Path(folder), free_port()
        os.environ["PYTHONTRACEMALLOC"] = "1"
        server = spawned("a-server", "idle", str(port), state=state)
        try:
            up(port)
            time.sleep(2)
            token = (state / "token").read_text(encoding="utf-8")
            print(
                f"{args.count} idle streams opened, held together and dropped, {args.rounds} times; {busy()}\n"
            )
            print(
                "| | tasks | sockets and files | Python's own memory (MB) | resident (MB) |\n|---|---|---|---|---|"
            )
            print(held("before", state), flush=True)
            for n in range(args.rounds):
                client = spawned("a-holder", f"http://127.0.0.1:{port}", token, str(args.count), state=state)
                out, _ = client.communicate()
                took = settled(state)
                print(held(f"{took:.0f} s after {out.strip()} streams, round {n + 1}", state), flush=True)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def settled(state: Path) -> float:
    """Wait until all that the streams held is let go, two minutes at most; return how long that took."""
    began, wanted = time.monotonic(), 10
    while time.monotonic() - began < 120:
        time.sleep(1)
        if json.loads((state / "held.json").read_text(encoding="utf-8"))["tasks"] < wanted:
            time.sleep(2)
            break
    return time.monotonic() - began


def overhead(args: argparse.Namespace) -> None:
    """What each part adds to a reply of the fake model, one request after the other, all in one process."""
    from rag.index import Index
    from rag.loading import load
    from router.chatbot import Chatbot
    from router.contract.rules import Contract, Rule
    from router.prompts import Prompt, Prompts
    from router.releases import Release, Releases
    from router.traces import TO_FILES

    rules = Contract(
        rules=(Rule(kind="words", params={"max": 60}), Rule(kind="ends_with", params={"text": "Bye."}))
    )
    print(
        f"{args.count} replies each, one after the other; {busy()}\n\n| | p50 (ms) | p99 (ms) |\n|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        with Index(state / "index", embedder="static", store="memory") as made:
            version = made.build(load(ROOT / "examples/shop/documents").documents).id
        prompt = Prompts(state).add(Prompt.of("You help."))
        plain = Release(model="fake:fake", prompt=prompt)
        steps = (
            ("+ routing and composing", plain, None),
            ("+ contract of two rules", Release(model="fake:fake", prompt=prompt, contract=rules), None),
            ("+ retrieval, citations checked", Release(model="fake:fake", prompt=prompt, contract=rules, index=version), None),
            ("+ traces", Release(model="fake:fake", prompt=prompt, contract=rules, index=version), TO_FILES),
        )  # fmt: skip
        print(row("the fake model alone", asyncio.run(timed(bare, args.count))), flush=True)
        for name, release, tracing in steps:
            with Chatbot(state, load=lambda reference: Fake(), tracing=tracing) as bot:
                bot.pointer.promote(Releases(state).add(release))
                print(row(name, asyncio.run(timed(bot.areply, args.count))), flush=True)


async def bare(messages: Any, **asked: Any) -> str:
    return "".join([delta.text async for delta in Fake().astream(messages)])


async def timed(answer: Any, count: int) -> list[float]:
    times = []
    for n in range(count + 100):
        began = time.perf_counter()
        await answer([{"role": "user", "content": QUESTIONS[n % len(QUESTIONS)]}], conversation=f"c-{n}")
        times.append(time.perf_counter() - began)
    return sorted(times[100:])


def row(name: str, times: list[float]) -> str:
    return f"| {name} | {1000 * times[len(times) // 2]:.2f} | {1000 * times[int(len(times) * 0.99)]:.2f} |"


def held(when: str, state: Path) -> str:
    h = json.loads((state / "held.json").read_text(encoding="utf-8"))
    return f"| {when} | {h['tasks']} | {h['sockets']} | {h['python_mb']:.2f} | {h['memory_mb']:.0f} |"


def inner(args: list[str]) -> bool:
    """Do what a process of this benchmark is started for."""
    if args[:1] == ["a-server"]:
        name, port = args[1], int(args[2])
        {
            "floor": floor, "langchain": langchain, "ours": ours, "index": lambda p: ours(p, index=True),
            "idle": lambda p: ours(p, idle=True),
        }[name](port)  # fmt: skip
    elif args[:1] == ["a-client"]:
        url, token, rate, seconds, stream = args[1:]
        print(json.dumps(asyncio.run(load_of(url, token, float(rate), float(seconds), stream == "1"))))
    elif args[:1] == ["a-holder"]:
        print(asyncio.run(opened(args[1], args[2], int(args[3]))))
    else:
        return False
    return True


def main() -> None:
    if inner(sys.argv[1:]):
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("load", "streams", "overhead"), default="load")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--count", type=int, default=10_000, help="streams, or replies")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    {"load": table, "streams": streams, "overhead": overhead}[args.what](args)


if __name__ == "__main__":
    main()
