"""Embedders on Amazon Bedrock: Titan Text Embeddings V2 and Cohere Embed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import boto3
import numpy as np
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rag import wordpieces
from rag.embedders.port import EmbedderFailed, EmbedderMissing, Identity, Kind, Vectors, unit

_TITAN = 1024
_COHERE = 1024
_COHERE_INPUTS = 96
_LIMITS = {"amazon": 8192, "cohere": 512}
_RETRYABLE = {"ThrottlingException", "ServiceUnavailableException", "ModelTimeoutException", "InternalServerException", "ModelNotReadyException"}  # fmt: skip


class Bedrock:
    """An embedding model on Amazon Bedrock, called with the AWS credentials of the environment.

    Args:
        model: `amazon.titan-embed-text-v2:0`, `cohere.embed-english-v3` or `cohere.embed-multilingual-v3`.
        region: AWS region; that of the environment unless given.
        endpoint_url: Another endpoint, such as a VPC's.

    Raises:
        EmbedderMissing: The model's family is unknown, or no region is set.
    """

    def __init__(
        self,
        model: str = "amazon.titan-embed-text-v2:0",
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        self._family = model.partition(".")[0]
        if self._family not in _LIMITS:
            raise EmbedderMissing(
                f"bedrock:{model} is no embedder known here",
                hint="use amazon.titan-embed-text-v2:0 or cohere.embed-...",
            )
        try:
            self._client: Any = boto3.client(
                "bedrock-runtime",
                region_name=region,
                endpoint_url=endpoint_url,
                config=Config(retries={"mode": "adaptive", "max_attempts": 6}),
            )
        except (BotoCoreError, ValueError) as error:
            raise EmbedderMissing(
                f"bedrock:{model}: {error}", hint="set AWS_REGION and credentials"
            ) from None
        self._model = model
        self.max_tokens = _LIMITS[self._family]
        self.identity = Identity(
            model=f"bedrock:{model}", dimension=_TITAN if self._family == "amazon" else _COHERE
        )

    def count(self, text: str) -> int:
        """Return the number of word pieces, near the model's own count for most text."""
        return wordpieces.count(text)

    def embed(self, texts: Sequence[str], *, kind: Kind) -> Vectors:
        """Return a vector of length 1 for every text."""
        rows: list[list[float]] = []
        if self._family == "amazon":
            for text in texts:
                body = {"inputText": text or " ", "dimensions": self.identity.dimension, "normalize": True}
                rows.append(self._asked(body)["embedding"])
        else:
            role = "search_query" if kind == "query" else "search_document"
            for at in range(0, len(texts), _COHERE_INPUTS):
                part = [t or " " for t in texts[at : at + _COHERE_INPUTS]]
                # NONE: a text that is too long is an error rather than cut in silence.
                rows += self._asked({"texts": part, "input_type": role, "truncate": "NONE"})["embeddings"]
        found = np.asarray(rows, dtype=np.float32).reshape(len(texts), self.identity.dimension)
        return unit(found)

    def _asked(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._client.invoke_model(modelId=self._model, body=json.dumps(body))
            found: dict[str, Any] = json.loads(answer["body"].read())
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise EmbedderFailed(f"bedrock:{self._model}: {error}", retryable=code in _RETRYABLE) from error
        except (BotoCoreError, ValueError) as error:
            raise EmbedderFailed(f"bedrock:{self._model}: {error}", retryable=True) from error
        return found
