"""The least that AWS must allow for a fine-tune at Bedrock: who calls, whom Bedrock becomes, and what that role may read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PREFIX = "rightfix"
"""Folder of the bucket under which everything of ours lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a job runs.

    Attributes:
        region: For instance `us-east-1`.
        account: Number of the AWS account.
        bucket: Name of the S3 bucket.
        role_arn: Role that Bedrock takes on.
        kms_key: ARN of the key that the model is encrypted with; None for Amazon's own.
    """

    region: str
    account: str
    bucket: str
    role_arn: str
    kms_key: str | None = None


def policies(place: Place) -> dict[str, Any]:
    """Return three policies: `caller` for whoever runs `advise`, `trust` and `role` for the role that Bedrock takes on."""
    bucket, ours = f"arn:aws:s3:::{place.bucket}", f"arn:aws:s3:::{place.bucket}/{PREFIX}/*"
    here = f"arn:aws:bedrock:{place.region}:{place.account}"
    jobs, models = f"{here}:model-customization-job/*", f"{here}:custom-model/*"
    served = [f"{here}:custom-model-deployment/*", f"{here}:provisioned-model/*"]
    caller = [
        _allow("Jobs", ["bedrock:CreateModelCustomizationJob", "bedrock:GetModelCustomizationJob", "bedrock:StopModelCustomizationJob", "bedrock:TagResource"], [jobs, models, f"arn:aws:bedrock:{place.region}::foundation-model/*"]),
        _allow("Lists", ["bedrock:ListModelCustomizationJobs", "bedrock:ListCustomModelDeployments", "bedrock:ListProvisionedModelThroughputs", "bedrock:GetFoundationModel"], ["*"]),
        _allow("Serving", ["bedrock:CreateCustomModelDeployment", "bedrock:GetCustomModelDeployment", "bedrock:DeleteCustomModelDeployment", "bedrock:CreateProvisionedModelThroughput", "bedrock:GetProvisionedModelThroughput", "bedrock:DeleteProvisionedModelThroughput", "bedrock:GetCustomModel", "bedrock:DeleteCustomModel"], [models, *served]),
        _allow("Answers", ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"], served),
        _allow("Files", ["s3:PutObject", "s3:GetObject"], [ours]),
        _allow("Bucket", ["s3:ListBucket"], [bucket]),
        {**_allow("Role", ["iam:PassRole"], [place.role_arn]), "Condition": {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}},
        _allow("Look", ["iam:GetRole"], [place.role_arn]),
    ]  # fmt: skip
    role = [
        {**_allow("Bucket", ["s3:ListBucket"], [bucket]), "Condition": {"StringLike": {"s3:prefix": f"{PREFIX}/*"}}},
        _allow("Files", ["s3:GetObject", "s3:PutObject"], [ours]),
    ]  # fmt: skip
    if place.kms_key is not None:
        role.append(_allow("Key", ["kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant", "kms:DescribeKey"], [place.kms_key]))  # fmt: skip
    trust = {
        "Sid": "Bedrock", "Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": place.account}, "ArnEquals": {"aws:SourceArn": jobs}},
    }  # fmt: skip
    return {
        name: {"Version": "2012-10-17", "Statement": statements}
        for name, statements in (("caller", caller), ("trust", [trust]), ("role", role))
    }


def trusts_bedrock(document: Any) -> bool:
    """Whether a role's trust policy lets Bedrock take the role on."""
    statements = document.get("Statement", []) if isinstance(document, dict) else []
    for one in statements if isinstance(statements, list) else [statements]:
        services = one.get("Principal", {}).get("Service", []) if isinstance(one.get("Principal"), dict) else []  # fmt: skip
        named = [services] if isinstance(services, str) else services
        if one.get("Effect") == "Allow" and "bedrock.amazonaws.com" in named:
            return True
    return False


def _allow(name: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources}
