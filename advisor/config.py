"""Configuration: one YAML file, every key checked, every fault named at once with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advisor.evidence import CAUSES, Gap
from advisor.logs.files import InputError
from router.contract.rules import Contract, Rule
from router.releases import Price


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Logs(_Strict):
    """How logs are read."""

    field_map: Annotated[
        dict[str, str], Field(description="field of an exchange to dotted path in a record")
    ] = {}


class DeclaredRule(BaseModel):
    """A rule every reply must satisfy; keys beside these are what its kind needs, such as `text`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    gap: Gap = "style"
    cause: str = "format"


class DeclaredContract(_Strict):
    """What a good reply must satisfy."""

    rules: tuple[DeclaredRule, ...] = ()
    labels: tuple[str, ...] = ()
    read_prompts: bool = True


class TokenPrice(_Strict):
    """US dollars for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


def priced(own: TokenPrice | None) -> Price | None:
    """Return a price of the settings as models have it; None for none."""
    return Price(input=own.input, output=own.output) if own is not None else None


class JudgeSettings(_Strict):
    """The optional model that votes on what is left open."""

    model: str | None = None
    cap_usd: float = Field(default=1.0, ge=0)
    cap_calls: int = Field(default=500, ge=0)
    price: TokenPrice | None = None


class ChatSettings(_Strict):
    """The bot that `advise release make` bundles."""

    model: str = "local:smollm2"
    prompt: Path | None = None
    no_answer: str = "I do not know."
    fallback: str | None = None
    retrieve: bool = True
    k: int = Field(default=3, ge=1)
    decline_below: float = Field(default=0.0, ge=0, le=1)
    cite: bool = True
    grounded: bool = True
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    stop: tuple[str, ...] = ()
    strict: bool = True
    retries: int = Field(default=1, ge=0, le=5)
    stream: Literal["auto", "live", "checked"] = "auto"
    price: TokenPrice | None = None


class ProbeSettings(_Strict):
    """The bot that probes ask, and how much."""

    bot: str | None = None
    base_url: str | None = None
    open_to: tuple[Literal["settings", "prompt", "passages"], ...] = ()
    failures: int = Field(default=12, ge=1)
    good: int = Field(default=10, ge=0)
    repeats: int = Field(default=3, ge=1)
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    cap_calls: int = Field(default=2000, ge=0)
    cap_usd: float = Field(default=1.0, ge=0)
    price: TokenPrice | None = None


class ImproveSettings(_Strict):
    """The optional model that rewrites prompts where settings, rules and examples do not mend everything."""

    model: str | None = None
    judged: int = Field(default=150, ge=1)
    cap_calls: int = Field(default=40, ge=0)
    cap_usd: float = Field(default=1.0, ge=0)
    price: TokenPrice | None = None


class TrainSettings(_Strict):
    """How `advise apply` trains, where the plan says that training is the remedy."""

    base: str | None = None
    weights: Literal["lora", "qlora", "full"] = "lora"
    objective: Literal["sft", "dpo"] = "sft"
    examples: tuple[Path, ...] = ()
    replay_share: float = Field(default=0.2, ge=0, le=0.9)
    epochs: float | None = Field(default=None, gt=0)
    cap_usd: float = Field(default=0.0, ge=0)
    open_cap_usd: float | None = Field(default=None, ge=0)


class GateSettings(_Strict):
    """How much the gate asks before it decides."""

    good: int = Field(default=150, ge=0)
    general: int = Field(default=300, ge=0)
    cap_calls: int = Field(default=10_000, ge=0)
    cap_usd: float = Field(default=1.0, ge=0)
    margin: float = Field(default=0.02, ge=0, le=1)
    share: float = Field(default=0.1, gt=0, lt=1)


class Allowed(_Strict):
    """US dollars up to which a kind of remedy may be applied without asking; null: not at all."""

    ChangePrompt: float | None = Field(default=None, ge=0)
    UpdateIndex: float | None = Field(default=None, ge=0)
    FineTune: float | None = Field(default=None, ge=0)


class RunSettings(_Strict):
    """What `advise run` does, for cron and pipelines."""

    logs: tuple[Path, ...] = ()
    window_days: float = Field(default=30, gt=0)
    probe: bool = False
    allow: Allowed = Allowed()
    webhook: str | None = None
    fail_on: tuple[str, ...] = ()


class ServeSettings(_Strict):
    """What is live, over HTTP."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    unknown: Literal["default", "refuse"] = "default"
    at_once: int = Field(default=64, ge=1)
    tenant_at_once: int = Field(default=48, ge=1)
    per_minute: int | None = Field(default=600, ge=1)
    body_bytes: int = Field(default=2**20, ge=1024)
    timeout_s: float = Field(default=120, gt=0)
    read_s: float = Field(default=10, gt=0)
    grace_s: float = Field(default=30, gt=0)
    origins: tuple[str, ...] = ()
    title: str | None = "Chat"
    traces: Literal["full", "masked", "none"] = "full"
    keep: int | None = Field(default=None, ge=1)
    watch: Literal["off", "return", "promote"] = "return"
    watch_every_s: float = Field(default=5, gt=0)


