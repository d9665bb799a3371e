"""What serves tuned models at Bedrock: made, listed with what it costs while nobody asks, and deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from finetune.backends.port import JobRefused
from finetune.catalog import Row, rows

_PREFIX = "rf-"
_HOURS_A_MONTH = 730.0
_PAGES = 20


class Call(Protocol):
    """Calls an operation of Bedrock by its name in the SDK, and raises a `JobError` where it fails."""

    def __call__(self, operation: str, **arguments: Any) -> Any:
        """Return what the operation answers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Something that serves a tuned model.

    Attributes:
        kind: `deployment`, billed by the token, or `throughput`, billed by the hour.
        arn: Its address; `bedrock:` and this is what a release is made of.
        model: ARN of the tuned model.
        status: The provider's word.
        idle_usd_month: US dollars a month while nobody asks, the model's storage included; None: not known.
    """

    kind: Literal["deployment", "throughput"]
    arn: str
    name: str
    model: str
    status: str
    idle_usd_month: float | None

    @property
    def reference(self) -> str:
        """`provider:name` for `advise release make --model`."""
        return f"bedrock:{self.arn}"

    @property
    def idle(self) -> str:
        """What it costs while nobody asks, in words."""
        if self.idle_usd_month is None:
            return "costs by the hour whether it is asked or not; the price is not known"
        return f"${self.idle_usd_month:,.2f} a month while nobody asks"


class Deployments:
    """What serves tuned models in one region.

    Args:
        call: Calls Bedrock.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    def make(self, model: str, *, units: int = 0, cap_usd_month: float | None = None) -> Deployment:
        """Serve a tuned model; asking twice makes it once.

        Args:
            model: ARN of the tuned model, with or without `bedrock:`.
            units: Model units of provisioned throughput; 0 for an on-demand deployment.
            cap_usd_month: Most it may cost a month while nobody asks; None: whatever it costs by the token alone.

        Raises:
            JobRefused: The model cannot be served so, or it would cost more than the cap.
            JobError: Bedrock refuses, or could not be asked.
        """
        arn = model.removeprefix("bedrock:")
        row = _row(arn)
        kind: Literal["deployment", "throughput"] = "throughput" if units else "deployment"
        if row is not None and kind not in row.serving:
            raise JobRefused(f"{row.model} is served by {' or '.join(row.serving)} only, not by a {kind}", hint="--units 1 buys throughput by the hour" if kind == "deployment" else "")  # fmt: skip
        idle = _idle(row, units)
        if units and (cap_usd_month is None or idle is None or idle > cap_usd_month):
            told = "an unknown sum" if idle is None else f"${idle:,.2f}"
            raise JobRefused(f"{units} model units cost {told} a month whether they are asked or not", hint="say so with a cap a month that bears it")  # fmt: skip
        name = _PREFIX + hashlib.sha256(f"{kind}/{arn}/{units}".encode()).hexdigest()[:20]
        known = next((d for d in self.all() if d.name == name), None)
        if known is not None:
            return known
        if units:
            made = self._call("create_provisioned_model_throughput", modelUnits=units, provisionedModelName=name, modelId=arn, clientRequestToken=name)["provisionedModelArn"]  # fmt: skip
        else:
            made = self._call("create_custom_model_deployment", modelDeploymentName=name, modelArn=arn, clientRequestToken=name)["customModelDeploymentArn"]  # fmt: skip
        return Deployment(kind=kind, arn=made, name=name, model=arn, status="Creating", idle_usd_month=idle)

    def all(self) -> list[Deployment]:
        """Return what of ours serves here.

        Raises:
            JobError: It could not be asked.
        """
        found = []
        for one in self._pages("list_custom_model_deployments", "modelDeploymentSummaries"):
            found.append(Deployment(kind="deployment", arn=one["customModelDeploymentArn"], name=one["customModelDeploymentName"], model=one["modelArn"], status=one["status"], idle_usd_month=_idle(_row(one["modelArn"]), 0)))  # fmt: skip
        for one in self._pages("list_provisioned_model_throughputs", "provisionedModelSummaries"):
            found.append(Deployment(kind="throughput", arn=one["provisionedModelArn"], name=one["provisionedModelName"], model=one["modelArn"], status=one["status"], idle_usd_month=_idle(_row(one["modelArn"]), one["modelUnits"])))  # fmt: skip
        return found

    def status(self, deployment: Deployment) -> str:
        """Return the provider's word for how one stands; `Active` or `InService` is ready."""
        if deployment.kind == "deployment":
            told = self._call("get_custom_model_deployment", customModelDeploymentIdentifier=deployment.arn)
        else:
            told = self._call("get_provisioned_model_throughput", provisionedModelId=deployment.arn)
        return str(told["status"])

    def delete(self, name: str) -> Deployment:
        """Delete one by its name or ARN, so that it costs nothing any more; its model stays.

        Raises:
            JobRefused: There is none of ours of that name.
            JobError: It could not be deleted.
        """
        known = next((d for d in self.all() if name in (d.name, d.arn, d.reference)), None)
        if known is None:
            raise JobRefused(f"nothing of ours that serves is called {name!r}")
        if known.kind == "deployment":
            self._call("delete_custom_model_deployment", customModelDeploymentIdentifier=known.arn)
        else:
            self._call("delete_provisioned_model_throughput", provisionedModelId=known.arn)
        return known

    def delete_model(self, model: str) -> None:
        """Delete a tuned model itself, whose storage costs by the month; what serves it must be deleted first."""
        self._call("delete_custom_model", modelIdentifier=model.removeprefix("bedrock:"))

    def _pages(self, operation: str, items: str) -> Iterator[Mapping[str, Any]]:
        more: dict[str, str] = {}
        for _ in range(_PAGES):
            told = self._call(operation, nameContains=_PREFIX, maxResults=100, **more)
            yield from told.get(items, ())
            if not told.get("nextToken"):
                return
            more = {"nextToken": told["nextToken"]}


def _row(arn: str) -> Row | None:
    """The row of the base of a tuned model, which stands in its ARN."""
    return next((r for r in rows() if r.provider == "bedrock" and f"/{r.model}/" in arn), None)


def _idle(row: Row | None, units: int) -> float | None:
    """US dollars a month while nobody asks; None where the price of an hour is not known."""
    if row is None:
        return None
    if not units:
        return row.month_usd
    return None if row.hour_usd is None else row.month_usd + units * row.hour_usd * _HOURS_A_MONTH
