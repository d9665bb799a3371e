"""The logs as the shop keeps them: requests and responses, spans, a table from the kiosk, and ratings apart."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from bot import CARD, PROMPTS, TOOLS
from turns import Logged, Turn, dumps

MODEL = "SmolLM2-135M-Instruct"


def openai(rows: Iterable[Logged]) -> str:
    """OpenAI requests and responses, one a line, the served passages beside them."""
    return "".join(dumps(_pair(row)) + "\n" for row in rows)


def otlp(rows: Iterable[Logged]) -> str:
    """OpenTelemetry GenAI spans as the collector's file exporter writes them, one export a line."""
    return "".join(dumps(_export(row)) + "\n" for row in rows)


def kiosk(rows: Iterable[Logged]) -> str:
    """Questions and answers of the kiosk in the shops, a rating beside them."""
    names = "id timestamp session_id tenant system_prompt question answer contexts rating comment"
    header = names.split()
    return _table(header, ([*_line(row), _thumb(row), row.comment] for row in rows))


def ratings(rows: Iterable[Logged]) -> str:
    """What customers said of replies, by response id."""
    said = (r for r in rows if r.thumb or r.comment or r.correction)
    header = ["response_id", "rating", "comment", "correction"]
    return _table(header, ([r.id, _thumb(r), r.comment, r.correction] for r in said))


def _line(row: Logged) -> list[str]:
    turn, time = row.turn, datetime.fromtimestamp(row.time, UTC).isoformat()
    texts = dumps([p.text for p in turn.passages or ()])
    return [row.id, time, row.conversation, row.tenant, PROMPTS[turn.bot], turn.question, turn.reply, texts]


def _thumb(row: Logged) -> str:
    return {1: "thumbs up", -1: "thumbs down", 0: ""}[row.thumb]


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _pair(row: Logged) -> dict[str, Any]:
    turn = row.turn
    request: dict[str, Any] = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": PROMPTS[turn.bot]},
            *turn.history,
            {"role": "user", "content": turn.question},
        ],
        "temperature": 0,
    }
    if turn.bot == "cards":
        request["response_format"] = {"type": "json_schema", "json_schema": {"name": "card", "schema": CARD}}
    message = {"role": "assistant", "content": turn.reply}
    response = {
        "id": row.id,
        "object": "chat.completion",
        "created": row.time,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": turn.finish}],
        "usage": _usage(turn),
    }
    beside: dict[str, Any] = {"tenant": row.tenant, "user": row.customer, "conversation_id": row.conversation}
    if turn.passages is not None:
        beside["retrieved_contexts"] = [
            {"id": p.code, "title": p.title, "text": p.text, "score": p.score} for p in turn.passages
        ]
    return {"request": request, "response": response, **beside}


def _usage(turn: Turn) -> dict[str, int]:
    # The log keeps no exact counts for edited replies; four characters a token is near enough for prices.
    sent = len(PROMPTS[turn.bot]) + len(turn.question) + sum(len(str(m["content"])) for m in turn.history)
    said = len(turn.reply) + sum(len(a) for _, a in turn.calls)
    prompt, completion = max(1, sent // 4), max(1, said // 4)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _export(row: Logged) -> dict[str, Any]:
    resource = [_attribute("service.name", "fernhill-orders"), _attribute("tenant.id", row.tenant)]
    scope = {"scope": {"name": "fernhill.bot"}, "spans": [_span(row)]}
    return {"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [scope]}]}


def _span(row: Logged) -> dict[str, Any]:
    digest = hashlib.blake2b(row.id.encode(), digest_size=24).hexdigest()
    return {
        "traceId": digest[:32],
        "spanId": digest[32:],
        "name": f"chat {MODEL}",
        "kind": 3,
        "startTimeUnixNano": str(row.time * 10**9),
        "endTimeUnixNano": str(row.time * 10**9 + 640_000_000),
        "attributes": _attributes(row),
        "status": {},
    }


def _attributes(row: Logged) -> list[dict[str, Any]]:
    turn, usage = row.turn, _usage(row.turn)
    asked = {"role": "user", "parts": [{"type": "text", "content": turn.question}]}
    said = {"role": "assistant", "parts": _parts(turn), "finish_reason": turn.finish}
    finish = {"arrayValue": {"values": [{"stringValue": turn.finish}]}}
    return [
        _attribute("gen_ai.operation.name", "chat"),
        _attribute("gen_ai.provider.name", "llama.cpp"),
        _attribute("gen_ai.request.model", MODEL),
        _attribute("gen_ai.response.model", MODEL),
        _attribute("gen_ai.response.id", row.id),
        _attribute("gen_ai.conversation.id", row.conversation),
        _attribute("user.id", row.customer),
        _attribute("gen_ai.system_instructions", dumps([{"type": "text", "content": PROMPTS[turn.bot]}])),
        _attribute("gen_ai.input.messages", dumps([asked])),
        _attribute("gen_ai.output.messages", dumps([said])),
        _attribute("gen_ai.tool.definitions", dumps([{"type": "function", **t["function"]} for t in TOOLS])),
        {"key": "gen_ai.response.finish_reasons", "value": finish},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(usage["prompt_tokens"])}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": str(usage["completion_tokens"])}},
    ]


def _parts(turn: Turn) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [{"type": "text", "content": turn.reply}] if turn.reply else []
    return said + [
        {"type": "tool_call", "id": f"call_{n}", "name": name, "arguments": arguments}
        for n, (name, arguments) in enumerate(turn.calls)
    ]


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}
