"""A model whose answers are written beforehand, for tests and rehearsals without a model."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.models.port import Completion, Delta, Messages, ModelError, ModelMissing, Usage

Output = str | Completion | ModelError
"""An answer, or the error to raise in its place."""

Script = Sequence[Output] | Mapping[str, Output] | Callable[[Messages], Output]


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as the model received it."""

    messages: Messages
    schema: Mapping[str, Any] | None
    max_tokens: int
    temperature: float
    tools: Sequence[Mapping[str, Any]] | None
    stop: Sequence[str] | None


class Scripted:
    """Answers from a list in order, from a mapping by the last user message, or from a function.

    Attributes:
        asked: The calls so far, oldest first.
    """

    def __init__(self, name: str = "", *, outputs: Script | None = None) -> None:
        self._name = name
        self._outputs = _from_file(name) if outputs is None else outputs
        self.asked: list[Asked] = []

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
        """Return the next written answer; see `ChatModel`. Only `stop` changes it."""
        self.asked.append(Asked(messages, schema, max_tokens, temperature, tools, stop))
        output = self._next(messages)
        if isinstance(output, ModelError):
            raise output
        if isinstance(output, Completion):
            return output
        cuts = [output.find(s) for s in stop or () if s in output]
        text = output[: min(cuts)] if cuts else output
        said = sum(len(str(m.get("content") or "").split()) for m in messages)
        usage = Usage(input_tokens=said, output_tokens=len(text.split()))
        return Completion(text=text, usage=usage, finish_reason="stop", model=f"scripted:{self._name}")

    async def astream(self, messages: Messages, **options: Any) -> AsyncGenerator[Delta, None]:
        """Give the next written answer word by word; see `ChatModel`."""
        completion = self.complete(messages, **options)
        for word in re.findall(r"\s*\S+|\s+", completion.text):
            yield Delta(text=word)
        yield Delta(completion=completion)

    def _next(self, messages: Messages) -> Output:
        if callable(self._outputs):
            return self._outputs(messages)
        if isinstance(self._outputs, Mapping):
            question = next(
                (str(m.get("content")) for m in reversed(messages) if m.get("role") == "user"), ""
            )
            if question not in self._outputs:
                raise ModelError(f"the script has no answer to {question[:80]!r}")
            return self._outputs[question]
        if len(self.asked) > len(self._outputs):
            raise ModelError(f"the script ends after {len(self._outputs)} answers")
        return self._outputs[len(self.asked) - 1]


def _from_file(name: str) -> Script:
    try:
        script = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelMissing(
            f"no script at {name!r}", hint="name a JSON file that holds a list or an object of answers"
        ) from error
    if not isinstance(script, list | dict):
        raise ModelMissing(f"{name}: holds neither a list nor an object of answers")
    return script
