"""Preflight: all that can be known of a job before a cent is spent.

report = check(dataset, recipe, Terms(cap_usd=5.0), out=Path("dry-run"))   # writes everything, sends nothing
print(report)
if report.ok: jobs.write(recipe, folder, cap_usd=5.0, estimate=report.estimate)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from finetune import datasets
from finetune.bodies import bedrock_body, openai_body
from finetune.catalog import Life, Method, Row, explain, find, living, rows
from finetune.datasets import Dataset
from finetune.examples import Example
from finetune.formats import FORMATS, text
from finetune.formats.line import Line, Unfit
from finetune.jobs import Estimate
from finetune.policies import Place, policies
from finetune.pricing import PayBack, Use, estimate, likely, pay_back
from finetune.recipe import Recipe
from finetune.tokens import Tokens, count, most_tokens
from finetune.vetting import content, messages, poison, sets, settings
from finetune.vetting.faults import Fault, error, joined, warning

_METHODS: Mapping[str, Method] = {"sft": "supervised", "dpo": "preference", "rft": "reinforcement"}
_LOCAL: Mapping[str, Method] = {"lora": "lora", "qlora": "qlora", "full": "full", "head": "classifier_head"}
_AT_HOME = ("too_few", "personal_data", "secret", "moderation")
"""What forbids a job at a provider and is only told of where the data stays on this machine."""
_FORCED = ("ends_soon", "never_pays_back")
_LARGEST = 512 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which terms a job may be made.

    Attributes:
        cap_usd: Most it may cost, US dollars.
        use: How the bot is used, to tell when the job pays back; None: not told.
        allow: Codes of faults that are known and borne, for instance `personal_data`.
        force: Whether a model that ends soon, or never pays back, may be tuned all the same.
        day: The day it is; None: today.
        catalog: A file of rows in place of, or beside, the shipped ones.
        life: What the provider says of the model now; None: it was not asked.
    """

    cap_usd: float = 0.0
    use: Use | None = None
    allow: tuple[str, ...] = ()
    force: bool = False
    day: date | None = None
    catalog: Path | None = None
    life: Life | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of a job beforehand.

    Attributes:
        base: `provider:name` of the recipe.
        row: The row of the catalogue; None if it holds none.
        faults: What is wrong, errors first.
        tokens: Of the training file, one epoch; None if it could not be written.
        epochs: That will be trained, and paid.
        settings: What the provider is sent, defaults filled in.
        estimate: The price, as `Jobs.write` takes it.
        pay_back: When the training is paid, against each way of not tuning.
        days_left: Days until the tuned model is switched off; None if no end is announced.
        files: What was written, name to path.
    """

    base: str
    row: Row | None
    faults: tuple[Fault, ...]
    tokens: Tokens | None = None
    epochs: float = 0.0
    settings: Mapping[str, float] = field(default_factory=dict)
    estimate: Estimate = field(default_factory=Estimate)
    pay_back: tuple[PayBack, ...] = ()
    days_left: int | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing forbids the job."""
        return not any(f.level == "error" for f in self.faults)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.row is not None and self.tokens is not None:
            e = self.estimate
            sent = ", ".join(f"{n} {v:g}" for n, v in self.settings.items()) or "the backend's own settings"
            yield f"{self.base}: {len(self.tokens.each):,} examples, {self.row.method}, {sent}"
            about = "" if e.exact else " (an estimate)" if self.row.provider != "local" else ""
            yield f"price: ${e.low:.2f} to ${e.high:.2f}{about}: {e.basis}"
            if self.row.served_until is not None and self.days_left is not None:
                left = f"ends on {self.row.served_until}, {self.days_left} days from now" if self.days_left > 0 else f"ended on {self.row.served_until}"  # fmt: skip
                yield f"the tuned model {left}"
            yield f"served: {_served(self.row)}"
        yield from map(str, self.pay_back)
        yield from map(str, self.faults)

    def data(self) -> dict[str, Any]:
        """Return the report as JSON-able data."""
        return {
            "base": self.base, "ok": self.ok, "faults": [asdict(f) for f in self.faults],
            "tokens": None if self.tokens is None else {"total": self.tokens.total, "low": self.tokens.low, "high": self.tokens.high, "exact": self.tokens.exact, "longest": max(self.tokens.each, default=0)},
            "epochs": self.epochs, "settings": dict(self.settings), "estimate": asdict(self.estimate),
            "pay_back": [asdict(p) for p in self.pay_back], "days_left": self.days_left,
            "ends": str(self.row.served_until) if self.row and self.row.served_until else None,
            "files": {name: str(path) for name, path in self.files.items()},
        }  # fmt: skip


