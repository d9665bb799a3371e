"""An AWS account of one's own for tests: S3, STS and IAM by moto over HTTP, Bedrock by its double."""

import json
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer

from finetune.doubles.bedrock import ACCOUNT, BedrockDouble
from finetune.policies import Place, policies

ROLE = f"arn:aws:iam::{ACCOUNT}:role/tuner"
BUCKET = "tuning"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
    "RIGHTFIX_BEDROCK_ROLE": ROLE, "RIGHTFIX_BEDROCK_BUCKET": BUCKET,
}  # fmt: skip


@contextmanager
def moto():
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def account(address, monkeypatch):
    """Bedrock's double beside moto, with a role and a bucket; variables point every SDK at them."""
    with BedrockDouble(s3=address) as double:
        for name, value in VARIABLES.items():
            monkeypatch.setenv(name, value)
        for service in ("S3", "STS", "IAM"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", address)
        for service in ("BEDROCK", "BEDROCK_RUNTIME"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", double.address)
        reset(address)
        trust = policies(Place(region="us-east-1", account=ACCOUNT, bucket=BUCKET, role_arn=ROLE))["trust"]
        boto3.client("iam").create_role(RoleName="tuner", AssumeRolePolicyDocument=json.dumps(trust))
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield double


def reset(address):
    from urllib.request import Request, urlopen

    urlopen(Request(f"{address}/moto-api/reset", method="POST"), timeout=5).close()
