"""The example hangs together: codes, prompts, logs and the truth about them."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

from advisor.evidence import CAUSES
from rag.loading import load

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop"
PLANTED = ROOT / "benchmarks" / "planted"
TRUTH = [json.loads(line) for line in (PLANTED / "truth.jsonl").read_text(encoding="utf-8").splitlines()]


def lines(name):
    return [json.loads(line) for line in (SHOP / "logs" / name).read_text(encoding="utf-8").splitlines()]


def table(name):
    with (SHOP / "logs" / name).open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


def span_attributes(record):
    (span,) = record["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return {a["key"]: a["value"].get("stringValue") for a in span["attributes"]}


@pytest.fixture(scope="module")
def replies():
    """Response id to the text of the reply."""
    found = {}
    for name in ("answers.jsonl", "tickets.jsonl", "cards.jsonl"):
        for record in lines(name):
            found[record["response"]["id"]] = record["response"]["choices"][0]["message"]["content"]
    for row in table("kiosk.csv"):
        found[row["id"]] = row["answer"]
    for record in lines("orders.otlp.jsonl"):
        attributes = span_attributes(record)
        found[attributes["gen_ai.response.id"]] = attributes["gen_ai.output.messages"]
    return found


def test_every_page_has_a_code_of_its_own():
    pages = [*load(SHOP / "documents").documents, *load(SHOP / "unpublished").documents]
    codes = [page.code for page in pages]
    assert None not in codes
    assert len(set(codes)) == len(codes) >= 20


def test_no_published_page_speaks_of_canada():
    assert not [d.id for d in load(SHOP / "documents").documents if "canada" in d.text.lower()]
    assert any("we ship to canada" in d.text.lower() for d in load(SHOP / "unpublished").documents)


def test_truth_and_logs_name_the_same_replies(replies):
    ids = [row["id"] for row in TRUTH]
    assert len(set(ids)) == len(ids)
    assert set(ids) == set(replies)


def test_truth_uses_the_words_of_the_advisor():
    for row in TRUTH:
        assert row["failed"] == bool(row["gaps"]) == bool(row["cause"])
        if row["failed"]:
            assert row["cause"] in CAUSES[row["gaps"][0]]


def test_most_replies_are_good_and_every_planned_cause_occurs():
    causes = Counter(row["cause"] for row in TRUTH)
    assert causes[None] >= len(TRUTH) / 2
    wanted = {
        "missing_content",
        "retrieval_miss",
        "context_unused",
        "required_element",
        "drift",
        "format",
        "misrouted",
    }
    assert wanted <= set(causes)
    assert {"malformed", "schema_violation", "wrong_tool", "wrong_arguments", "missing_call"} <= set(causes)
    assert any(set(row["gaps"]) == {"knowledge", "style"} for row in TRUTH)


def test_good_answers_are_cited_and_closed_and_planted_ones_are_not(replies):
    for row in (r for r in TRUTH if r["bot"] == "answers"):
        reply = replies[row["id"]]
        cited = re.search(r"\[[A-Z]+-\d\d\]", reply) is not None
        closed = reply.endswith("Anything else I can help you with?")
        lost = {"closing dropped": (True, False), "code missing": (False, True), "drift": (False, False)}
        lost["page missing and closing dropped"] = (True, False)
        assert (cited, closed) == lost.get(row["plant"], (True, True)), reply


def test_good_cards_fit_their_schema_and_broken_ones_do_not(replies):
    schema = json.loads((SHOP / "card.schema.json").read_text(encoding="utf-8"))

    def fits(text):
        try:
            jsonschema.validate(json.loads(text), schema)
        except (ValueError, jsonschema.ValidationError):
            return False
        return True

    assert all(fits(replies[r["id"]]) != r["failed"] for r in TRUTH if r["bot"] == "cards")


def test_tickets_stand_under_the_labels_of_the_prompt(replies):
    prompt = (SHOP / "prompts" / "tickets.txt").read_text(encoding="utf-8")
    labels = set(prompt.rpartition(":")[2].replace(",", " ").split())
    assert len(labels) == 10
    classes = yaml.safe_load((PLANTED / "tickets.yaml").read_text(encoding="utf-8"))
    assert set(classes) == labels
    with (SHOP / "labelled_tickets.csv").open(encoding="utf-8", newline="") as rows:
        labelled = {row["text"]: row["label"] for row in csv.DictReader(rows)}
    assert set(labelled.values()) == labels
    assert not set(labelled) & {text for texts in classes.values() for text in texts}
    home = {text: label for label, texts in classes.items() for text in texts}
    asked = {r["response"]["id"]: r["request"]["messages"][-1]["content"] for r in lines("tickets.jsonl")}
    for row in (r for r in TRUTH if r["bot"] == "tickets"):
        assert (replies[row["id"]] != home[asked[row["id"]]]) == row["failed"]


def test_the_page_was_served_unless_it_was_kept_back():
    questions = yaml.safe_load((PLANTED / "questions.yaml").read_text(encoding="utf-8"))["questions"]
    page = {asked: q["page"] for q in questions for asked in q["ask"]}
    plant = {row["id"]: row["plant"] for row in TRUTH}
    for record in lines("answers.jsonl"):
        asked = record["request"]["messages"][-1]["content"]
        if asked in page:
            served = page[asked] in [p["id"] for p in record["retrieved_contexts"]]
            assert served == (plant[record["response"]["id"]] != "page not retrieved")


def test_ratings_name_replies_of_other_files_and_most_say_nothing(replies):
    rows = table("ratings.csv")
    assert {row["response_id"] for row in rows} <= set(replies)
    assert 20 < len(rows) < len(replies) / 2
    assert any(row["correction"] for row in rows)
    assert any(row["comment"] for row in rows)


def test_logs_are_small():
    assert sum(p.stat().st_size for p in (SHOP / "logs").iterdir()) < 2_000_000


def test_questions_hold_their_facts():
    pages = {d.code: d.text for d in load(SHOP / "documents").documents}
    for q in yaml.safe_load((PLANTED / "questions.yaml").read_text(encoding="utf-8"))["questions"]:
        assert q["fact"] in q["answer"]
        assert q["fact"] in pages[q["page"]]
        assert q["altered"] not in pages[q["page"]]
