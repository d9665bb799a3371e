"""The one file that imports py3langid; it loads on use."""

from __future__ import annotations

from functools import lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def identify(text: str) -> tuple[str, float]:
    """Return the ISO 639-1 code of the language of `text` and its probability, 0-1."""
    language, sure = _identifier().classify(text)
    return str(language), float(sure)
