"""A double of OpenAI's files, fine-tuning jobs, models, chat completions and webhooks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from finetune.doubles.course import Course
from finetune.doubles.openai_files import judge, tokens_of
from finetune.doubles.openai_requests import check, multipart, page
from finetune.doubles.server import Answered, Double, Request, Route
from finetune.doubles.signing import Sender

STEPS = ("validating_files", "queued", "running", "succeeded")
_FINAL = ("succeeded", "failed", "cancelled")
MODELS: Mapping[str, str | None] = {
    "gpt-4.1-2025-04-14": "2027-01-14",
    "gpt-4.1-mini-2025-04-14": "2027-01-14",
    "gpt-4o-2024-08-06": "2027-01-14",
    "gpt-4o-mini-2024-07-18": "2027-01-14",
    "openai.gpt-oss-20b": None,
    "qwen.qwen3-32b": None,
}
"""Models that can be tuned, and the day on which they end."""
TRAIN_USD: Mapping[str, float] = {
    "gpt-4.1-2025-04-14": 25.0,
    "gpt-4.1-mini-2025-04-14": 5.0,
    "gpt-4o-2024-08-06": 25.0,
    "gpt-4o-mini-2024-07-18": 3.0,
}
"""US dollars for a million training tokens."""
_DEFAULT_EPOCHS = 3
_LARGEST = 512 * 2**20


@dataclass(slots=True, kw_only=True)
class _Job:
    data: dict[str, Any]
    course: Course
    step: int = 0
    tokens: int = 0
    paused: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)


class OpenAIDouble(Double):
    """OpenAI's fine-tuning service; see `finetune.doubles`.

    Attributes:
        files: Id to name, purpose and content of what was uploaded.
        jobs: Id to data of the jobs there are, as the API tells them.
        closed: Whether the organisation may make no new jobs.
        quota: Jobs that may be open at a time.
        course: How the next jobs go.
        sender: Sends webhooks, once it has an address.
        count: Counts the tokens of a text.
    """

    prefixes = ("/openai/v1", "/openai", "/v1")

    def __init__(self, *, port: int = 0, count: Callable[[str], int] | None = None) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self._jobs: dict[str, _Job] = {}
        self.closed = False
        self.quota = 3
        self.course = Course()
        self.sender = Sender()
        self.count = count or (lambda text: -(-len(text) // 4))
        super().__init__(port=port)

    @property
    def url(self) -> str:
        """Base URL for the SDK."""
        return f"{self.address}/v1"

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Jobs by id, as the API tells them; looking changes nothing."""
        return {id: job.data for id, job in self._jobs.items()}

    @property
    def bill_usd(self) -> float:
        """What has been charged so far, US dollars."""
        done = [j.data for j in self._jobs.values() if j.data["trained_tokens"]]
        return float(sum(d["trained_tokens"] * TRAIN_USD.get(d["model"], 0.0) / 1e6 for d in done))

    def routes(self) -> Mapping[str, Route]:
        """Return the routes; see `Double`."""
        job = "/fine_tuning/jobs/{id}"
        return {
            "POST /files": self._upload, "GET /files": self._list_files, "GET /files/{id}": lambda r: self._file(r)["object"],
            "GET /files/{id}/content": lambda r: self._file(r)["data"], "DELETE /files/{id}": self._delete_file,
            "POST /fine_tuning/jobs": self._create, "GET /fine_tuning/jobs": self._list, f"GET {job}": self._retrieve,
            f"POST {job}/cancel": self._cancel, f"POST {job}/pause": self._pause, f"POST {job}/resume": self._resume,
            f"GET {job}/events": self._events, f"GET {job}/checkpoints": self._checkpoints,
            "GET /models/{id}": self._model, "DELETE /models/{id}": self._delete_model, "POST /chat/completions": self._chat,
            "POST /deployments/{id}/chat/completions": self._chat,
        }  # fmt: skip

    def admit(self, request: Request) -> None:
        """Turn away who shows no key."""
        if not (request.headers.get("authorization", "").startswith("Bearer ") or request.headers.get("api-key")):  # fmt: skip
            raise Answered(401, {"message": "You didn't provide an API key.", "code": "invalid_api_key"})

    def error(self, status: int, body: Any) -> Any:
        """Return an error in OpenAI's form."""
        kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(status, "invalid_request_error")  # fmt: skip
        return {"error": {"message": "", "type": kind, "param": None, "code": None, **body}}

    # Files

    def _upload(self, request: Request) -> Any:
        given = multipart(request)
        purpose, (name, data) = given.get("purpose", ("", b""))[1].decode(), given.get("file", ("", b""))
        if purpose != "fine-tune":
            raise Answered(400, {"message": f"'{purpose}' is not a purpose taken here", "param": "purpose"})
        if not name.endswith(".jsonl") or len(data) > _LARGEST:
            raise Answered(400, {"message": f"Invalid file: {name!r} must be .jsonl, 512 MB at most", "param": "file"})  # fmt: skip
        id = f"file-{len(self.files) + 1:06d}"
        told = {
            "id": id, "object": "file", "bytes": len(data), "created_at": int(time.time()), "filename": name, "purpose": purpose,
            "status": "processed",
        }  # fmt: skip
        self.files[id] = {"object": told, "data": data}
        return told

    def _file(self, request: Request) -> dict[str, Any]:
        if request.parts["id"] not in self.files:
            raise Answered(404, {"message": f"No such File object: {request.parts['id']}", "param": "id"})
        return self.files[request.parts["id"]]

    def _list_files(self, request: Request) -> Any:
        found = [f["object"] for f in reversed(self.files.values())]
        return page([f for f in found if request.query.get("purpose") in (None, f["purpose"])], request)

    def _delete_file(self, request: Request) -> Any:
        self._file(request)
        del self.files[request.parts["id"]]
        return {"id": request.parts["id"], "object": "file", "deleted": True}

    # Jobs

    def _create(self, request: Request) -> Any:
        body = request.json()
        if self.closed:
            raise Answered(403, {"message": "Your organization is not eligible to create fine-tuning jobs.", "code": "fine_tuning_unavailable"})  # fmt: skip
        if sum(j.data["status"] not in _FINAL for j in self._jobs.values()) >= self.quota:
            raise Answered(429, {"message": f"Fine-tuning jobs cannot exceed {self.quota} at a time.", "code": "daily_rate_limit_exceeded"}, {"x-should-retry": "false"})  # fmt: skip
        check(body, MODELS, self.files)
        id = f"ftjob-{len(self._jobs) + 1:06d}"
        kind = body.get("method", {}).get("type", "supervised")
        given = body.get("method", {}).get(kind, {}).get("hyperparameters", {})
        told = {
            "id": id, "object": "fine_tuning.job", "created_at": int(time.time()), "error": None, "fine_tuned_model": None, "finished_at": None,
            "hyperparameters": {k: given.get(k, "auto") for k in ("n_epochs", "batch_size", "learning_rate_multiplier")},
            "model": body["model"], "organization_id": "org-double", "result_files": [], "seed": body.get("seed", 0), "status": STEPS[0],
            "trained_tokens": None, "training_file": body["training_file"], "validation_file": body.get("validation_file"),
            "estimated_finish": None, "integrations": [], "metadata": body.get("metadata"), "method": body.get("method"),
            "user_provided_suffix": body.get("suffix"),
        }  # fmt: skip
        self._jobs[id] = _Job(data=told, course=self.course)
        self._note(self._jobs[id], f"Created fine-tuning job: {id}")
        return told

    def _list(self, request: Request) -> Any:
        wanted = {k[9:-1]: v for k, v in request.query.items() if k.startswith("metadata[")}
        found = [j.data for j in reversed(self._jobs.values()) if wanted.items() <= (j.data["metadata"] or {}).items()]  # fmt: skip
        return page(found, request)

    def _job(self, request: Request) -> _Job:
        if request.parts["id"] not in self._jobs:
            raise Answered(404, {"message": f"Could not find fine tune: {request.parts['id']}", "code": "fine_tune_not_found"})  # fmt: skip
        return self._jobs[request.parts["id"]]

    def _retrieve(self, request: Request) -> Any:
        job = self._job(request)
        told = dict(job.data)
        if job.course.word and told["status"] == "running":
            told["status"] = job.course.word
        self._advance(job)
        return told

    def _advance(self, job: _Job) -> None:
        """Move a job on one step, so that whoever asks again sees it."""
        data = job.data
        if data["status"] in _FINAL or job.paused or data["status"] == job.course.stuck_at:
            return
        if data["status"] == "validating_files" and not self._valid(job):
            return
        if data["status"] == "running" and job.course.fails is not None:
            code, message = job.course.fails
            self._fail(job, code, message)
            return
        job.step += 1
        data["status"] = STEPS[job.step]
        if data["status"] == "running":
            self._train(job)
        elif data["status"] == "succeeded":
            self._succeed(job)

    def _valid(self, job: _Job) -> bool:
        method = (job.data["method"] or {"type": "supervised"})["type"]
        for param in ("training_file", "validation_file"):
            file = self.files.get(job.data[param] or "")
            if file is None:
                continue
            found = judge(file["data"], method, self.count, param=param)
            for warning in found.warnings:
                self._note(job, warning, level="warn")
            if found.code:
                self._fail(job, found.code, found.message, param=param)
                return False
            if param == "training_file":
                epochs = job.data["hyperparameters"]["n_epochs"]
                job.tokens = found.tokens * (epochs if isinstance(epochs, int) else _DEFAULT_EPOCHS)
        return True

    def _train(self, job: _Job) -> None:
        self._note(job, "Fine-tuning job started")
        metrics = {"step": 10, "train_loss": 1.25, "train_mean_token_accuracy": 0.75}
        self._note(job, "Step 10/20: training loss=1.25", kind="metrics", data=metrics)
        job.checkpoints.append(
            {
                "id": f"ftckpt_{job.data['id'][6:]}_10", "object": "fine_tuning.job.checkpoint", "created_at": int(time.time()),
                "fine_tuned_model_checkpoint": f"{self._name(job)}:ckpt-step-10", "fine_tuning_job_id": job.data["id"], "step_number": 10,
                "metrics": metrics,
            }
        )  # fmt: skip

    def _name(self, job: _Job) -> str:
        return f"ft:{job.data['model']}:double:{job.data['user_provided_suffix'] or ''}:{job.data['id'][6:]}"

    def _succeed(self, job: _Job) -> None:
        result = f"file-result-{job.data['id'][6:]}"
        csv = b"step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n10,1.25,0.75,,\n20,0.5,0.9,,\n"
        told = {
            "id": result, "object": "file", "bytes": len(csv), "created_at": int(time.time()), "filename": "step_metrics.csv",
            "purpose": "fine-tune-results", "status": "processed",
        }  # fmt: skip
        self.files[result] = {"object": told, "data": csv}
        job.data.update(
            fine_tuned_model=self._name(job),
            finished_at=int(time.time()),
            trained_tokens=job.tokens,
            result_files=[result],
        )
        if job.course.blocked:
            self._note(job, "The model was blocked by post-training safety checks", kind="moderation_checks", level="warn", data={"blocked": True})  # fmt: skip
        self._note(job, "The job has successfully completed")
        self.sender.send("fine_tuning.job.succeeded", job.data["id"])

    def _fail(self, job: _Job, code: str, message: str, *, param: str | None = None) -> None:
        job.data.update(status="failed", finished_at=int(time.time()), error={"code": code, "message": message, "param": param})  # fmt: skip
        self._note(job, f"The job failed: {message}", level="error")
        self.sender.send("fine_tuning.job.failed", job.data["id"])

    def _note(self, job: _Job, message: str, *, level: str = "info", kind: str = "message", data: Any = None) -> None:  # fmt: skip
        number = len(job.events) + 1
        job.events.append(
            {
                "id": f"ftevent-{job.data['id'][6:]}-{number}", "object": "fine_tuning.job.event", "created_at": int(time.time()) + number,
                "level": level, "message": message, "type": kind, "data": data or {},
            }
        )  # fmt: skip

    def _cancel(self, request: Request) -> Any:
        job = self._job(request)
        if job.course.cancel_race and job.data["status"] not in _FINAL:
            job.step, job.data["status"] = len(STEPS) - 1, "succeeded"
            self._succeed(job)
        if job.data["status"] in _FINAL:
            raise Answered(400, {"message": f"Job has already completed: {job.data['id']} is {job.data['status']}", "code": "invalid_request_error"})  # fmt: skip
        job.data.update(status="cancelled", finished_at=int(time.time()))
        self._note(job, "Fine-tuning job cancelled")
        self.sender.send("fine_tuning.job.cancelled", job.data["id"])
        return job.data

    def _pause(self, request: Request) -> Any:
        job = self._job(request)
        if job.data["status"] in _FINAL:
            raise Answered(400, {"message": "Job has already completed", "code": "invalid_request_error"})
        job.paused, job.data["status"] = True, "paused"
        return job.data

    def _resume(self, request: Request) -> Any:
        job = self._job(request)
        if not job.paused:
            raise Answered(400, {"message": "Job is not paused", "code": "invalid_request_error"})
        job.paused, job.data["status"] = False, STEPS[job.step]
        return job.data

    def _events(self, request: Request) -> Any:
        return page(list(reversed(self._job(request).events)), request)

    def _checkpoints(self, request: Request) -> Any:
        found = page(list(reversed(self._job(request).checkpoints)), request)
        ids = [c["id"] for c in found["data"]]
        return {**found, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}

    # Models

    def _model(self, request: Request) -> Any:
        id = request.parts["id"]
        base = id.split(":")[1] if id.startswith("ft:") else id
        if base not in MODELS or (id != base and id not in self._tuned()):
            raise Answered(404, {"message": f"The model '{id}' does not exist", "code": "model_not_found", "param": "model"})  # fmt: skip
        return {"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "double", "shutdown_date": MODELS[base]}  # fmt: skip

    def _tuned(self) -> set[str]:
        """Ids of tuned models, checkpoints included, that can be asked."""
        done = [j for j in self._jobs.values() if j.data["fine_tuned_model"] and not j.course.blocked]
        points = {c["fine_tuned_model_checkpoint"] for j in done for c in j.checkpoints}
        return {j.data["fine_tuned_model"] for j in done} | points

    def _delete_model(self, request: Request) -> Any:
        for job in self._jobs.values():
            if job.data["fine_tuned_model"] == request.parts["id"]:
                job.data["fine_tuned_model"] = None
                return {"id": request.parts["id"], "object": "model", "deleted": True}
        raise Answered(404, {"message": f"The model '{request.parts['id']}' does not exist", "code": "model_not_found"})  # fmt: skip

    def _chat(self, request: Request) -> Any:
        body = request.json()
        model, messages = request.parts.get("id") or body.get("model"), body.get("messages") or []
        if model not in MODELS and model not in self._tuned():
            raise Answered(404, {"message": f"The model `{model}` does not exist or you do not have access to it.", "code": "model_not_found"})  # fmt: skip
        said = next((m.get("content") for m in reversed(messages) if m.get("role") == "user"), "")
        text = f"[{model}] {said}"
        prompt = tokens_of({"messages": messages}, self.count)
        usage = {"prompt_tokens": prompt, "completion_tokens": self.count(text), "total_tokens": prompt + self.count(text)}  # fmt: skip
        head = {"id": f"chatcmpl-{len(self.exchanges)}", "created": int(time.time()), "model": model}
        if body.get("stream"):
            return Answered(200, _streamed(head, text, usage), {"Content-Type": "text/event-stream"})
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}

    def close(self) -> None:
        """Stop, webhooks included."""
        self.sender.close()
        super().close()


def _streamed(head: Mapping[str, Any], text: str, usage: Mapping[str, int]) -> bytes:
    """A reply word by word, as server-sent events."""
    words = [{"role": "assistant", "content": ""}, *({"content": f"{word} "} for word in text.split()), {}]
    parts: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": w, "finish_reason": None if w else "stop"}], "usage": None} for w in words
    ]  # fmt: skip
    parts.append({"choices": [], "usage": dict(usage)})
    told = (json.dumps({**head, "object": "chat.completion.chunk", **p}) for p in parts)
    return "".join(f"data: {line}\n\n" for line in [*told, "[DONE]"]).encode()
