"""Amazon Bedrock: files in S3, a customization job, and what serves the tuned model afterwards.

The job's name and idempotency token are our key, so that sending it twice makes one job there; before it is sent, the role and the
bucket are looked at, and what is missing is told with the policy that mends it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

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
from finetune.bodies import bedrock_body
from finetune.catalog import Life, Row, find
from finetune.deployments import Deployments
from finetune.formats import write
from finetune.formats.line import Unfit
from finetune.policies import PREFIX, Place, policies, trusts_bedrock
from finetune.preflight import row_of

_STATES: Mapping[str, State] = {
    "InProgress": "running", "Completed": "succeeded", "Failed": "failed", "Stopping": "running", "Stopped": "cancelled",
}  # fmt: skip
"""The provider's words in ours; a word that is not here counts as running, and is shown as it is."""
_LATER = ("ThrottlingException", "ServiceQuotaExceededException", "TooManyRequestsException", "ModelNotReadyException", "ServiceUnavailableException")  # fmt: skip
_DENIED = ("AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "InvalidClientTokenId")  # fmt: skip
_UNKNOWN_ACCOUNT = "000000000000"
ROLE, BUCKET = "RIGHTFIX_BEDROCK_ROLE", "RIGHTFIX_BEDROCK_BUCKET"
"""Variables that name the role that Bedrock takes on, and the bucket."""


class Bedrock:
    """Bedrock in one region.

    Args:
        region: Where; the recipe's `region`, or the only region that tunes the model, unless given.
        role_arn: Role that Bedrock takes on; the recipe's, or `RIGHTFIX_BEDROCK_ROLE`, unless given.
        bucket: S3 bucket; the recipe's, or `RIGHTFIX_BEDROCK_BUCKET`, unless given.
        catalog: A file of rows beside the shipped ones.
        timeout_s: Longest wait for an answer.
    """

    provider = "bedrock"

    def __init__(
        self,
        *,
        region: str | None = None,
        role_arn: str | None = None,
        bucket: str | None = None,
        catalog: Path | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._region, self._role, self._bucket, self._catalog = region, role_arn, bucket, catalog
        # Retries of the SDK carry the same idempotency token, so that they may stay on.
        self._config = botocore.config.Config(
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            retries={"mode": "standard", "total_max_attempts": 3},
        )
        self._clients: dict[tuple[str, str], Any] = {}

    # The port

    def submit(self, order: Order, *, steps: Mapping[str, Any], note: Note, perhaps_sent: bool) -> str:
        """Make sure that exactly one job exists; see `Backend`."""
        row = self._row(order)
        place = self._place(order, row)
        bedrock = self._client("bedrock", place.region)
        found = self._found(bedrock, order, place)
        if found is not None:
            if not perhaps_sent:
                self._usable(order, place)
            return found
        self._permitted(order, place)
        files = self._files(order, row, place, note)
        note("region", place.region)
        body = bedrock_body(
            order.key, order.recipe, row, role_arn=place.role_arn, training=files["training"], validation=files.get("validation"),
            output=f"s3://{place.bucket}/{PREFIX}/{order.key}/output/",
        )  # fmt: skip
        try:
            return str(bedrock.create_model_customization_job(**body)["jobArn"])
        except _ERRORS as error:
            told = self._told(error, order, place)
            conflict = _code(error) == "ConflictException"
        if not conflict and not isinstance(told, JobUncertain):
            raise told
        found = self._found(bedrock, order, place)
        if found is None:
            raise told
        return found

    def poll(self, order: Order, provider_id: str, *, steps: Mapping[str, Any], note: Note) -> Standing:
        """Return how the job stands; see `Backend`."""
        place = self._place(order, self._row(order))
        job = self._job(order, place, provider_id)
        state = _STATES.get(job["status"], "running")
        files = self._results(job, order, place) if state == "succeeded" else {}
        losses = {"training_loss": job.get("trainingMetrics", {}).get("trainingLoss")}
        losses["validation_loss"] = next((m.get("validationLoss") for m in job.get("validationMetrics", ())), None)  # fmt: skip
        return Standing(
            state=state, raw=job["status"], message=job.get("failureMessage", ""),
            model=f"{self.provider}:{job['outputModelArn']}" if job.get("outputModelArn") else None,
            metrics={k: float(v) for k, v in losses.items() if v is not None}, events=_events(job), files=files,
        )  # fmt: skip

    def control(self, order: Order, provider_id: str, action: Action) -> None:
        """Cancel; Bedrock cannot pause. See `Backend`."""
        if action != "cancel":
            raise JobRefused(f"Bedrock cannot {action} a job", hint="it can be cancelled")
        place = self._place(order, self._row(order))
        try:
            self._client("bedrock", place.region).stop_model_customization_job(jobIdentifier=provider_id)
        except _ERRORS as error:
            status = self._job(order, place, provider_id)["status"]
            if status in ("Stopping", "Stopped"):
                return
            if status in ("Completed", "Failed"):
                raise JobRefused(f"the job is over: {status}", code=_code(error)) from None
            raise _asked(self._told(error, order, place)) from None

    def life(self, model: str) -> Life:
        """Return what the provider says of a model now.

        Raises:
            JobError: It could not be asked.
        """
        region = self._region or self._region_of(model)
        try:
            found = self._client("bedrock", region).get_foundation_model(modelIdentifier=model)["modelDetails"]  # fmt: skip
        except _ERRORS as error:
            if _code(error) == "ResourceNotFoundException":
                return Life(closed=True, told=str(error))
            raise _asked(self._told(error, None, None)) from None
        life = found.get("modelLifecycle", {})
        ends = life.get("endOfLifeTime")
        tunable = any("FINE_TUNING" in c for c in found.get("customizationsSupported", ["FINE_TUNING"]))
        return Life(
            shutdown=ends.date() if isinstance(ends, datetime) else None,
            closed=life.get("status") == "LEGACY" or not tunable,
            told=str(life.get("status", "")),
        )

    def deployments(self, region: str | None = None) -> Deployments:
        """Return what makes, lists and deletes what serves tuned models in a region."""
        where = region or self._region or os.environ.get("AWS_REGION", "us-east-1")

        def call(operation: str, **arguments: Any) -> Any:
            return self._call(None, Place(region=where, account="", bucket="", role_arn=""), operation, **arguments)  # fmt: skip

        return Deployments(call)

    # Before it is sent

    def _row(self, order: Order) -> Row:
        row = row_of(order.recipe, self._catalog)
        if row is None or row.provider != self.provider:
            raise JobRefused(f"nothing is known of tuning {order.recipe.base!r}", hint="preflight says what is")  # fmt: skip
        return row

    def _region_of(self, model: str) -> str:
        row = find(self.provider, model, "supervised")
        return row.regions[0] if row is not None and row.regions else os.environ.get("AWS_REGION", "us-east-1")  # fmt: skip

    def _place(self, order: Order, row: Row) -> Place:
        extra = order.recipe.extra
        region = str(extra.get("region") or self._region or row.regions[0])
        if row.regions and region not in row.regions:
            raise JobUnavailable(f"{row.model} is tuned in {', '.join(row.regions)}, not in {region}", hint="leave the region out", passes=False)  # fmt: skip
        role = extra.get("role_arn") or self._role or os.environ.get(ROLE)
        bucket = extra.get("bucket") or self._bucket or os.environ.get(BUCKET)
        if not role or not bucket:
            missing = ROLE if not role else BUCKET
            raise JobUnavailable("Bedrock needs a role that it takes on and a bucket", hint=f"set {missing}; `advise finetune plan ... --out FOLDER` writes the policies", passes=False)  # fmt: skip
        return Place(region=region, account=str(role).split(":")[4] or _UNKNOWN_ACCOUNT, bucket=str(bucket), role_arn=str(role), kms_key=extra.get("kms_key"))  # fmt: skip

    def _permitted(self, order: Order, place: Place) -> None:
        """Look at the caller, the role and the bucket, so that what is missing is told before anything is uploaded."""
        try:
            account = str(self._client("sts", place.region).get_caller_identity()["Account"])
        except _ERRORS as error:
            raise _asked(self._told(error, order, place)) from None
        if account != place.account:
            raise JobUnavailable(f"the role belongs to account {place.account}, and you are {account}", hint=f"set {ROLE}", passes=False)  # fmt: skip
        try:
            name = place.role_arn.rpartition("/")[2]
            document = self._client("iam", place.region).get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]  # fmt: skip
        except _ERRORS as error:
            if _code(error) == "NoSuchEntity":
                raise JobUnavailable(f"there is no role {place.role_arn}", hint=self._policy(order, place), passes=False) from None  # fmt: skip
            # Who may not look at the role may still pass it on.
            document = None
        if document is not None and not trusts_bedrock(document):
            raise JobUnavailable(f"{place.role_arn} does not let Bedrock take it on", hint=self._policy(order, place), passes=False)  # fmt: skip
        try:
            self._client("s3", place.region).head_bucket(Bucket=place.bucket)
        except _ERRORS as error:
            raise JobUnavailable(f"the bucket {place.bucket} cannot be reached ({_code(error) or error})", hint=self._policy(order, place), passes=False) from None  # fmt: skip

    def _policy(self, order: Order | None, place: Place) -> str:
        """Write the policies beside the job and say where."""
        if order is None:
            return "`advise finetune plan ... --out FOLDER` writes the policies that allow it"
        path = order.workdir / "policies.json"
        path.write_text(json.dumps(policies(place), indent=2) + "\n", encoding="utf-8")
        return f"the policies that allow it are in {path}"

    def _files(self, order: Order, row: Row, place: Place, note: Note) -> dict[str, str]:
        data = datasets.load(order.dataset)
        found = {}
        for part, examples in (("training", data.train), ("validation", data.validation if row.validation else ())):  # fmt: skip
            if not examples:
                continue
            try:
                content = write(examples, row.format)
            except Unfit as error:
                raise JobRefused(str(error), hint="preflight names all such examples") from None
            (order.workdir / f"{part}.jsonl").write_bytes(content)
            key = f"{PREFIX}/{order.key}/{part}.jsonl"
            try:
                self._client("s3", place.region).put_object(Bucket=place.bucket, Key=key, Body=content)
            except _ERRORS as error:
                raise _asked(self._told(error, order, place)) from None
            found[part] = f"s3://{place.bucket}/{key}"
            note(f"{part}_file", found[part])
        return found

    def _found(self, bedrock: Any, order: Order, place: Place) -> str | None:
        """The job of our name."""
        try:
            return str(bedrock.get_model_customization_job(jobIdentifier=order.key)["jobArn"])
        except _ERRORS as error:
            if _code(error) in ("ResourceNotFoundException", "ValidationException"):
                return None
            raise JobUncertain(f"whether job {order.key} was made cannot be found out now: {error}", hint="submit again; it is looked for first") from None  # fmt: skip

    def _usable(self, order: Order, place: Place) -> None:
        """Refuse a job of our name that another state folder sent, if nothing will come of it; names are for ever there."""
        status = self._job(order, place, order.key)["status"]
        if status in ("Failed", "Stopping", "Stopped"):
            raise JobRefused(f"the same was ordered before from another state folder, and ended as {status}", hint="order it again (--again) to get a new name")  # fmt: skip

    # Afterwards

    def _results(self, job: Mapping[str, Any], order: Order, place: Place) -> dict[str, Path]:
        """The metrics that Bedrock writes into the bucket; none are no reason to fail."""
        s3 = self._client("s3", place.region)
        prefix = job["outputDataConfig"]["s3Uri"].removeprefix(f"s3://{place.bucket}/")
        found = {}
        try:
            for item in s3.list_objects_v2(Bucket=place.bucket, Prefix=prefix).get("Contents", ()):
                name = item["Key"].rpartition("/")[2]
                if name.endswith(".csv"):
                    path = order.workdir / name
                    path.write_bytes(s3.get_object(Bucket=place.bucket, Key=item["Key"])["Body"].read())
                    found[name] = path
        except _ERRORS:
            return found
        return found

    # Calls and errors

    def _client(self, service: str, region: str) -> Any:
        if (service, region) not in self._clients:
            try:
                self._clients[service, region] = boto3.client(
                    service, region_name=region, config=self._config
                )
            except botocore.exceptions.BotoCoreError as error:
                raise JobUnavailable(f"AWS cannot be asked: {error}") from None
        return self._clients[service, region]

    def _job(self, order: Order, place: Place, id: str) -> Any:
        job = self._call(order, place, "get_model_customization_job", jobIdentifier=id)
        if "status" not in job:
            raise JobUnavailable("an answer of Bedrock cannot be read", hint="try again")
        return job

    def _call(self, order: Order | None, place: Place, operation: str, **arguments: Any) -> Any:
        """Ask something that makes nothing, or whose token makes it safe to ask twice."""
        function: Callable[..., Any] = getattr(self._client("bedrock", place.region), operation)
        try:
            return function(**arguments)
        except _ERRORS as error:
            raise _asked(self._told(error, order, place)) from None

    def _told(self, error: Exception, order: Order | None, place: Place | None) -> JobError:
        """The SDK's error in our words: refused, not possible now, or not known."""
        code, said = _code(error), str(error)
        if isinstance(error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError):  # fmt: skip
            return JobUnavailable(said, hint="configure credentials of AWS", passes=False)
        if not code:
            return JobUncertain(f"no answer from Bedrock ({said})", hint="submit again; it is looked for first")  # fmt: skip
        if code in _DENIED:
            hint = self._policy(order, place) if place is not None and place.bucket else "check the caller's policy"  # fmt: skip
            return JobUnavailable(f"AWS denies it: {said}", hint=hint, code=code, passes=False)
        if code in _LATER or code in ("429", "SlowDown"):
            return JobUnavailable(f"Bedrock asks to wait: {said}", hint="submit again later", code=code)
        status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500:
            return JobUncertain(f"Bedrock failed ({status}): {said}", hint="submit again; it is looked for first", code=code)  # fmt: skip
        return JobRefused(f"Bedrock refuses: {said}", code=code)


_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, ValueError, KeyError)
"""What a call can raise: no connection, an error that AWS tells, an answer that cannot be read (the SDK takes broken JSON for
an empty answer, so that what should stand in it is missing)."""


def _code(error: Exception) -> str:
    response: Any = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, Mapping) else ""


def _asked(error: JobError) -> JobError:
    """Where nothing was to be made, what is uncertain is only not possible now."""
    if isinstance(error, JobUncertain):
        return JobUnavailable(error.args[0], hint="try again", code=error.code)
    return error


def _events(job: Mapping[str, Any]) -> tuple[Event, ...]:
    """Bedrock tells no events; the stages of a job with their times say the same."""
    found = [Event(time=_seconds(job["creationTime"]), message="created")]
    for part, one in job.get("statusDetails", {}).items():
        if one.get("status", "NotStarted") != "NotStarted" and one.get("lastModifiedTime"):
            found.append(Event(time=_seconds(one["lastModifiedTime"]), message=f"{part.removesuffix('Details')}: {one['status']}"))  # fmt: skip
    if job.get("endTime"):
        found.append(Event(time=_seconds(job["endTime"]), message=f"ended: {job['status']}"))
    return tuple(sorted(found, key=lambda e: e.time))


def _seconds(moment: datetime | date) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else 0.0
