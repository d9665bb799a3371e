"""Tells chatbot failures that need knowledge from those that need training, and plans the cheapest remedy.

Names are loaded on first use, so that `advise --help` and `import advisor` stay fast.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advisor.advisor import Advisor
    from advisor.diagnosis import Diagnosis
    from advisor.evidence import Evidence
    from advisor.exchange import Exchange
    from advisor.issues import Issue
    from advisor.plan import Plan, Remedy
    from advisor.result import Result
    from router.contract.rules import Contract, Rule

__all__ = [
    "Advisor",
    "Contract",
    "Diagnosis",
    "Evidence",
    "Exchange",
    "Issue",
    "Plan",
    "Remedy",
    "Result",
    "Rule",
]
__version__ = "0.1.0"

_HOME = {
    "Advisor": "advisor.advisor",
    "Contract": "router.contract.rules",
    "Diagnosis": "advisor.diagnosis",
    "Evidence": "advisor.evidence",
    "Exchange": "advisor.exchange",
    "Issue": "advisor.issues",
    "Plan": "advisor.plan",
    "Remedy": "advisor.plan",
    "Result": "advisor.result",
    "Rule": "router.contract.rules",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'advisor' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def _refuse_shadowed_siblings() -> None:
    # `rag`, `router` and `finetune` are what host applications like to call their own modules; without this
    # check the first use fails far away with a puzzling AttributeError.
    root = Path(__file__).parents[1]
    for name in ("rag", "router", "finetune"):
        spec = find_spec(name)
        where = Path(spec.origin) if spec and spec.origin else None
        if where is not None and where.parent.parent != root:
            raise ImportError(
                f"`{name}` resolves to {where}, not to the package installed with rightfix; "
                f"rename that module or start Python outside its folder"
            )


_refuse_shadowed_siblings()
