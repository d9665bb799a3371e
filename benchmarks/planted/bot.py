"""The shop's bot: SmolLM2-135M over the shop's pages, found by words.

Four jobs: answer from passages, sort a ticket, call a tool, fill in a product card. What the model wrote is kept as
it is; `plants.py` decides what is edited afterwards. A file of earlier answers spares the model on a second run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.documents import Document
from rag.lexical import LexicalIndex
from rag.loading import load
from router.models import load as load_model
from router.models.port import ChatModel

SHOP = Path(__file__).parents[2] / "examples" / "shop"
PROMPTS = {p.stem: p.read_text(encoding="utf-8").strip() for p in sorted((SHOP / "prompts").glob("*.txt"))}
TOOLS: list[dict[str, Any]] = json.loads((SHOP / "tools.json").read_text(encoding="utf-8"))
CARD: dict[str, Any] = json.loads((SHOP / "card.schema.json").read_text(encoding="utf-8"))
LABELS = tuple(PROMPTS["tickets"].rpartition(":")[2].replace(",", " ").split())
_SHORT = "Answer the question in one short English sentence, with the words of the text."


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the shop as it is retrieved."""

    code: str
    title: str
    text: str
    score: float = 0.0


class Bot:
    """Answers as the shop's bot would; `count` says how often the model itself was asked."""

    def __init__(self, cache: Path | None) -> None:
        self._cache_file = cache
        known = cache is not None and cache.is_file()
        self._cache: dict[str, str] = json.loads(cache.read_text(encoding="utf-8")) if cache and known else {}
        self._model: ChatModel | None = None
        self.count = 0
        documents = load(SHOP / "documents").documents
        self.pages = {d.code: _page(d) for d in documents if d.code}
        self._by_id = {d.id: d.code for d in documents if d.code}
        self._index = LexicalIndex.from_documents(documents)

    def retrieve(self, question: str, *, without: str | None = None) -> list[Page]:
        """Return up to three pages, best first; `without` names a page that a broken retriever never finds."""
        hits = [(self._by_id[h.id], h.score) for h in self._index.search(question, 4) if h.id in self._by_id]
        found = [(code, score) for code, score in hits if code != without][:3]
        # A vector store always returns something, so neither does this one come back with nothing.
        found = found or [(code, 0.0) for code in ("SHIP-02", "RET-01", "SHIP-05") if code != without]
        return [
            Page(code=code, title=self.pages[code].title, text=self.pages[code].text, score=round(score, 3))
            for code, score in found
        ]

    def answer(
        self, question: str, pages: Sequence[Page], *, history: Sequence[Mapping[str, str]] = ()
    ) -> str:
        """Return the model's own answer from the best passage; its context is too weak for three."""
        text = "\n\n".join(p.text for p in pages[:1])
        asked = f"{text}\n\nQuestion: {question}\nAnswer:"
        return self._ask([_system(_SHORT), *history, _user(asked)], max_tokens=50, stop=["\n"])

    def pick(self, question: str, page: Page) -> str:
        """Return the sentence of the page that the model chooses when a grammar allows nothing else."""
        sentences = [s for s in page.text.splitlines()[1:] if s.strip()]
        asked = f"{page.text}\n\nQuestion: {question}"
        return self._choose([_system(_SHORT), _user(asked)], sentences)

    def sort(self, ticket: str) -> str:
        """Return the model's label; a grammar allows the ten labels only."""
        return self._choose([_system(PROMPTS["tickets"]), _user(ticket)], LABELS)

    def arguments(self, request: str, tool: str) -> dict[str, Any]:
        """Return the model's arguments for a tool; a grammar holds them to its schema."""
        function = next(t["function"] for t in TOOLS if t["function"]["name"] == tool)
        system = _system(
            f"{PROMPTS['orders']}\nCall {tool}: {function['description']} Reply with its arguments."
        )
        answer = self._ask([system, _user(request)], max_tokens=60, schema=function["parameters"])
        return _object(answer)

    def card(self, description: str, *, held: bool) -> str:
        """Return the model's product card, held to the schema by a grammar or left to itself."""
        messages = [_system(PROMPTS["cards"]), _user(description)]
        return self._ask(messages, max_tokens=80, schema=CARD if held else None)

    def save(self) -> None:
        """Keep the answers for the next run."""
        if self._cache_file:
            self._cache_file.write_text(json.dumps(self._cache, ensure_ascii=False), encoding="utf-8")

    def _choose(self, messages: list[dict[str, str]], choices: Sequence[str]) -> str:
        schema = {
            "type": "object",
            "properties": {"choice": {"type": "string", "enum": list(choices)}},
            "required": ["choice"],
            "additionalProperties": False,
        }
        return str(_object(self._ask(messages, max_tokens=80, schema=schema)).get("choice", choices[0]))

    def _ask(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] | None = None,
    ) -> str:
        key = hashlib.blake2b(
            json.dumps([list(messages), max_tokens, schema, stop]).encode(), digest_size=12
        ).hexdigest()
        if key not in self._cache:
            self._model = self._model or load_model("local:smollm2", reuse=False)
            self.count += 1
            answer = self._model.complete(messages, schema=schema, max_tokens=max_tokens, stop=stop)
            self._cache[key] = answer.text.strip()
        return self._cache[key]


def _page(document: Document) -> Page:
    return Page(code=str(document.code), title=document.title, text=document.text.strip())


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
