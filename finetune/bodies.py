"""What is sent to make a job, as plain data: the same for a dry run and for the real call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune.catalog import Row
from finetune.recipe import Recipe
from finetune.vetting.settings import settings

RUN_KEY = "rightfix_key"
"""Name under which our key stands in a provider's metadata and tags, so that a job can be found again."""
_METHODS = {"supervised": "supervised", "preference": "dpo", "reinforcement": "reinforcement"}
_NAME = 63


def openai_body(
    key: str, recipe: Recipe, row: Row, *, training_file: str, validation_file: str | None
) -> dict[str, Any]:
    """Return the body of `POST /fine_tuning/jobs`."""
    method = _METHODS[row.method]
    own: dict[str, Any] = {"hyperparameters": settings(recipe, row)}
    if row.method == "reinforcement":
        own["grader"] = recipe.extra["grader"]
        if "reasoning_effort" in recipe.extra:
            own["hyperparameters"]["reasoning_effort"] = recipe.extra["reasoning_effort"]
    body: dict[str, Any] = {
        "model": row.model, "training_file": training_file, "method": {"type": method, method: own},
        "seed": recipe.seed, "metadata": {RUN_KEY: key},
    }  # fmt: skip
    if validation_file is not None:
        body["validation_file"] = validation_file
    if recipe.suffix is not None and row.provider != "mantle":
        body["suffix"] = recipe.suffix
    if "integrations" in recipe.extra:
        body["integrations"] = recipe.extra["integrations"]
    return body


def bedrock_body(
    key: str, recipe: Recipe, row: Row, *, role_arn: str, training: str, validation: str | None, output: str
) -> dict[str, Any]:
    """Return the arguments of `CreateModelCustomizationJob`; the key is its idempotency token, too.

    Args:
        key: Ours.
        recipe: How.
        row: Of the model.
        role_arn: Role that Bedrock takes on to read and write the bucket.
        training: `s3://` address of the training file.
        validation: That of the validation file.
        output: `s3://` folder of the result files.
    """
    tags = [{"key": RUN_KEY, "value": key}]
    body: dict[str, Any] = {
        "jobName": key, "customModelName": _named(key, recipe), "roleArn": role_arn, "clientRequestToken": key,
        "baseModelIdentifier": row.model, "customizationType": "FINE_TUNING",
        "trainingDataConfig": {"s3Uri": training}, "outputDataConfig": {"s3Uri": output},
        "hyperParameters": {name: _text(value) for name, value in settings(recipe, row).items()},
        "jobTags": tags, "customModelTags": tags,
    }  # fmt: skip
    if validation is not None:
        body["validationDataConfig"] = {"validators": [{"s3Uri": validation}]}
    if "kms_key" in recipe.extra:
        body["customModelKmsKeyId"] = recipe.extra["kms_key"]
    if isinstance(recipe.extra.get("vpc"), Mapping):
        body["vpcConfig"] = dict(recipe.extra["vpc"])
    return body


def _named(key: str, recipe: Recipe) -> str:
    return f"{recipe.suffix}-{key}"[-_NAME:].lstrip("-") if recipe.suffix else key


def _text(value: float) -> str:
    """A number as Bedrock reads it: no exponent, no idle zeros."""
    return f"{value:.10f}".rstrip("0").rstrip(".")
