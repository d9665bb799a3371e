"""What OpenAI says of a request before it makes a job; forms and pages."""

from __future__ import annotations

import email.message
import email.parser
import email.policy
from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple

from finetune.doubles.server import Answered, Request

_RANGES = {"n_epochs": (1, 50), "batch_size": (1, 256), "learning_rate_multiplier": (0, 1000), "beta": (0, 2)}
_ARGUMENTS = {
    "model", "training_file", "validation_file", "method", "seed", "suffix", "metadata", "integrations", "hyperparameters",
}  # fmt: skip
_KINDS = ("supervised", "dpo", "reinforcement")


class _Wrong(NamedTuple):
    param: str
    message: str
    code: str | None = None


def check(body: Mapping[str, Any], models: Container[Any], files: Container[Any]) -> None:
    """Turn away a request for a job that is wrong in itself.

    Raises:
        Answered: 400, with what is wrong.
    """
    for find in (_shape, _method, _limits):
        for wrong in find(body, models, files):
            raise Answered(400, {"message": wrong.message, "param": wrong.param, "code": wrong.code})


def _shape(body: Mapping[str, Any], models: Container[Any], files: Container[Any]) -> Iterator[_Wrong]:
    for name in sorted(set(body) - _ARGUMENTS):
        yield _Wrong(name, f"Unknown parameter: '{name}'.", "unknown_parameter")
    model = body.get("model")
    if model not in models:
        yield _Wrong("model", f"Model {model} is not available for fine-tuning or does not exist.", "model_not_available")  # fmt: skip
    if body.get("training_file") is None:
        yield _Wrong("training_file", "Missing required parameter: 'training_file'.")
    for name in ("training_file", "validation_file"):
        if body.get(name) is not None and body[name] not in files:
            yield _Wrong(name, f"invalid {name}: {body[name]}", "file_not_found")


def _method(body: Mapping[str, Any], models: Container[Any], files: Container[Any]) -> Iterator[_Wrong]:
    method = body.get("method", {"type": "supervised"})
    kind = method.get("type")
    # Open-weight models, which Bedrock's endpoint has, take reinforcement only; OpenAI's own take anything else.
    if kind not in _KINDS or (kind == "reinforcement") != ("." in body["model"].replace("gpt-4.1", "")):
        yield _Wrong("method", f"Method {kind!r} is not supported for this model.", "invalid_method")
    own = method.get(kind, {})
    if kind == "reinforcement" and "grader" not in own:
        yield _Wrong("method.reinforcement.grader", "Missing required parameter: 'grader'.")
    for name, value in own.get("hyperparameters", {}).items():
        low, high = _RANGES.get(name, (0, 1e9))
        if isinstance(value, int | float) and not low <= value <= high:
            yield _Wrong(name, f"Invalid value for {name}: {value}")


def _limits(body: Mapping[str, Any], models: Container[Any], files: Container[Any]) -> Iterator[_Wrong]:
    metadata = body.get("metadata") or {}
    if len(metadata) > 16 or any(len(k) > 64 or len(str(v)) > 512 for k, v in metadata.items()):
        yield _Wrong("metadata", "Invalid metadata: 16 pairs, keys of 64, values of 512 characters at most.")
    if body.get("suffix") is not None and not 1 <= len(body["suffix"]) <= 64:
        yield _Wrong("suffix", "Invalid suffix: 1 to 64 characters.")


def page(found: list[dict[str, Any]], request: Request) -> dict[str, Any]:
    """Return one page of a list, newest first: what comes behind `after`, `limit` of it."""
    after, limit = request.query.get("after"), int(request.query.get("limit", 20))
    start = next((n + 1 for n, f in enumerate(found) if f["id"] == after), 0)
    return {"object": "list", "data": found[start : start + limit], "has_more": len(found) > start + limit}


def multipart(request: Request) -> dict[str, tuple[str, bytes]]:
    """Return name to file name and content of the parts of a form."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    found = {}
    for part in message.iter_parts() if isinstance(message, email.message.EmailMessage) else ():
        data = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        found[str(name)] = (part.get_filename() or "", data if isinstance(data, bytes) else b"")
    return found
