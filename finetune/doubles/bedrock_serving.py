"""What serves custom models at Bedrock's double: on-demand deployments and provisioned throughput."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from finetune.doubles.server import Answered, Request, Route

_ACCOUNT = "123456789012"
_ON_DEMAND = ("amazon.nova", "meta.llama3-3")


class Serving:
    """Deployments and provisioned throughput of the custom models in `models`.

    Attributes:
        deployments: ARN to data, as the API tells it.
        provisioned: Likewise.
    """

    def __init__(self, models: Mapping[str, Mapping[str, Any]], region: str) -> None:
        self._models, self._region = models, region
        self.deployments: dict[str, dict[str, Any]] = {}
        self.provisioned: dict[str, dict[str, Any]] = {}
        self._tokens: dict[str, str] = {}

    def routes(self) -> Mapping[str, tuple[str, Route]]:
        """Return route to operation and what answers it."""
        own, units = "/model-customization/custom-model-deployments", "/provisioned-model-throughput"
        return {
            f"POST {own}": ("CreateCustomModelDeployment", self._deploy),
            f"GET {own}": ("ListCustomModelDeployments", self._list),
            f"GET {own}/{{id}}": ("GetCustomModelDeployment", lambda r: _ready(self._one(r, self.deployments), "Active")),
            f"DELETE {own}/{{id}}": ("DeleteCustomModelDeployment", lambda r: self._drop(r, self.deployments)),
            f"POST {units}": ("CreateProvisionedModelThroughput", self._provision),
            f"GET {units}s": ("ListProvisionedModelThroughputs", self._list_units),
            f"GET {units}/{{id}}": ("GetProvisionedModelThroughput", lambda r: _ready(self._one(r, self.provisioned), "InService")),
            f"DELETE {units}/{{id}}": ("DeleteProvisionedModelThroughput", lambda r: self._drop(r, self.provisioned)),
        }  # fmt: skip

    def uses(self, model: str) -> bool:
        """Whether something serves a model."""
        return any(d["modelArn"] == model for d in (*self.deployments.values(), *self.provisioned.values()))

    def model_of(self, id: str) -> str | None:
        """Return the custom model behind an ARN; empty if it is not ready, None if nothing is behind it."""
        for known, word in ((self.deployments, "Active"), (self.provisioned, "InService")):
            if id in known:
                return str(known[id]["modelArn"]) if known[id]["status"] == word else ""
        return None

    def _deploy(self, request: Request) -> Any:
        body = request.json()
        model = self._known(body["modelArn"])
        base = model["baseModelArn"].rpartition("/")[2]
        if not base.startswith(_ON_DEMAND):
            raise _refused(f"{base} does not support on-demand deployments")

        def made(arn: str) -> dict[str, Any]:
            return {"customModelDeploymentArn": arn, "modelDeploymentName": body["modelDeploymentName"], "modelArn": body["modelArn"], "createdAt": _now(), "lastUpdatedAt": _now(), "status": "Creating"}  # fmt: skip

        arn = self._once(body, self.deployments, "custom-model-deployment", "modelDeploymentName", made)
        return Answered(202, {"customModelDeploymentArn": arn})

    def _provision(self, request: Request) -> Any:
        body = request.json()
        model = self._known(body["modelId"])

        def made(arn: str) -> dict[str, Any]:
            return {
                "modelUnits": body["modelUnits"], "desiredModelUnits": body["modelUnits"], "provisionedModelName": body["provisionedModelName"],
                "provisionedModelArn": arn, "modelArn": body["modelId"], "desiredModelArn": body["modelId"],
                "foundationModelArn": model["baseModelArn"].removesuffix(":128k"), "status": "Creating", "creationTime": _now(), "lastModifiedTime": _now(),
            }  # fmt: skip

        arn = self._once(body, self.provisioned, "provisioned-model", "provisionedModelName", made)
        return Answered(201, {"provisionedModelArn": arn})

    def _once(
        self,
        body: Mapping[str, Any],
        known: dict[str, dict[str, Any]],
        kind: str,
        name: str,
        made: Callable[[str], dict[str, Any]],
    ) -> str:
        """Make a thing unless its token was seen; names are unique."""
        token = body.get("clientRequestToken", "")
        if token and self._tokens.get(token) in known:
            return self._tokens[token]
        if any(d[name] == body[name] for d in known.values()):
            raise _refused(f"{body[name]} already exists")
        arn = f"arn:aws:bedrock:{self._region}:{_ACCOUNT}:{kind}/{len(self._tokens) + len(known) + 1:012d}"
        known[arn] = made(arn)
        self._tokens[token] = arn
        return arn

    def _known(self, arn: str) -> Mapping[str, Any]:
        if arn not in self._models:
            raise Answered(404, {"message": f"Could not find the custom model {arn}"}, {"x-amzn-errortype": "ResourceNotFoundException"})  # fmt: skip
        return self._models[arn]

    def _one(self, request: Request, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
        id = request.parts["id"]
        for arn, one in known.items():
            if id in (arn, one.get("modelDeploymentName"), one.get("provisionedModelName")):
                return one
        raise Answered(404, {"message": f"Could not find {id}"}, {"x-amzn-errortype": "ResourceNotFoundException"})  # fmt: skip

    def _drop(self, request: Request, known: dict[str, dict[str, Any]]) -> Any:
        one = self._one(request, known)
        del known[one.get("customModelDeploymentArn") or one["provisionedModelArn"]]
        return {}

    def _list(self, request: Request) -> Any:
        keys = {"customModelDeploymentArn": "customModelDeploymentArn", "modelDeploymentName": "customModelDeploymentName", "modelArn": "modelArn", "createdAt": "createdAt", "status": "status"}  # fmt: skip
        wanted = request.query.get("nameContains", "")
        found = [d for d in self.deployments.values() if wanted in d["modelDeploymentName"]]
        return {"modelDeploymentSummaries": [{new: d[old] for old, new in keys.items()} for d in found]}

    def _list_units(self, request: Request) -> Any:
        wanted = request.query.get("nameContains", "")
        return {"provisionedModelSummaries": [d for d in self.provisioned.values() if wanted in d["provisionedModelName"]]}  # fmt: skip


def _ready(one: dict[str, Any], word: str) -> dict[str, Any]:
    """What is told, and ready the next time it is asked after."""
    told = dict(one)
    if one["status"] == "Creating":
        one["status"] = word
    return told


def _refused(message: str) -> Answered:
    return Answered(400, {"message": message}, {"x-amzn-errortype": "ValidationException"})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
