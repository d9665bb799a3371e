"""Chat models behind one port. `load("provider:name")` gives one; its package is imported only then."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.models.port import ModelMissing

if TYPE_CHECKING:
    from router.models.port import ChatModel

PROVIDERS: dict[str, str] = {
    "openai": "router.models.langchain:openai",
    "anthropic": "router.models.langchain:anthropic",
    "azure": "router.models.langchain:azure",
    "mantle": "router.models.langchain:mantle",
    "bedrock": "router.models.langchain:bedrock",
    "local": "router.models.llamacpp:local",
    "hf": "router.models.transformers:Transformers",
    "head": "router.models.head:Head",
    "scripted": "router.models.scripted:Scripted",
}
"""Provider to `module:name` of what makes its model; `openai` also reaches every OpenAI-compatible server."""

_INSTALL = {"router.models.langchain": "rightfix[judge]", "router.models.transformers": "rightfix[train]"}
_WITH_ADAPTERS = ("local", "hf")


def load(reference: str, *, adapters: Path | None = None, **options: Any) -> ChatModel:
    """Return the model that `provider:name` names.

    Args:
        reference: For instance `openai:gpt-4.1-mini`, `local:smollm2`, or `local:smollm2+ID` with an adapter.
        adapters: Folder of the adapters of models on this machine; others do not look at it.
        options: Options of the provider, for instance `base_url` for `openai`.

    Raises:
        ModelMissing: The provider is unknown, or its package, file or key is not there.
    """
    provider, _, name = reference.partition(":")
    if provider not in PROVIDERS:
        close = get_close_matches(provider, PROVIDERS, n=1)
        hint = f"did you mean `{close[0]}:`?" if close else f"known are {', '.join(PROVIDERS)}"
        raise ModelMissing(f"unknown model provider {provider!r} in {reference!r}", hint=hint)
    home, _, maker = PROVIDERS[provider].partition(":")
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "router":
            raise
        raise ModelMissing(
            f"{reference!r} needs the package {error.name!r}", hint=f"pip install '{_INSTALL[home]}'"
        ) from error
    if provider in _WITH_ADAPTERS:
        options["adapters"] = adapters
    model: ChatModel = getattr(module, maker)(name, **options)
    return model
