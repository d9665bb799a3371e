"""OpenAI's byte-pair encodings from the package `bpe-openai`, which holds them and needs no network."""

from __future__ import annotations

import warnings
from collections.abc import Callable

with warnings.catch_warnings():
    # The package reads its data by a function that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import bpe_openai


def counter(name: str) -> Callable[[str], int]:
    """Return what counts the tokens of a text, for instance for `o200k_base`."""
    encoding = bpe_openai.get_encoding(name)
    return lambda text: len(encoding.encode_ordinary(text))
