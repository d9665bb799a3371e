"""Places where models are tuned, behind one port. `load("openai")` gives one; its package is imported only then."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from finetune.backends.port import JobRefused

if TYPE_CHECKING:
    from finetune.backends.port import Backend

BACKENDS: dict[str, str] = {
    "local": "finetune.backends.local:Local",
    "openai": "finetune.backends.openai:OpenAI",
    "azure": "finetune.backends.openai:Azure",
    "mantle": "finetune.backends.openai:Mantle",
    "bedrock": "finetune.backends.bedrock:Bedrock",
    "scripted": "finetune.backends.scripted:Scripted",
}
"""Name to `module:class`."""

_INSTALL = {
    "local": "rightfix[train]",
    "openai": "rightfix[openai]",
    "azure": "rightfix[openai]",
    "mantle": "rightfix[openai]",
    "bedrock": "rightfix[bedrock]",
}


def load(name: str, **options: Any) -> Backend:
    """Return the backend of a name.

    Raises:
        JobRefused: There is none, or its package is not installed.
    """
    if name not in BACKENDS:
        close = get_close_matches(name, BACKENDS, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(BACKENDS)}"
        raise JobRefused(f"unknown backend {name!r}", hint=hint)
    home, _, maker = BACKENDS[name].partition(":")
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "finetune":
            raise
        raise JobRefused(
            f"{name} needs the package {error.name!r}", hint=f"pip install '{_INSTALL[name]}'"
        ) from error
    found: Backend = getattr(module, maker)(**options)
    return found
