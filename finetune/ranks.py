"""Ranks: the processes that train one job together, one for each GPU; rank 0 starts the others, and they end with it.

The environment is that of `torchrun`, so that accelerate finds what it knows. Its launcher is not used: it would be one process more,
whose end by `kill -9` leaves the others training. Here rank 0 is the launcher, and holds the job's lock before another rank is started.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from finetune.backends.port import JobRefused
from finetune.recipe import Recipe


def asked(recipe: Recipe) -> int | None:
    """Return how many processes a recipe asks for; None if it leaves that to the machine.

    Raises:
        JobRefused: That is no number, or what is asked cannot be trained by several.
    """
    found = recipe.extra.get("processes")
    if found is not None and (isinstance(found, bool) or not isinstance(found, int) or found < 1):
        raise JobRefused(f"processes is {found!r}", hint="set extra.processes to a whole number from 1")
    if recipe.extra.get("sharded") and recipe.weights == "qlora":
        raise JobRefused(
            "4-bit weights are not sharded", hint="take extra.sharded out, or train lora or full"
        )
    return found


def count(recipe: Recipe, *, batch_size: int, gpus: int) -> int:
    """Return how many processes train together, so that each sees an equal share of every batch.

    Left to the machine, it is the largest number up to that of the GPUs that divides the batch size; the other GPUs rest.

    Args:
        recipe: `extra.processes` and `extra.sharded` count.
        batch_size: Examples a step, over all processes.
        gpus: On this machine; without any, as many processes as are asked for share the processor.

    Raises:
        JobRefused: More are asked for than there are GPUs, or they do not divide the batch, or there is nothing to shard over.
    """
    wanted = asked(recipe)
    if wanted is not None and 0 < gpus < wanted:
        raise JobRefused(
            f"{wanted} processes are asked for, and this machine has {gpus} GPU{'s' if gpus > 1 else ''}",
            hint=f"set extra.processes to {gpus} or less",
        )
    if wanted is not None and batch_size % wanted:
        raise JobRefused(
            f"batch_size {batch_size} is not divisible by {wanted} processes",
            hint=f"set batch_size to {(batch_size // wanted + 1) * wanted}, or extra.processes to {_divisor(batch_size, wanted)}",
        )
    if recipe.extra.get("sharded") and gpus < 2:
        raise JobRefused(f"sharded needs several GPUs, and this machine has {gpus}", hint="take extra.sharded out")  # fmt: skip
    return wanted or _divisor(batch_size, max(1, gpus))


def _divisor(batch_size: int, most: int) -> int:
    return next(n for n in range(min(most, batch_size), 0, -1) if batch_size % n == 0)


@contextmanager
def together(ranks: int, command: Sequence[str], lost: Callable[[str], None]) -> Iterator[None]:
    """Run the other ranks beside this process, which is rank 0; they are gone afterwards, also if this process is killed.

    Args:
        ranks: How many there are, with this one.
        command: What is started, with the number of its rank behind it. It calls `follow` first.
        lost: Called from a thread with the last line that a rank printed, if that failed or was killed. It must end this process,
            which may wait for the lost one in a collective for ever.
    """
    if ranks == 1:
        yield
        return
    common = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}  # fmt: skip
    before = dict(os.environ)
    over = threading.Event()
    started: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(1, ranks):
            own = {**before, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            process = subprocess.Popen([*command, str(rank)], env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
            started.append(process)
            threading.Thread(target=_watch, args=(process, over, lost), daemon=True).start()
        os.environ.update({**common, "RANK": "0", "LOCAL_RANK": "0"})
        yield
    finally:
        over.set()
        for process in started:
            process.kill()
        for process in started:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        for name in (*common, "RANK", "LOCAL_RANK"):
            os.environ.pop(name, None)
        os.environ.update(before)


def follow() -> None:
    """Make this process a follower of rank 0: it ends when that does, and leaves it to that one to be told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_bound, args=(sys.stdin.buffer,), daemon=True).start()


def _bound(line: BinaryIO) -> None:
    # The other end is held by rank 0 alone: it is closed by whatever ends that process, kill -9 too.
    line.read()
    os._exit(1)


def _watch(process: subprocess.Popen[bytes], over: threading.Event, lost: Callable[[str], None]) -> None:
    assert process.stdout is not None
    try:
        said = process.stdout.read().decode(errors="replace").strip().splitlines()
    except ValueError:  # closed, as all is over
        return
    if process.wait() != 0 and not over.is_set():
        lost(said[-1] if said else "")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
