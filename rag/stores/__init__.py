"""Vector stores behind one port. `load("chroma")` gives one; its package is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec

from rag.stores.port import StoreMissing, VectorStore

STORES: dict[str, str] = {
    "memory": "rag.stores.memory:Memory",
    "chroma": "rag.stores.chroma:make",
    "langchain": "rag.stores.langchain:refuse",
}
"""Name to `module:name` of what makes it. What stands behind a colon in a reference goes to its maker."""


def default() -> str:
    """Return `chroma` where the extra `rag` is installed, else `memory`."""
    return "chroma" if find_spec("chromadb") is not None else "memory"


def load(reference: str) -> VectorStore:
    """Return the store that `name` or `name:address` names.

    Args:
        reference: `memory`, `chroma` (files), or `chroma:http://host:8000` (a server).

    Raises:
        StoreMissing: It is unknown, or its package is not there.
    """
    name, _, address = reference.partition(":")
    if name not in STORES:
        close = get_close_matches(name, STORES, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known are {', '.join(STORES)}"
        raise StoreMissing(f"unknown store {reference!r}", hint=hint)
    home, _, maker = STORES[name].partition(":")
    try:
        module = import_module(home)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "rag":
            raise
        raise StoreMissing(
            f"store {reference!r} needs the package {error.name!r}", hint="pip install 'rightfix[rag]'"
        ) from error
    make: Callable[..., VectorStore] = getattr(module, maker)
    return make(address) if address else make()