def check(
    dataset: Dataset | Path, recipe: Recipe, terms: Terms | None = None, *, out: Path | None = None
) -> Report:
    """Return what can be known of a job beforehand. Sends nothing.

    Args:
        dataset: The examples, or the folder they were saved in.
        recipe: How.
        terms: Cap, use, and what is borne.
        out: A folder that everything is written to which would be sent: files, request, report. None: nothing is written.

    Raises:
        DatasetFailed: The folder is not a dataset.
        CatalogFailed: The file of rows is wrong.
    """
    given = terms or Terms()
    examples = datasets.load(dataset) if isinstance(dataset, Path) else dataset
    day = given.day or date.today()
    row = row_of(recipe, given.catalog)
    if row is None:
        return Report(base=recipe.base, row=None, faults=(_unknown(recipe, given.catalog),))
    row = living(row, given.life) if given.life is not None else row
    lines, faults = _lines_of(examples, row, paired=recipe.objective == "dpo")
    tokens = count(lines["training"], row)
    price = estimate(row, tokens, settings.epochs(recipe, row), cap_usd=given.cap_usd)
    paid = pay_back(row, likely(row, tokens, settings.epochs(recipe, row)), given.use) if given.use else ()
    faults = [
        *_times(row, day, given, paid), *faults, *settings.faults(recipe, row), *_long(examples.train, tokens, row), *_money(row, price, given),
    ]  # fmt: skip
    report = Report(
        base=recipe.base, row=row, faults=_judged(faults, row, given), tokens=tokens, epochs=settings.epochs(recipe, row),
        settings=settings.settings(recipe, row), estimate=price, pay_back=paid, days_left=row.days_served(day),
    )  # fmt: skip
    return report if out is None else _written(report, recipe, lines, out)


def row_of(recipe: Recipe, catalog: Path | None = None) -> Row | None:
    """Return the row under which a recipe is trained; None if the catalogue holds none."""
    provider, _, model = recipe.base.partition(":")
    method = _LOCAL.get(recipe.weights, "lora") if provider == "local" else _METHODS[recipe.objective]
    return find(provider, model, method, rows(catalog))


# Parts of it


def _unknown(recipe: Recipe, catalog: Path | None) -> Fault:
    provider, _, model = recipe.base.partition(":")
    known = [r for r in rows(catalog) if r.provider == provider]
    same = [r for r in known if model == r.model or model in r.names]
    if same:
        return error("no_method", f"{model} at {provider} is tuned by {', '.join(r.method for r in same)}, not by {_METHODS[recipe.objective]}")  # fmt: skip
    names = ", ".join(sorted({r.model for r in known})) or "nothing"
    return error("unknown_model", f"nothing is known of tuning {recipe.base!r}", hint=f"known at {provider}: {names}; another model needs a row of your own")  # fmt: skip


def _lines_of(examples: Dataset, row: Row, *, paired: bool) -> tuple[dict[str, list[Line]], list[Fault]]:
    """The lines of both files, and what is wrong with the examples; a line that cannot be written is left out and told of."""
    faults = [*sets.faults(examples, row), *poison.faults([e for e in examples.train if sets.sound(e)])]
    parts: dict[str, list[Line]] = {}
    for name, part in (("training", examples.train), ("validation", examples.validation)):
        parts[name] = []
        for example in part if name == "training" or row.validation else ():
            wrong = [*messages.faults(example, row, paired=paired), *content.faults(example, row)]
            faults += wrong
            try:
                line = FORMATS[row.format].write(example)
                text(line)
                parts[name].append(line)
            except (Unfit, UnicodeEncodeError, ValueError, IndexError, TypeError) as fault:
                if not any(f.level == "error" for f in wrong):
                    faults.append(error("unfit", str(fault), places=[example.source]))
    return parts, faults


def _long(train: tuple[Example, ...], tokens: Tokens, row: Row) -> Iterator[Fault]:
    if row.most_tokens is None:
        return
    # Lines that could not be written are missing among the counts; places are named only where the two agree.
    named = [e.source for e in train] if len(train) == len(tokens.each) else [""] * len(tokens.each)
    long = [n for n, t in zip(named, tokens.each, strict=True) if t > row.most_tokens]
    near = [n for n, t in zip(named, tokens.each, strict=True) if t <= row.most_tokens < most_tokens(t, row)]
    if long:
        yield error("too_long", f"examples are longer than the {row.most_tokens:,} tokens that {row.model} takes", hint="the provider would cut their end, which is what is to be learnt", places=long)  # fmt: skip
    if near:
        yield warning("perhaps_too_long", f"examples may be longer than the {row.most_tokens:,} tokens that {row.model} takes", places=near)  # fmt: skip


