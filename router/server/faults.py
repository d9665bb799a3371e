"""Faults: why a request got no answer, in OpenAI's form."""

from __future__ import annotations

from typing import Any

from rag.embedders.port import EmbedderFailed
from rag.stores.port import StoreFailed
from router.live import NothingLive, UnknownRelease, UnknownTenant
from router.models.port import ModelError, ModelRefused, ModelUnavailable

_BUSY_S = 2.0


class Fault(Exception):
    """A request gets no answer.

    Attributes:
        status: Of HTTP.
        kind: `type` of the error in OpenAI's form.
        code: In a word, for programs; None for none.
        param: Which part of the request; None for none.
        again_s: Seconds after which the same may work; None if it never will.
    """

    def __init__(
        self, status: int, message: str, *, kind: str, code: str | None = None, param: str | None = None, again_s: float | None = None
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.again_s = again_s

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}


def wrong(message: str, *, param: str | None = None, code: str | None = None) -> Fault:
    """Return the fault of a request that is wrong in itself."""
    return Fault(400, message, kind="invalid_request_error", param=param, code=code)


def too_large(most: int) -> Fault:
    """Return the fault of a request of more than so many bytes."""
    return Fault(413, f"a request has at most {most} bytes", kind="invalid_request_error", code="too_large")


def fault_of(error: Exception) -> Fault:
    """Return what a client is told of an error; inner matters stay inside unless they help it."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, TimeoutError):
        return Fault(504, "the reply took too long", kind="api_error", code="timeout")
    if isinstance(error, UnknownTenant):
        return Fault(403, "nothing is served to this key", kind="permission_error", code="unknown_tenant")
    if isinstance(error, UnknownRelease):
        return Fault(404, str(error), kind="invalid_request_error", code="model_not_found", param="model")
    if isinstance(error, NothingLive):
        return Fault(503, "nothing is live here yet", kind="api_error", code="nothing_live", again_s=_BUSY_S)
    if isinstance(error, ModelUnavailable | EmbedderFailed | StoreFailed):
        return Fault(503, "the model or the index is busy or out of reach", kind="api_error", code="unavailable", again_s=_BUSY_S)  # fmt: skip
    if isinstance(error, ModelRefused):
        return Fault(502, "the model's provider refused the request", kind="api_error", code="refused")
    if isinstance(error, ModelError):
        return Fault(503, "the model is not ready", kind="api_error", code="model_missing")
    return Fault(500, "the server failed; its log says why", kind="api_error", code="internal")
