"""A double of Bedrock: customization jobs, custom models, deployments, provisioned throughput, and what answers from them.

Training files are read from an S3 endpoint, for instance that of `moto_server`, which also stands in for STS and IAM.
"""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from finetune.doubles.bedrock_files import judge, rules
from finetune.doubles.bedrock_serving import Serving
from finetune.doubles.course import Course
from finetune.doubles.eventstream import event
from finetune.doubles.server import Answered, Double, Request, Route

ACCOUNT = "123456789012"
_FINAL = ("Completed", "Failed", "Stopped")
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9\+\-\.])*")
_ROLE = re.compile(r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+")
LIFE: Mapping[str, tuple[str, str | None]] = {
    "amazon.nova-micro-v1:0": ("ACTIVE", None),
    "amazon.nova-lite-v1:0": ("ACTIVE", None),
    "amazon.nova-pro-v1:0": ("ACTIVE", None),
    "amazon.nova-2-lite-v1:0": ("ACTIVE", None),
    "meta.llama3-3-70b-instruct-v1:0": ("ACTIVE", None),
    "meta.llama3-1-8b-instruct-v1:0": ("ACTIVE", None),
    "anthropic.claude-3-haiku-20240307-v1:0": ("LEGACY", "2026-09-10T00:00:00Z"),
}
"""Base models, whether they are legacy, and when they end."""


@dataclass(slots=True, kw_only=True)
class _Job:
    data: dict[str, Any]
    token: str
    course: Course
    step: int = 0
    usd: float = 0.0
    tags: list[Mapping[str, str]] = field(default_factory=list)


def now() -> str:
    """The time as Bedrock writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class BedrockDouble(Double):
    """Bedrock's control plane and runtime; see `finetune.doubles`.

    Attributes:
        s3: Address of an S3 endpoint that training files are read from.
        denied: Names of operations that the caller may not call.
        quota: Jobs that may run at a time.
        course: How the next jobs go.
        life: Base model to `ACTIVE` or `LEGACY`, and its end.
        serving: Deployments and provisioned throughput.
    """

    def __init__(
        self,
        *,
        s3: str,
        region: str = "us-east-1",
        port: int = 0,
        count: Callable[[str], int] | None = None,
    ) -> None:
        self.s3, self.region = s3, region
        self.denied: set[str] = set()
        self.quota = 2
        self.course = Course()
        self.life = dict(LIFE)
        self.count = count or (lambda text: -(-len(text) // 4))
        self._jobs: dict[str, _Job] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.serving = Serving(self.models, region)
        self._asked: dict[str, deque[float]] = {}
        super().__init__(port=port)

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Jobs by ARN, as the API tells them; looking changes nothing."""
        return {arn: job.data for arn, job in self._jobs.items()}

    @property
    def bill_usd(self) -> float:
        """What training has been charged so far, US dollars."""
        return sum(job.usd for job in self._jobs.values())

    def routes(self) -> Mapping[str, Route]:
        """Return the routes; see `Double`."""
        jobs, models = "/model-customization-jobs", "/custom-models"
        own: dict[str, Route] = {
            f"POST {jobs}": self._guarded("CreateModelCustomizationJob", self._create),
            f"GET {jobs}": self._guarded("ListModelCustomizationJobs", self._list),
            f"GET {jobs}/{{id}}": self._guarded("GetModelCustomizationJob", self._get),
            f"POST {jobs}/{{id}}/stop": self._guarded("StopModelCustomizationJob", self._stop),
            f"GET {models}/{{id}}": self._guarded("GetCustomModel", lambda r: self._model(r)),
            f"DELETE {models}/{{id}}": self._guarded("DeleteCustomModel", self._delete_model),
            "GET /foundation-models/{id}": self._guarded("GetFoundationModel", self._foundation),
            "POST /model/{id}/converse": self._guarded("InvokeModel", self._converse),
            "POST /model/{id}/converse-stream": self._guarded("InvokeModelWithResponseStream", self._stream),
            "POST /model/{id}/count-tokens": self._guarded("CountTokens", self._count_tokens),
        }
        served = {name: self._guarded(op, route) for name, (op, route) in self.serving.routes().items()}
        return {**own, **served}

    def admit(self, request: Request) -> None:
        """Turn away who signs nothing."""
        if not request.headers.get("authorization", "").startswith(("AWS4-HMAC-SHA256 ", "Bearer ")):
            raise refuse("UnrecognizedClientException", "The security token included in the request is invalid", 403)  # fmt: skip

    def error(self, status: int, body: Any) -> Any:
        """Return an error in Bedrock's form; its type stands in a header."""
        return {"message": body.get("message", "")}

    def _guarded(self, operation: str, route: Route) -> Route:
        def answer(request: Request) -> Any:
            if operation in self.denied:
                told = (
                    f"User: arn:aws:iam::{ACCOUNT}:user/me is not authorized to perform: bedrock:{operation}"
                )
                raise refuse("AccessDeniedException", told, 403)
            return route(request)

        return answer

    # Jobs

    def _create(self, request: Request) -> Any:
        body = request.json()
        token = body.get("clientRequestToken", "")
        for arn, job in self._jobs.items():
            # A token that was seen is ignored, without an error.
            if token and job.token == token:
                return Answered(201, {"jobArn": arn})
        self._check(body)
        model = body["baseModelIdentifier"]
        number = f"{len(self._jobs) + 1:012d}"
        arn = f"arn:aws:bedrock:{self.region}:{ACCOUNT}:model-customization-job/{model}/{number}"
        moment = now()
        told = {
            "jobArn": arn, "jobName": body["jobName"], "outputModelName": body["customModelName"], "clientRequestToken": token or "none",
            "roleArn": body["roleArn"], "status": "InProgress", "creationTime": moment, "lastModifiedTime": moment,
            "baseModelArn": f"arn:aws:bedrock:{self.region}::foundation-model/{model}", "hyperParameters": body.get("hyperParameters", {}),
            "trainingDataConfig": body["trainingDataConfig"], "validationDataConfig": body.get("validationDataConfig", {"validators": []}),
            "outputDataConfig": body["outputDataConfig"], "customizationType": body.get("customizationType", "FINE_TUNING"),
            "statusDetails": _details("InProgress", "NotStarted", "NotStarted"),
        }  # fmt: skip
        self._jobs[arn] = _Job(data=told, token=token, course=self.course, tags=body.get("jobTags", []))
        return Answered(201, {"jobArn": arn})

    def _check(self, body: Mapping[str, Any]) -> None:
        for name, pattern in (("jobName", _NAME), ("customModelName", _NAME), ("roleArn", _ROLE)):
            given = str(body.get(name, ""))
            if not pattern.fullmatch(given) or (name != "roleArn" and len(given) > 63):
                raise refuse("ValidationException", f"1 validation error detected: Value {given!r} at {name!r} failed to satisfy constraint")  # fmt: skip
        if any(j.data["jobName"] == body["jobName"] for j in self._jobs.values()):
            raise refuse("ConflictException", f"A job named {body['jobName']} already exists")
        model = body.get("baseModelIdentifier", "")
        status = self._status(model)
        if status is None:
            raise refuse("ResourceNotFoundException", f"Could not resolve the foundation model {model}", 404)
        if status[0] == "LEGACY":
            raise refuse("ValidationException", "Access to this model is legacy: new customization jobs cannot be created on it.")  # fmt: skip
        one = rules(model)
        for name, value in body.get("hyperParameters", {}).items():
            low, high = one.hyper.get(name, (1.0, 0.0))
            if not low <= float(value) <= high:
                raise refuse("ValidationException", f"The hyperparameter {name}={value} is invalid for this model")  # fmt: skip
        running = sum(j.data["status"] not in _FINAL for j in self._jobs.values())
        if running >= self.quota:
            raise refuse("ServiceQuotaExceededException", f"You have reached the limit of {self.quota} running customization jobs")  # fmt: skip

    def _status(self, model: str) -> tuple[str, str | None] | None:
        return next((s for base, s in self.life.items() if model == base or model.startswith(f"{base}:")), None)  # fmt: skip

    def _find(self, request: Request) -> _Job:
        id = request.parts["id"]
        for arn, job in self._jobs.items():
            if id in (arn, job.data["jobName"]):
                return job
        raise refuse("ResourceNotFoundException", f"Could not find the customization job {id}", 404)

    def _get(self, request: Request) -> Any:
        job = self._find(request)
        told = dict(job.data)
        if job.course.word and job.step == 1:
            told["status"] = job.course.word
        self._advance(job)
        return told

    def _advance(self, job: _Job) -> None:
        """Move a job on one step: validated, trained, over."""
        data = job.data
        if data["status"] == "Stopping":
            data.update(status="Stopped", endTime=now(), lastModifiedTime=now())
        if data["status"] in _FINAL or data["status"] == job.course.stuck_at:
            return
        job.step += 1
        if job.step == 1:
            self._validate(job)
        elif job.course.fails is not None:
            self._fail(job, job.course.fails[1])
        elif job.step == 2:
            data["statusDetails"] = _details("Completed", "Completed", "InProgress")
        else:
            self._complete(job)

    def _validate(self, job: _Job) -> None:
        data = job.data
        one = rules(data["baseModelArn"].rpartition("/")[2])
        content = self._read(data["trainingDataConfig"]["s3Uri"])
        if content is None:
            self._fail(job, f"Unable to access the training data at {data['trainingDataConfig']['s3Uri']}")
            return
        fault, records, tokens = judge(content, one, self.count)
        for validator in data["validationDataConfig"]["validators"]:
            held = self._read(validator["s3Uri"])
            records += 0 if held is None else held.count(b"\n")
        if not fault and records > one.most:
            fault = f"The data has {records} records; at most {one.most} are allowed."
        if fault:
            self._fail(job, fault)
            return
        data["statusDetails"] = _details("Completed", "InProgress", "NotStarted")
        job.usd = tokens * float(data["hyperParameters"].get("epochCount", 1)) * one.train_usd / 1e6

    def _fail(self, job: _Job, message: str) -> None:
        job.usd = 0.0
        job.data.update(status="Failed", failureMessage=message, endTime=now(), lastModifiedTime=now())

    def _complete(self, job: _Job) -> None:
        data = job.data
        model = data["baseModelArn"].rpartition("/")[2]
        arn = f"arn:aws:bedrock:{self.region}:{ACCOUNT}:custom-model/{model}/{data['jobArn'].rpartition('/')[2]}"
        metrics = {"trainingMetrics": {"trainingLoss": 0.5}, "validationMetrics": [{"validationLoss": 0.6}] if data["validationDataConfig"]["validators"] else []}  # fmt: skip
        data.update(status="Completed", outputModelArn=arn, endTime=now(), lastModifiedTime=now(), statusDetails=_details("Completed", "Completed", "Completed"), **metrics)  # fmt: skip
        self.models[arn] = {
            "modelArn": arn, "modelName": data["outputModelName"], "jobArn": data["jobArn"], "jobName": data["jobName"],
            "baseModelArn": data["baseModelArn"], "creationTime": now(), "modelStatus": "Active", "customizationType": "FINE_TUNING",
            "hyperParameters": data["hyperParameters"], "trainingDataConfig": data["trainingDataConfig"],
            "outputDataConfig": data["outputDataConfig"], **metrics,
        }  # fmt: skip
        self._write(f"{data['outputDataConfig']['s3Uri']}model-customization-job-{data['jobArn'].rpartition('/')[2]}/training_artifacts/step_wise_training_metrics.csv", b"step_number,epoch_number,training_loss\n1,0,1.25\n2,1,0.5\n")  # fmt: skip

    def _list(self, request: Request) -> Any:
        query = request.query
        found = [
            j.data for j in self._jobs.values()
            if query.get("nameContains", "") in j.data["jobName"] and query.get("statusEquals") in (None, j.data["status"])
        ]  # fmt: skip
        start, most = int(query.get("nextToken", 0)), int(query.get("maxResults", 10))
        keys = ("jobArn", "baseModelArn", "jobName", "status", "statusDetails", "lastModifiedTime", "creationTime", "endTime", "customizationType")  # fmt: skip
        told = [{k: j[k] for k in keys if k in j} for j in found[start : start + most]]
        more = {"nextToken": str(start + most)} if len(found) > start + most else {}
        return {"modelCustomizationJobSummaries": told, **more}

    def _stop(self, request: Request) -> Any:
        job = self._find(request)
        if job.course.cancel_race and job.data["status"] not in _FINAL:
            self._complete(job)
        if job.data["status"] in _FINAL:
            raise refuse("ConflictException", f"The job is already {job.data['status']}")
        job.data.update(status="Stopping", lastModifiedTime=now())
        return {}

    # S3

    def _read(self, uri: str) -> bytes | None:
        return self._s3("GET", uri, None)

    def _write(self, uri: str, content: bytes) -> None:
        self._s3("PUT", uri, content)

    def _s3(self, method: str, uri: str, content: bytes | None) -> bytes | None:
        """What S3 answers; None if it does not. The signature is one that moto, which checks none, takes for one."""
        signed = f"AWS4-HMAC-SHA256 Credential=DOUBLE/20260101/{self.region}/s3/aws4_request, SignedHeaders=host, Signature=0"
        request = urllib.request.Request(
            f"{self.s3}/{uri.removeprefix('s3://')}",
            data=content,
            method=method,
            headers={"Authorization": signed, "Content-Type": "text/csv"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                found: bytes = answer.read()
                return found
        except (urllib.error.URLError, OSError):
            return None

    # Models

    def _model(self, request: Request) -> dict[str, Any]:
        for arn, model in self.models.items():
            if request.parts["id"] in (arn, model["modelName"]):
                return model
        raise refuse("ResourceNotFoundException", f"Could not find the custom model {request.parts['id']}", 404)  # fmt: skip

    def _delete_model(self, request: Request) -> Any:
        model = self._model(request)
        if self.serving.uses(model["modelArn"]):
            raise refuse("ConflictException", "The model has deployments or provisioned throughput; delete them first")  # fmt: skip
        del self.models[model["modelArn"]]
        return {}

    def _foundation(self, request: Request) -> Any:
        id = request.parts["id"]
        status = self._status(id)
        if status is None:
            raise refuse("ResourceNotFoundException", f"Could not resolve the foundation model {id}", 404)
        life = {"status": status[0], **({"endOfLifeTime": status[1]} if status[1] else {})}
        arn = f"arn:aws:bedrock:{self.region}::foundation-model/{id}"
        return {"modelDetails": {"modelArn": arn, "modelId": id, "modelLifecycle": life, "customizationsSupported": ["FINE_TUNING"]}}  # fmt: skip

    # Runtime

    def _converse(self, request: Request) -> Any:
        id = request.parts["id"]
        model = self.serving.model_of(id)
        if model is None and self._status(id) is None:
            raise refuse("ResourceNotFoundException", f"Could not resolve the model {id}", 404)
        if model == "":
            raise refuse("ModelNotReadyException", "The model is not ready for inference yet", 429)
        self._pace(id, model or id)
        body = request.json()
        said = " ".join(p.get("text", "") for m in body.get("messages", [])[-1:] for p in m["content"])
        text = f"[{id.rpartition('/')[2]}] {said}"
        prompt = sum(self.count(p.get("text", "")) for m in body.get("messages", []) for p in m["content"])
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "stopReason": "end_turn", "metrics": {"latencyMs": 1},
            "usage": {"inputTokens": prompt, "outputTokens": self.count(text), "totalTokens": prompt + self.count(text)},
        }  # fmt: skip

    def _stream(self, request: Request) -> Any:
        whole = self._converse(request)
        words = whole["output"]["message"]["content"][0]["text"].split()
        told: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
        told += [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": f"{w} "}}) for w in words]
        told += [("contentBlockStop", {"contentBlockIndex": 0}), ("messageStop", {"stopReason": "end_turn"})]
        told += [("metadata", {"usage": whole["usage"], "metrics": whole["metrics"]})]
        body = b"".join(event(name, value) for name, value in told)
        return Answered(200, body, {"Content-Type": "application/vnd.amazon.eventstream"})

    def _pace(self, id: str, model: str) -> None:
        """Hold an on-demand deployment of Llama 3.3 to the four requests a minute that were measured there."""
        if "llama3-3" not in model or "deployment" not in id:
            return
        asked = self._asked.setdefault(id, deque())
        while asked and asked[0] < time.monotonic() - 60:
            asked.popleft()
        if len(asked) >= 4:
            raise refuse("ThrottlingException", "Too many requests, please wait before trying again.", 429)
        asked.append(time.monotonic())

    def _count_tokens(self, request: Request) -> Any:
        messages = request.json().get("input", {}).get("converse", {}).get("messages", [])
        return {"inputTokens": sum(self.count(p.get("text", "")) for m in messages for p in m["content"])}


def refuse(kind: str, message: str, status: int = 400) -> Answered:
    """Return an error as Bedrock sends it."""
    return Answered(status, {"message": message}, {"x-amzn-errortype": kind})


def _details(validation: str, processing: str, training: str) -> dict[str, Any]:
    moment = now()
    return {
        name: {"status": status, "creationTime": moment, "lastModifiedTime": moment}
        for name, status in (
            ("validationDetails", validation),
            ("dataProcessingDetails", processing),
            ("trainingDetails", training),
        )
    }