def _times(row: Row, day: date, terms: Terms, paid: tuple[PayBack, ...]) -> Iterator[Fault]:
    reason = explain(row, day, rows(terms.catalog))
    open_now = row.open_on(day) and (row.days_served(day) or 1) > 0
    if reason:
        yield error("ends_soon" if open_now else "closed", reason, hint="--force makes it all the same" if open_now else "")  # fmt: skip
    days = row.days_served(day)
    for one in paid:
        if one.days is None or (days is not None and one.days > days):
            over = "" if one.days is None else f", and the model ends in {days}"
            told = error if days is not None else warning
            yield told("never_pays_back", f"{one}{over}", hint="the longer prompt is cheaper; tune only for what it does not hold")  # fmt: skip
    if row.opens_to == "existing" and not reason:
        yield warning("existing_only", f"{row.provider} takes jobs of customers only who tuned there before")


def _money(row: Row, price: Estimate, terms: Terms) -> Iterator[Fault]:
    if row.train_usd is None:
        yield error("price_unknown", f"no training price is known for {row.model}", hint="give one in a file of rows, or allow it; the cap stands for it then")  # fmt: skip
    if price.high > terms.cap_usd:
        yield error("over_cap", f"it may cost up to ${price.high:.2f}, more than the cap of ${terms.cap_usd:.2f}", hint="raise the cap, or train on less")  # fmt: skip


def _judged(faults: Iterable[Fault], row: Row, terms: Terms) -> tuple[Fault, ...]:
    borne = (
        *terms.allow,
        *(_FORCED if terms.force else ()),
        *(_AT_HOME if row.provider == "local" else ()),
    )
    return joined(replace(f, level="warning") if f.code in borne else f for f in faults)


def _written(report: Report, recipe: Recipe, lines: Mapping[str, list[Line]], out: Path) -> Report:
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, part in lines.items():
        if part:
            files[name] = out / f"{name}.jsonl"
            data = b"".join(map(text, part))
            files[name].write_bytes(data)
            if len(data) > _LARGEST:
                report = replace(report, faults=joined([*report.faults, error("too_large", f"{files[name]} is larger than the 512 MB that providers take")]))  # fmt: skip
    if report.row is not None and report.row.provider != "local":
        files["request"] = out / "request.json"
        body = _request(recipe, report.row, has_validation="validation" in files)
        files["request"].write_text(
            json.dumps(body, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8"
        )
    if report.row is not None and report.row.provider == "bedrock":
        files["policies"] = out / "policies.json"
        files["policies"].write_text(
            json.dumps(policies(_place(recipe, report.row)), indent=2) + "\n", encoding="utf-8"
        )
    files["report"] = out / "preflight.json"
    full = replace(report, files=files)
    files["report"].write_text(json.dumps(full.data(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return full


def _request(recipe: Recipe, row: Row, *, has_validation: bool) -> dict[str, Any]:
    """The request as it would be sent; what is only known after an upload stands in <angle brackets>."""
    key = "<key of the job>"
    if row.provider == "bedrock":
        own = recipe.extra
        return bedrock_body(
            key, recipe, row, role_arn=str(own.get("role_arn", "<role>")), training="s3://<bucket>/<key>/training.jsonl",
            validation="s3://<bucket>/<key>/validation.jsonl" if has_validation else None, output="s3://<bucket>/<key>/output/",
        )  # fmt: skip
    if row.method == "reinforcement" and "grader" not in recipe.extra:
        return {}
    return openai_body(key, recipe, row, training_file="<id of training.jsonl>", validation_file="<id of validation.jsonl>" if has_validation else None)  # fmt: skip


def _place(recipe: Recipe, row: Row) -> Place:
    """Where it would run; what is not known stands in <angle brackets>."""
    role = str(recipe.extra.get("role_arn", "arn:aws:iam::<account>:role/<role>"))
    return Place(
        region=str(recipe.extra.get("region") or row.regions[0]), account=role.split(":")[4], bucket=str(recipe.extra.get("bucket", "<bucket>")), role_arn=role
    )  # fmt: skip


def _served(row: Row) -> str:
    if row.serving[0] == "throughput":
        hourly = f"${row.hour_usd:g} an hour" if row.hour_usd is not None else "by the hour"
        return f"by provisioned throughput only, which costs {hourly} whether it is asked or not"
    if row.serving[0] == "deployment":
        slow = f", {row.per_minute} requests a minute" if row.per_minute else ""
        kept = f"; keeping the model costs ${row.month_usd:g} a month" if row.month_usd else ""
        return f"by an on-demand deployment{slow}{kept}; delete both when they are no longer used"
    return "at once, by its id" if row.serving[0] == "at once" else "on this machine"
