"""Dialects: one module per family of log records, each with `matches(record)` and `read(record, line)`.

Adding one: write the module and name it here, before any dialect whose keys it shares. Help text and tests are
derived from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from advisor.logs.records import Call, Note, Skip

DIALECTS: dict[str, str] = {
    "otlp": "OpenTelemetry JSON: GenAI conventions old and new, OpenLLMetry, Vercel, OpenInference, ADK",
    "bedrock": "Amazon Bedrock model-invocation logs",
    "langfuse": "Langfuse trace downloads, batch and blob exports, scores",
    "mlflow": "MLflow traces with assessments",
    "litellm": "LiteLLM StandardLoggingPayload and SpendLogs",
    "langsmith": "LangSmith runs and feedback",
    "openinference": "OpenInference and Phoenix spans, dataframes and annotations",
    "openai_batch": "OpenAI batch input and output",
    "openai_evals": "OpenAI evals logs",
    "anthropic": "Anthropic Messages requests, responses and batches",
    "langchain": "LangChain message dumps",
    "openwebui": "Open WebUI chats and feedback",
    "vercel_ui": "Vercel AI SDK UIMessage lists",
    "tensorzero": "TensorZero inferences, datapoints and feedback",
    "recordings": "HTTP recordings of model calls",
    "trajectories": "Agent trajectories with a reward",
    "openai": "OpenAI requests and responses, messages, Responses API, stored completions, fine-tune and DPO files",
    "sharegpt": "ShareGPT, WildChat, LMSYS and FastChat conversations",
    "intercom": "Intercom conversations",
    "rasa": "Rasa trackers",
    "dialogflow_cx": "Dialogflow CX conversations",
    "chainlit": "Chainlit and Literal threads",
    "llamaindex": "LlamaIndex chat stores and responses",
    "rows": "Rows with a question and an answer: CSV, TSV, JSON Lines, spreadsheets, parquet",
    "transcript": "Plain text transcripts",
}
"""Name to what it reads, in the order in which they are tried."""

Parts = Iterable[Call | Note | Skip]


class Dialect(NamedTuple):
    """One reader.

    Attributes:
        matches: Whether a record is of this dialect, by its keys.
        read: The calls and notes in a record.
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], int], Parts]


@cache
def load(name: str) -> Dialect:
    """Return the reader of that name."""
    module = import_module(f"advisor.logs.dialects.{name}")
    return Dialect(name, module.matches, module.read)


def detect(
    record: Mapping[str, Any], *, text: bool = False, first: tuple[Dialect, ...] = ()
) -> Dialect | None:
    """Return the dialect of a record, None if no reader knows it; those in `first` are asked first."""
    if text:
        dialect = load("transcript")
        return dialect if dialect.matches(record) else None
    for dialect in first:
        # Rows match almost anything with two known columns, so they may not jump the queue.
        if dialect.name != "rows" and dialect.matches(record):
            return dialect
    for name in DIALECTS:
        if name != "transcript" and load(name).matches(record):
            return load(name)
    return None
