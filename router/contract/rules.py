"""Contract: what a good reply of this bot must satisfy, as declared rules and rules read off the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Origin = Literal["declared", "system", "request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing a reply must or must not do.

    Attributes:
        kind: Name of the checker in `router.contract.checkers.table.CHECKERS`, for instance `ends_with`.
        params: What the checker needs, for instance `{"text": "Anything else?"}`.
        origin: `declared` in the config, or read off the `system` prompt or the user's `request`.
        gap: What kind of fault a breach is, in the words of whoever reads the traces.
        cause: The finer word for it.
        quote: The words it was read from; empty for declared rules.
    """

    kind: str
    params: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = "declared"
    gap: str = "style"
    cause: str = "format"
    quote: str = ""

    @property
    def id(self) -> str:
        """Short name that is the same for the same rule, for grouping."""
        inner = ", ".join(f"{k}={v}" for k, v in sorted(self.params.items()))
        return f"{self.kind}({inner})"[:120]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The declared rules of one bot.

    Attributes:
        rules: Rules every reply must satisfy.
        labels: If the bot classifies, the allowed labels.
        read_prompts: Whether rules are also read off system prompts and requests.
    """

    rules: tuple[Rule, ...] = ()
    labels: tuple[str, ...] = ()
    read_prompts: bool = True
