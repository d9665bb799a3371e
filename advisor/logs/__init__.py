"""Reading chatbot logs of any kind into Exchanges."""

from __future__ import annotations

from advisor.logs.files import InputError
from advisor.logs.reading import Counts, Reading, read

__all__ = ["Counts", "InputError", "Reading", "read"]
