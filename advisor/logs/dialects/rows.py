"""Rows: one turn a row (question, answer, rating) or one message a row (role, text), under many names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from advisor.exchange import Message
from advisor.logs.dialects.messages import (
    ROLES,
    as_text,
    to_float,
    to_message,
    to_messages,
    to_passages,
    to_time,
    unwrap,
)
from advisor.logs.dialects.transcript import turns
from advisor.logs.feedback import feedback
from advisor.logs.records import Call, Note, Skip

_SYNONYMS: dict[str, str] = {
    "question": "question query prompt input userinput usermessage utterance userquery customermessage instruction request userprompt text_in frage pregunta domanda",
    "answer": "answer response output reply completion botresponse assistant generated prediction botanswer botreply actualoutput modeloutput llmresponse antwort respuesta risposta réponse reponse agentresponse botmessage",
    "expected": "expected expectedoutput reference groundtruth truth ideal gold correctanswer corrected idealanswer expectedanswer correction referenceanswer target",
    "contexts": "context contexts retrievedcontexts documents sources passages chunks retrievaldocuments retrieveddocuments retrievalcontext",
    "rating": "rating score feedback thumbs vote stars csat label iscorrect satisfaction userrating userfeedback thumb evaluation",
    "comment": "comment comments reason note remark feedbacktext feedbackcomment usercomment",
    "conversation": "session sessionid conversationid conversation thread threadid chatid chat dialogid dialogueid conversationidentifier",
    "user": "user userid customerid enduser", "tenant": "tenant tenantid org organization account workspace company",
    "time": "timestamp createdat date time datetime created startdatetime starttime", "model": "model modelname modelid deployment",
    "id": "id messageid requestid responseid traceid uuid rowid exchangeid ticketid", "error": "error exception errormessage",
    "role": "role sender speaker author from messagetype iscreatedbyuser", "text": "text content message body value utterance",
    "system": "system systemprompt systemmessage", "transcript": "chattranscript transcript", "outcome": "sessionoutcome outcome resolution",
}  # fmt: skip
_FIELD = {name: field for field, names in _SYNONYMS.items() for name in names.split()}
_RESULT = re.compile(r"(.+?)_?(?:result|verdict)$", re.I)


def _columns(record: Mapping[str, Any]) -> dict[str, str]:
    """Field to column; the first column that fits wins."""
    found: dict[str, str] = {}
    for column in record:
        field = _FIELD.get(re.sub(r"[\s_.\-/]+", "", str(column)).lower())
        if field is not None:
            found.setdefault(field, column)
        if field == "question" or column in ("utterance",):
            found.setdefault("question", column)
    return found


def matches(record: Mapping[str, Any]) -> bool:
    """Whether the record has a question and an answer, a role and a text, a transcript, or a score on an id."""
    columns = _columns(record)
    if "answer" in columns and not isinstance(unwrap(record[columns["answer"]]), bool):
        return True
    if "transcript" in columns or ("role" in columns and "text" in columns):
        return True
    return "rating" in columns and bool({"id", "conversation"} & set(columns))


def read(record: Mapping[str, Any], line: int) -> Iterable[Call | Note | Skip]:
    """Yield the call or note of one row."""
    columns = _columns(record)
    get = {field: record[column] for field, column in columns.items()}
    if "transcript" in columns:
        yield _transcript(get, line)
    elif "answer" in columns:
        yield _wide(record, columns, get, line)
    elif "role" in columns and "text" in columns:
        yield from _long(get, line)
    else:
        yield Note(
            line=line,
            ids=tuple(str(get[k]) for k in ("id", "conversation") if get.get(k) not in (None, "")),
            parts=_said(record, get),
        )


def _wide(record: Mapping[str, Any], columns: Mapping[str, str], get: Mapping[str, Any], line: int) -> Call:
    question = unwrap(get.get("question"))
    asked = (
        to_messages(question)
        if isinstance(question, list)
        else ((Message(role="user", content=as_text(get.get("question"))),) if get.get("question") else ())
    )
    system = as_text(get.get("system"))
    return Call(
        line=line, messages=(*((Message(role="system", content=system),) if system else ()), *asked), reply=_reply(get["answer"]),
        passages=to_passages(get["contexts"]) if get.get("contexts") is not None else None, error=_text(get.get("error")),
        latency=to_float(record.get("latency")), **_said(record, get), **_whose(get),
    )  # fmt: skip


def _reply(value: Any) -> Message:
    inner = unwrap(value)
    message = (
        to_message(inner, role="assistant")
        if isinstance(inner, Mapping) and ("content" in inner or "role" in inner)
        else None
    )
    return message or Message(role="assistant", content=value if isinstance(value, str) else as_text(value))


def _said(record: Mapping[str, Any], get: Mapping[str, Any]) -> dict[str, Any]:
    given = []
    comment = as_text(get.get("comment"))
    if get.get("rating") not in (None, ""):
        given.append(feedback("rating", get["rating"], comment=comment))
    elif comment:
        given.append(feedback("comment", None, comment=comment))
    for column, value in record.items():
        named = _RESULT.match(str(column))
        if named and isinstance(value, str) and value:
            given.append(feedback(named[1], value, source="code"))
    if get.get("outcome"):
        given.append(feedback("resolved", get["outcome"]))
    found: dict[str, Any] = {"feedback": tuple(given)} if given else {}
    if get.get("expected") not in (None, ""):
        found["expected"] = as_text(get["expected"])
    return found


def _whose(get: Mapping[str, Any]) -> dict[str, Any]:
    named = {"conversation_id": "conversation", "tenant": "tenant", "user": "user", "model": "model"}
    found: dict[str, Any] = {field: _text(get.get(name)) for field, name in named.items()}
    found["time"] = to_time(get.get("time"))
    found["ids"] = tuple(i for i in [_text(get.get("id"))] if i)
    return found


def _long(get: Mapping[str, Any], line: int) -> Iterable[Call | Skip]:
    who = str(get["role"]).strip().lower()
    role = ROLES.get(who) or {
        "true": "user",
        "false": "assistant",
        "agent": "assistant",
        "visitor": "user",
        "client": "user",
    }.get(who)
    text = as_text(get["text"])
    if role is None:
        yield Skip(file="", line=line, reason=f"unknown speaker {who!r}")
        return
    message = Message(role=role, content=text)  # type: ignore[arg-type]
    # One message a row: the assembler strings the rows of a conversation together in the order of their times.
    yield Call(
        line=line,
        messages=() if role == "assistant" else (message,),
        reply=message if role == "assistant" else None,
        **_whose(get),
    )


def _transcript(get: Mapping[str, Any], line: int) -> Call | Skip:
    spoken = turns(str(get["transcript"]))
    if not any(m.role == "assistant" for m in spoken):
        return Skip(file="", line=line, reason="a transcript with no reply in it")
    last = spoken[-1] if spoken[-1].role == "assistant" else None
    said = _said({}, get)
    if last is not None and said.get("feedback"):
        return Call(line=line, messages=spoken[:-1], reply=last, **said, **_whose(get))
    return Call(line=line, messages=spoken, **said, **_whose(get))


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") and not isinstance(value, Mapping | list) else None
