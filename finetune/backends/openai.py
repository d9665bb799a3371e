"""OpenAI's fine-tuning API: at OpenAI, at Azure, and at Bedrock's endpoint that speaks it (reinforcement with a grader).

The SDK repeats a request whose answer was lost, and would make a second job; so nothing that makes something is repeated here.
Our key stands in the job's metadata and in the name of its training file. After an answer that was lost, the provider's own
list of jobs decides, and the job is not sent again before it had time to appear there.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import os
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import openai

from finetune import datasets
from finetune.backends.port import (
    Action,
    Event,
    JobError,
    JobRefused,
    JobUnavailable,
    JobUncertain,
    Note,
    Order,
    Standing,
    State,
)
from finetune.bodies import RUN_KEY, openai_body
from finetune.catalog import Life, Row, alternatives, rows
from finetune.formats import write
from finetune.formats.line import Unfit
from finetune.preflight import row_of

_STATES: Mapping[str, State] = {
    "validating_files": "running", "queued": "running", "running": "running", "pausing": "running", "paused": "paused",
    "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
"""The provider's words in ours; a word that is not here counts as running, and is shown as it is."""
_OVER = ("succeeded", "failed", "cancelled")
_PAGES = 20
_CLOSED = "fine-tuning is closed to this organisation"