class ReportSettings(_Strict):
    """What the report shows."""

    mask: bool = True


class IndexSettings(_Strict):
    """Where the bot's documents are searched, and how."""

    folder: Path | None = None
    sources: tuple[Path, ...] = ()
    candidates: tuple[Path, ...] = ()
    embedder: str = "auto"
    store: str = "auto"
    max_tokens: int = Field(default=200, ge=16)
    context: bool = True
    filterable: tuple[str, ...] = ()
    k: int = Field(default=5, ge=1)
    dense: float | None = Field(default=None, ge=0, le=1)
    per_document: int = Field(default=1, ge=1)
    expand: bool = False
    reranker: str | None = None
    try_reranker: str | None = None
    keep: int = Field(default=3, ge=1)


class Config(_Strict):
    """All settings. Paths are relative to the file that holds them."""

    documents: tuple[Path, ...] = ()
    labelled: Path | None = None
    labels: Path | None = None
    state: Path = Path(".advisor")
    weights: Path | None = None
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    logs: Logs = Logs()
    contract: DeclaredContract = DeclaredContract()
    judge: JudgeSettings = JudgeSettings()
    index: IndexSettings = IndexSettings()
    chat: ChatSettings = ChatSettings()
    probe: ProbeSettings = ProbeSettings()
    improve: ImproveSettings = ImproveSettings()
    train: TrainSettings = TrainSettings()
    gate: GateSettings = GateSettings()
    run: RunSettings = RunSettings()
    serve: ServeSettings = ServeSettings()
    report: ReportSettings = ReportSettings()


