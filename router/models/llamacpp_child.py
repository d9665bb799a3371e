"""The process in which llama.cpp runs: started by `router.models.llamacpp_engine` as a script, never imported.

Its first line of input is a JSON object of settings; its one line of output says the address it listens on, or why it does
not. It ends when its input ends, so that it never outlives the process that started it.

A process of its own, because llama.cpp's server takes over SIGINT and SIGTERM of the process it is in, keeps the
interpreter to itself while it loads, and would take everything down with it if it crashed.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import xllamacpp


def main() -> None:
    """Load the model, say where it is, and wait for the end of the input."""
    settings: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        server = xllamacpp.Server(_parameters(settings))
    except RuntimeError as error:
        _say({"error": str(error)})
        # The library's own threads do not end in order after a failure.
        os._exit(1)
    _say({"address": server.listening_address})
    while sys.stdin.readline():
        pass
    os._exit(0)


def _parameters(settings: dict[str, Any]) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    # The context is shared out evenly among the slots.
    params.n_ctx = settings["context"] * settings["slots"]
    params.n_parallel = settings["slots"]
    params.cpuparams.n_threads = settings["threads"]
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, 0.0) for path in settings["adapters"]]
    # A prompt read with one adapter must not be taken for one read with another; the store in memory does not tell them apart.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.verbosity = 1
    params.warmup = False
    params.ui = False
    params.endpoint_slots = True
    # Anybody on the machine can reach a local port; without the key nobody else can use it.
    params.api_keys = [settings["key"]]
    return params


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