class OpenAI:
    """OpenAI's own service, or any that speaks its API.

    Args:
        base_url: Of another service; `OPENAI_BASE_URL`, or OpenAI's own, unless given.
        api_key: `OPENAI_API_KEY` unless given.
        catalog: A file of rows beside the shipped ones.
        timeout_s: Longest wait for an answer.
        settle_s: Time that a job whose answer was lost gets to appear in the provider's list before it is sent again.
    """

    provider = "openai"

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        catalog: Path | None = None,
        timeout_s: float = 120.0,
        settle_s: float = 60.0,
    ) -> None:
        self._catalog = catalog
        self._settle_s = settle_s
        try:
            self._client = self._connected(base_url, api_key, timeout_s)
        except openai.OpenAIError as error:
            raise JobUnavailable(
                f"{self.provider} cannot be asked: {error}", hint=self._key_hint, passes=False
            ) from None
        self._once = self._client.with_options(max_retries=0)

    _key_hint = "set OPENAI_API_KEY"

    def _connected(self, base_url: str | None, api_key: str | None, timeout_s: float) -> openai.OpenAI:
        return openai.OpenAI(base_url=base_url, api_key=api_key, timeout=timeout_s)

    # The port

    def submit(self, order: Order, *, steps: Mapping[str, Any], note: Note, perhaps_sent: bool) -> str:
        """Make sure that exactly one job exists; see `Backend`."""
        row = self._row(order)
        found = self._known(order, steps, perhaps_sent=perhaps_sent)
        if found is not None:
            return found
        files = self._files(order, row, steps, note)
        note("posting", time.time())
        body = openai_body(order.key, order.recipe, row, training_file=files["training"], validation_file=files.get("validation"))  # fmt: skip
        try:
            return str(self._once.fine_tuning.jobs.create(**body).id)
        except (openai.OpenAIError, ValueError) as error:
            told = self._told(error, order)
            if not isinstance(told, JobUncertain):
                raise told from None
        found = self._found(order, {**steps, "training_file": files["training"], "posting": time.time()})
        if found is None:
            raise told
        return found

    def poll(self, order: Order, provider_id: str, *, steps: Mapping[str, Any], note: Note) -> Standing:
        """Return how the job stands; see `Backend`."""
        try:
            job = self._client.fine_tuning.jobs.retrieve(provider_id)
            state = _STATES.get(str(job.status), "running")
            events = tuple(self._events(provider_id, str(steps.get("last_event", "")), note))
            checkpoints = self._checkpoints(provider_id) if state in ("running", "succeeded") else ()
            files = self._results(job, order) if state == "succeeded" else {}
        except (openai.OpenAIError, ValueError) as error:
            raise _asked(self._told(error, order)) from None
        tokens = job.trained_tokens
        price = self._row(order).train_usd
        return Standing(
            state=state, raw=str(job.status), message=_message(job, _checked(events, steps, note)),
            model=f"{self.provider}:{job.fine_tuned_model}" if job.fine_tuned_model else None, trained_tokens=tokens,
            cost_usd=tokens * price / 1e6 if tokens is not None and price is not None else None,
            metrics=_metrics(files), left_s=max(0.0, job.estimated_finish - time.time()) if job.estimated_finish else None,
            events=events, checkpoints=checkpoints, files=files,
        )  # fmt: skip

    def control(self, order: Order, provider_id: str, action: Action) -> None:
        """Cancel, pause or resume; see `Backend`."""
        jobs = self._client.fine_tuning.jobs
        try:
            try:
                {"cancel": jobs.cancel, "pause": jobs.pause, "resume": jobs.resume}[action](provider_id)
            except openai.BadRequestError as error:
                _settled(action, str(jobs.retrieve(provider_id).status), error)
        except (openai.OpenAIError, ValueError) as error:
            raise _asked(self._told(error, order)) from None

    def life(self, model: str) -> Life:
        """Return what the provider says of a model now.

        Raises:
            JobError: It could not be asked.
        """
        try:
            found = self._client.models.retrieve(model)
        except openai.NotFoundError as error:
            # Elsewhere a base may be tuned under a name by which it is not listed.
            return Life(closed=self.provider == "openai", told=_said(error))
        except (openai.OpenAIError, ValueError) as error:
            raise _asked(self._told(error, None)) from None
        shutdown = getattr(found, "shutdown_date", None)
        return Life(shutdown=date.fromisoformat(shutdown) if shutdown else None, told=str(shutdown or ""))

    def delete(self, model: str) -> None:
        """Delete a tuned model, so that nobody asks it any more; one that is gone already is no error.

        Raises:
            JobError: It could not be done.
        """
        try:
            self._client.models.delete(model)
        except openai.NotFoundError:
            return
        except (openai.OpenAIError, ValueError) as error:
            raise _asked(self._told(error, None)) from None

    # Files

    def _files(self, order: Order, row: Row, steps: Mapping[str, Any], note: Note) -> dict[str, str]:
        data = datasets.load(order.dataset)
        parts = {"training": data.train, "validation": data.validation if row.validation else ()}
        found = {}
        for part, examples in parts.items():
            if not examples:
                continue
            try:
                content = write(examples, row.format)
            except Unfit as error:
                raise JobRefused(str(error), hint="preflight names all such examples") from None
            (order.workdir / f"{part}.jsonl").write_bytes(content)
            found[part] = self._file(order, part, content, steps, note)
        return found

    def _file(self, order: Order, part: str, content: bytes, steps: Mapping[str, Any], note: Note) -> str:
        """The id of an uploaded file; what was uploaded by an attempt that died is found by its name and size."""
        name = f"{order.key}-{part}.jsonl"
        try:
            known = steps.get(f"{part}_file")
            if known is not None and self._there(str(known)):
                return str(known)
            if f"{part}_uploading" in steps:
                for file in _pages(self._client.files.list(purpose="fine-tune", limit=100)):
                    if file.filename == name and file.bytes == len(content):
                        note(f"{part}_file", file.id)
                        return str(file.id)
            note(f"{part}_uploading", True)
            id = str(self._once.files.create(file=(name, content), purpose="fine-tune").id)
        except (openai.OpenAIError, ValueError) as error:
            # A file that was uploaded twice costs nothing, so that nothing is uncertain here.
            raise _asked(self._told(error, order)) from None
        note(f"{part}_file", id)
        return id

    def _there(self, id: str) -> bool:
        try:
            self._client.files.retrieve(id)
        except openai.NotFoundError:
            return False
        return True

    # Exactly once

    def _found(self, order: Order, steps: Mapping[str, Any]) -> str | None:
        """The job that carries our key, or learns from our file, as the provider lists it."""
        file = steps.get("training_file")
        since = float(steps.get("posting", 0.0)) - 86_400
        try:
            for job in _pages(self._client.fine_tuning.jobs.list(limit=100)):
                if (job.metadata or {}).get(RUN_KEY) == order.key or (file and job.training_file == file):
                    return str(job.id)
                if job.created_at < since:
                    return None
        except (openai.OpenAIError, ValueError) as error:
            raise JobUncertain(
                f"whether job {order.key} was made cannot be found out now: {error}",
                hint="submit again; it is looked for first",
            ) from None
        return None

    def _known(self, order: Order, steps: Mapping[str, Any], *, perhaps_sent: bool) -> str | None:
        """The job if it is there before we send it: because an attempt that died sent it, or another state folder did."""
        if perhaps_sent:
            found = self._found(order, steps)
            if found is None:
                self._settled(steps)
            return found
        try:
            found = self._found(order, steps)
            status = None if found is None else str(self._client.fine_tuning.jobs.retrieve(found).status)
        except JobUncertain as error:
            raise _asked(error) from None
        except (openai.OpenAIError, ValueError) as error:
            raise _asked(self._told(error, order)) from None
        if status in ("failed", "cancelled"):
            raise JobRefused(f"the same was ordered before from another state folder, and ended as {status}", hint="order it again (--again)")  # fmt: skip
        return found

    def _settled(self, steps: Mapping[str, Any]) -> None:
        """Wait for nobody, but do not send again what may still appear."""
        if "posting" not in steps:
            return
        left = float(steps["posting"]) + self._settle_s - time.time()
        if left > 0:
            raise JobUncertain(
                f"it was sent, no answer came, and it is not listed; it gets {left:.0f} s more to appear",
                hint="submit again then; it is looked for first",
            )

    # Reading

    def _events(self, id: str, last: str, note: Note) -> Iterator[Event]:
        """What happened since the event `last`, oldest first."""
        found = []
        for event in _pages(self._client.fine_tuning.jobs.list_events(id, limit=100)):
            if event.id == last:
                break
            found.append(event)
        for event in reversed(found):
            data = event.data if isinstance(event.data, Mapping) else {}
            kind = str(event.type or "message")
            yield Event(
                time=float(event.created_at), message=event.message, level=str(event.level), data={**data, "type": kind, "id": event.id}
            )  # fmt: skip
        if found:
            note("last_event", found[0].id)

    def _checkpoints(self, id: str) -> tuple[str, ...]:
        found = sorted(
            _pages(self._client.fine_tuning.jobs.checkpoints.list(id, limit=100)), key=lambda c: c.step_number
        )
        return tuple(f"{self.provider}:{c.fine_tuned_model_checkpoint}" for c in found)

    def _results(self, job: Any, order: Order) -> dict[str, Path]:
        found = {}
        for number, id in enumerate(job.result_files):
            path = order.workdir / f"result-{number}.csv"
            if not path.exists():
                path.write_bytes(_decoded(self._client.files.content(id).read()))
            found[path.name] = path
        return found

    def _row(self, order: Order) -> Row:
        row = row_of(order.recipe, self._catalog)
        if row is None or row.provider != self.provider:
            raise JobRefused(f"nothing is known of tuning {order.recipe.base!r}", hint="preflight says what is")  # fmt: skip
        return row

    # Errors

    def _told(self, error: Exception, order: Order | None) -> JobError:
        """The SDK's error in our words: refused, not possible now, or not known."""
        if isinstance(error, openai.APIStatusError):
            return self._status(error, order)
        if isinstance(error, openai.APIConnectionError):
            return JobUncertain(f"no answer from {self.provider} ({type(error).__name__}: {error.__cause__ or error})", hint="submit again; it is looked for first")  # fmt: skip
        return JobUncertain(f"an answer of {self.provider} cannot be read ({error})", hint="submit again; it is looked for first")  # fmt: skip

    def _status(self, error: openai.APIStatusError, order: Order | None) -> JobError:
        said, code = _said(error), str(error.code or error.status_code)
        if error.status_code == 401:
            return JobUnavailable(f"{self.provider} does not take the key: {said}", hint=self._key_hint, code=code, passes=False)  # fmt: skip
        if error.status_code == 403:
            return JobRefused(f"{_CLOSED}: {said}", hint=self._elsewhere(order), code="PROVIDER_FT_CLOSED")
        if error.code == "insufficient_quota":
            return JobUnavailable(f"there is no credit left: {said}", hint="add credit, then submit again", code=code, passes=False)  # fmt: skip
        if error.status_code in (408, 429):
            after = error.response.headers.get("retry-after", "")
            return JobUnavailable(f"{self.provider} asks to wait: {said}", hint="submit again later", code=code, retry_after_s=float(after) if after.replace(".", "", 1).isdigit() else None)  # fmt: skip
        if error.status_code >= 500:
            return JobUncertain(f"{self.provider} failed ({error.status_code}): {said}", hint="submit again; it is looked for first", code=code)  # fmt: skip
        return JobRefused(f"{self.provider} refuses: {said}", code=code)

    def _elsewhere(self, order: Order | None) -> str:
        row = None if order is None else row_of(order.recipe, self._catalog)
        found = [] if row is None else alternatives(row, date.today(), rows(self._catalog))
        return "; ".join(found)