def load(path: Path | str | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the settings of a file, or the defaults without one, with some keys overridden.

    Args:
        path: The YAML file.
        overrides: Values by dotted key, for instance `{"judge.model": "local:smollm2"}`; paths in them are
            relative to the working directory.

    Raises:
        InputError: The file cannot be read, or has faults; the message has one line for each.
    """
    data, root = _read(Path(path)) if path is not None else ({}, None)
    for key, value in (overrides or {}).items():
        _set(data, key, value)
    where = Path(path) if path is not None else Path("settings")
    lines = _lines(root) if root is not None else {}
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        faults = [_told(where, lines, e) for e in error.errors()]
        raise InputError("\n".join(faults)) from None
    faults = [f"{where}{_at(lines, at)}: {text}" for at, text in _rule_faults(config)]
    if faults:
        raise InputError("\n".join(faults))
    return _anchored(config, where.parent, set(overrides or {})) if path is not None else config


def contract_of(config: Config) -> Contract:
    """Return the contract the settings declare."""
    declared = config.contract
    rules = tuple(
        Rule(kind=r.kind, params=dict(r.model_extra or {}), gap=r.gap, cause=r.cause) for r in declared.rules
    )
    return Contract(rules=rules, labels=declared.labels, read_prompts=declared.read_prompts)


def keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key there is."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _read(path: Path) -> tuple[dict[str, Any], yaml.Node | None]:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}" if mark is not None else ""
        raise InputError(f"{path}{at}: is not YAML ({getattr(error, 'problem', None) or error})") from None
    if data is not None and not isinstance(data, dict):
        raise InputError(f"{path}:1: must hold keys such as `documents:`, not a {type(data).__name__}")
    return data or {}, root


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = key.split(".")
    for name in outer:
        inner = data.get(name)
        data[name] = dict(inner) if isinstance(inner, Mapping) else {}
        data = data[name]
    data[last] = value


def _lines(node: yaml.Node, at: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], int]:
    """Line of every key and item, by its place."""
    found = {at: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*at, str(key.value))
            found |= {**_lines(value, place), place: key.start_mark.line + 1}
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            found |= _lines(value, (*at, i))
    return found


def _at(lines: Mapping[tuple[str | int, ...], int], place: Iterable[str | int]) -> str:
    place = tuple(place)
    while place and place not in lines:
        place = place[:-1]
    return f":{lines[place]}" if place in lines else ""


def _told(where: Path, lines: Mapping[tuple[str | int, ...], int], error: Any) -> str:
    place = tuple(error["loc"])
    name = ".".join(map(str, place))
    if error["type"] == "extra_forbidden":
        outer = ".".join(str(p) for p in place[:-1])
        known = [
            k.removeprefix(f"{outer}.").partition(".")[0]
            for k in keys()
            if k.startswith(f"{outer}." if outer else "")
        ]
        near = get_close_matches(str(place[-1]), known, n=1)
        mend = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(dict.fromkeys(known))}"
        return f"{where}{_at(lines, place)}: unknown key `{name}`; {mend}"
    told = str(error["msg"]).removeprefix("Value error, ")
    return (
        f"{where}{_at(lines, place)}: `{name}`: {told[:1].lower()}{told[1:]} (given: {error['input']!r:.80})"
    )


def _rule_faults(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not config.contract.rules:
        return
    from router.contract.checkers.table import (
        CHECKERS,  # the checkers are only needed where rules are declared
    )

    for i, rule in enumerate(config.contract.rules):
        place: tuple[str | int, ...] = ("contract", "rules", i)
        if rule.kind not in CHECKERS:
            near = get_close_matches(rule.kind, CHECKERS, n=1)
            mend = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(CHECKERS))}"
            yield (*place, "kind"), f"unknown kind of rule `{rule.kind}`; {mend}"
        if rule.cause not in CAUSES[rule.gap]:
            yield (
                (*place, "cause"),
                f"`{rule.cause}` is no cause under {rule.gap}; known: {', '.join(CAUSES[rule.gap])}",
            )


def _anchored(config: Config, folder: Path, overridden: set[str]) -> Config:
    def at(path: Path | None, key: str) -> Path | None:
        return path if path is None or key in overridden else folder / path

    return config.model_copy(
        update={
            "documents": tuple(p if "documents" in overridden else folder / p for p in config.documents),
            "labelled": at(config.labelled, "labelled"), "labels": at(config.labels, "labels"),
            "weights": at(config.weights, "weights"),
            "chat": config.chat.model_copy(update={"prompt": at(config.chat.prompt, "chat.prompt")}),
            "train": config.train.model_copy(update={"examples": tuple(folder / p for p in config.train.examples)}),
            "run": config.run.model_copy(update={"logs": tuple(folder / p for p in config.run.logs)}),
            "index": config.index.model_copy(
                update={
                    "folder": at(config.index.folder, "index.folder"),
                    "sources": tuple(p if "index.sources" in overridden else folder / p for p in config.index.sources),
                    "candidates": tuple(folder / p for p in config.index.candidates),
                }
            ),
        }
    )  # fmt: skip