class Azure(OpenAI):
    """OpenAI's models at Azure; `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY` and `OPENAI_API_VERSION` say where."""

    provider = "azure"
    _key_hint = "set AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY and OPENAI_API_VERSION"

    def _connected(self, base_url: str | None, api_key: str | None, timeout_s: float) -> openai.OpenAI:
        endpoint = base_url or os.environ.get("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            raise openai.OpenAIError("no endpoint is given")
        return openai.AzureOpenAI(azure_endpoint=endpoint, api_key=api_key, timeout=timeout_s)


class Mantle(OpenAI):
    """Open-weight models at Bedrock by OpenAI's API; `AWS_BEARER_TOKEN_BEDROCK` is the key, `AWS_REGION` the region."""

    provider = "mantle"
    _key_hint = "set AWS_BEARER_TOKEN_BEDROCK"

    def _connected(self, base_url: str | None, api_key: str | None, timeout_s: float) -> openai.OpenAI:
        region = os.environ.get("AWS_REGION", "us-west-2")
        url = base_url or f"https://bedrock-mantle.{region}.api.aws/v1"
        key = api_key or os.environ.get("AWS_BEARER_TOKEN_BEDROCK")
        if not key:
            raise openai.OpenAIError("no key is given")
        return openai.OpenAI(base_url=url, api_key=key, timeout=timeout_s)


def _asked(error: JobError) -> JobError:
    """Where nothing was to be made, what is uncertain is only not possible now."""
    if isinstance(error, JobUncertain):
        return JobUnavailable(error.args[0], hint="try again", code=error.code)
    return error


def _settled(action: Action, status: str, error: openai.BadRequestError) -> None:
    """Let pass what was refused because it is so already.

    Raises:
        JobRefused: It is not.
    """
    wanted = {"cancel": ("cancelled",), "pause": ("paused",), "resume": ("running", "queued", "validating_files")}  # fmt: skip
    if status not in wanted[action]:
        told = f"the job is over: {status}" if status in _OVER else f"the job is {status}"
        raise JobRefused(f"{told} ({_said(error)})", code=str(error.code or ""))


def _pages(page: Any) -> Iterator[Any]:
    """All items of a listing, a bounded number of pages: a server that always says there are more would never end it."""
    for _ in range(_PAGES):
        yield from page.data
        if not page.data or not page.has_next_page():
            return
        page = page.get_next_page()


def _said(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, Mapping) else {}
    told = str(body.get("message") or error.message)
    param = body.get("param")
    return f"{told} (`{param}`)" if param else told


def _message(job: Any, checked: str) -> str:
    if job.error is not None and job.error.message:
        return f"{job.error.message} ({job.error.code})"
    return checked


def _checked(events: tuple[Event, ...], steps: Mapping[str, Any], note: Note) -> str:
    """What checks after the training said; an event of a type that the SDK does not know, told once."""
    said = [e.message for e in events if e.data.get("type") == "moderation_checks"]
    if said:
        note("checked", said[-1])
    return said[-1] if said else str(steps.get("checked", ""))


def _decoded(content: bytes) -> bytes:
    """A result file; some come in base64."""
    try:
        plain = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return content
    return plain if b"," in plain and b"," not in content else content


def _metrics(files: Mapping[str, Path]) -> dict[str, float]:
    """The last value of each column of the result files."""
    found: dict[str, float] = {}
    for path in files.values():
        for line in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
            for name, value in line.items():
                try:
                    found[name] = float(value)
                except (TypeError, ValueError):
                    continue
    return found
