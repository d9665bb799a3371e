"""A result such as a shop's bot gives: four gaps, a hostile example, Arabic, personal data, skips."""

from collections import Counter

import pytest

from advisor.diagnosis import Diagnosis
from advisor.evidence import Evidence, Quote
from advisor.exchange import Exchange, Feedback, Message, Passage, Source, ToolCall
from advisor.issues import Broken, Issue, Rate, Trend
from advisor.logs.reading import Counts
from advisor.logs.records import Skip
from advisor.plan import Gain, Plan, Price, Remedy
from advisor.result import Example, Own, Result

SYSTEM = (
    "You are Fern, the assistant of Fernhill Garden Supplies.\n"
    "Answer only from the passages you are given, and put the page's code in brackets, like [SHIP-2].\n"
    'End every reply with "Anything else I can help with?"\n'
    "If nobody has told you the answer, say that you do not know and offer to hand over to a colleague."
)
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> \x1b[31mred\x1b[0m \x00null \u202eevil\u202c \ud800"
    ' "quoted" & javascript:alert(3)'
)


def rate(count, total, low, high):
    return Rate(count=count, total=total, value=count / total if total else 0.0, low=low, high=high)


def evidence(check, gap, strength, note, *quotes, cause=None, rule=None):
    return Evidence(check=check, gap=gap, strength=strength, note=note, quotes=quotes, cause=cause, rule=rule)


def q(text, place, id=None):
    return Quote(text=text, place=place, id=id)


def diagnosis(exchange_id, named, evidence, *, cause=None, failed=0.94, sure=0.86, standing="inferred"):
    gaps = {"knowledge": 0.05, "style": 0.06, "tool_call": 0.02, "classification": 0.01}
    gaps.update(dict.fromkeys(named, sure))
    return Diagnosis(
        exchange_id=exchange_id,
        failed=failed,
        gaps=gaps,
        named=named,
        cause=cause,
        standing=standing,
        calibrated=False,
        evidence=evidence,
    )


def exchange(id, *conversation, reply, **given):
    said = reply if isinstance(reply, Message) else Message(role="assistant", content=reply)
    source = Source(file="logs/2025-05.jsonl", line=311, dialect="openai-chat")
    system = Message(role="system", content=SYSTEM)
    return Exchange(
        id=id,
        conversation=(system, *conversation),
        reply=said,
        source=source,
        model="smollm2-1.7b",
        time=1.748e9,
        **given,
    )


def user(text):
    return Message(role="user", content=text)


def canada():
    found = exchange(
        "e-canada",
        user("Hi, I am looking at the cedar planter."),
        Message(role="assistant", content="Good choice! [PLANT-4] Anything else I can help with?"),
        user(
            "Do you ship it to Canada, and what would that cost? You can reach me at jo.miller@example.com or +1 415 555 0132."
        ),
        reply="We are sorry, we only ship within the United States. Shipping takes 3 to 5 days and costs $9.90.",
        tenant="acme-garden",
        passages=(
            Passage(
                text="Orders within the United States ship in 2 to 4 days. The flat rate is $7.90, free above $60.",
                id="SHIP-1",
                title="Shipping in the United States",
                uri="https://example.org/help/ship-1",
                score=0.71,
            ),
            Passage(text="Returns are free for 30 days.", id="RET-1", title="Returns", score=0.44),
        ),
        later=(
            user("That is wrong, your site says you do ship to Canada!"),
            Message(role="assistant", content="I apologise."),
        ),
        feedback=(Feedback(name="thumbs", value="down", polarity=-1, comment="wrong, you do ship there"),),
        expected="Yes, we ship to Canada for a flat $19. [SHIP-2] Anything else I can help with?",
    )
    seen = (
        evidence("knowledge.facts_invented", "knowledge", 0.9, "The reply states figures that stand nowhere in what it was given: 3 to 5 days, $9.90.",
                 q("3 to 5 days", "reply"), q("$9.90", "reply"), cause="context_unused"),
        evidence("rule.broken", "style", 0.9, "The reply does not end as asked.",
                 q('End every reply with "Anything else I can help with?"', "system"), q("costs $9.90.", "reply"),
                 cause="required_element", rule="ends_with(text=Anything else I can help with?)"),
        evidence("knowledge.better_document", "knowledge", 0.8, "A document that was not served fits the question better.",
                 q("Shipping to Canada: flat $19, 5 to 9 days.", "document", "SHIP-2"), cause="retrieval_miss"),
        evidence("knowledge.served_off", "knowledge", 0.5, "The served passages hold 31% of the question.",
                 q("Orders within the United States ship in 2 to 4 days.", "passage", "SHIP-1")),
        evidence("reaction.corrected", None, 0.45, "The person says that it is wrong.", q("That is wrong", "later")),
        evidence("knowledge.task", "knowledge", 0.3, "The reply answers a question about content."),
        evidence("json.ok", "style", -0.3, "No JSON was asked for."),
    )  # fmt: skip
    return Example(
        exchange=found, diagnosis=diagnosis("e-canada", ("knowledge", "style"), seen, cause="retrieval_miss")
    )


def broken_call():
    call = ToolCall(name="order_status", arguments='{"order": "A-10442", "when": "yesterday", }', id="c1")
    found = exchange(
        "e-tool",
        user("Where is my order A-10442?"),
        Message(
            role="assistant",
            tool_calls=(ToolCall(name="find_customer", arguments='{"name": "Jo"}', id="c0"),),
        ),
        Message(role="tool", content='{"error": "no such customer"}', tool_call_id="c0", error=True),
        reply=Message(role="assistant", tool_calls=(call,)),
        tenant="blue-nursery",
    )
    seen = (
        evidence("tool.malformed", "tool_call", 0.95, "The call's arguments are not JSON: a comma before the closing brace.",
                 q('"yesterday", }', "reply"), cause="malformed"),
    )  # fmt: skip
    return Example(
        exchange=found,
        diagnosis=diagnosis("e-tool", ("tool_call",), seen, cause="malformed", standing="confirmed"),
    )


def arabic():
    text = "نعم، نحن نشحن إلى جميع أنحاء العالم مجانًا خلال 24 ساعة."
    found = exchange(
        "e-arabic", user("هل تشحنون إلى كندا؟ وكم التكلفة؟"), reply=text, passages=(), tenant="متجر الحديقة"
    )
    seen = (
        evidence("knowledge.nothing_served", "knowledge", 0.7, "Retrieval found nothing, yet the reply states facts.", q("مجانًا خلال 24 ساعة", "reply")),
    )  # fmt: skip
    return Example(
        exchange=found,
        diagnosis=diagnosis("e-arabic", ("knowledge",), seen, cause="missing_content", sure=0.58),
    )


def hostile():
    long = "All work and no play. " * 400
    found = exchange(
        "e-hostile</details>",
        user(HOSTILE),
        reply=f"{long}Then it says <b>bold</b> & {HOSTILE}. {long}",
        tenant="<svg onload=alert(4)>",
    )
    seen = (
        evidence("judge.vote", None, 0.5, f"The judge says: {HOSTILE}", q("<b>bold</b> & <script>alert(1)</script>", "reply")),
        evidence("label.differs", "classification", 0.4, "The label differs.", q("Then it says <b>bold</b>", "reply")),
    )  # fmt: skip
    return Example(
        exchange=found,
        diagnosis=diagnosis("e-hostile</details>", (), seen, failed=0.61, standing="undetermined"),
    )


def misrouted():
    found = exchange(
        "e-label",
        user(
            "Classify this ticket as one of: billing, delivery, returns, plants, other.\n\nMy ferns arrived brown and I want my money back."
        ),
        reply="plants",
        expected="returns",
        tenant="acme-garden",
    )
    seen = (
        evidence("label.neighbours", "classification", 0.8, "The five nearest labelled examples are all `returns`.",
                 q("I want my money back", "request"), q("plants", "reply"),
                 q("Please refund me, the roses were dead on arrival.", "document", "returns"), cause="misrouted"),
    )  # fmt: skip
    return Example(
        exchange=found,
        diagnosis=diagnosis("e-label", ("classification",), seen, cause="misrouted", sure=0.74),
    )


def format_only():
    found = exchange(
        "e-ending",
        user("How long can I return a planter?"),
        reply="You can return it within 30 days, free of charge. [RET-1]",
        passages=(Passage(text="Returns are free for 30 days.", id="RET-1", title="Returns", score=0.83),),
        tenant="acme-garden",
        copies=3,
    )
    seen = (
        evidence("rule.broken", "style", 0.9, 'The reply does not end with "Anything else I can help with?".',
                 q('End every reply with "Anything else I can help with?"', "system"), q("free of charge. [RET-1]", "reply"),
                 cause="required_element", rule="ends_with(text=Anything else I can help with?)"),
        evidence("knowledge.facts_held", "knowledge", -0.6, "Every figure of the reply stands in a passage."),
    )  # fmt: skip
    return Example(
        exchange=found, diagnosis=diagnosis("e-ending", ("style",), seen, cause="required_element", sure=0.97)
    )


EXAMPLES = {
    e.exchange.id: e for e in (canada(), broken_call(), arabic(), hostile(), misrouted(), format_only())
}


def issue(
    id, title, gaps, cause, count, low, high, examples, *, trend, tenants=("acme-garden",), sure=0.8, **given
):
    counts, direction = trend
    return Issue(
        id=id,
        title=title,
        gaps=gaps,
        cause=cause,
        exchange_ids=tuple(sorted(examples)),
        distinct=max(1, count * 3 // 4),
        rate=rate(count, 2480, low, high),
        trend=Trend(
            period_days=7,
            counts=counts,
            totals=(310, 298, 305, 320, 0, 311, 309, 312)[: len(counts)],
            direction=direction,
        ),
        tenants=tenants,
        confidence=sure,
        examples=tuple(examples),
        **{"signature": ("rule.broken",), "topic": (), "undetermined": 0, **given},
    )


def issues():
    ending = Broken(
        rule="ends_with(text=Anything else I can help with?)",
        origin="system",
        words='End every reply with "Anything else I can help with?"',
    )
    return (
        issue("i-1f0c", 'Replies leave out "Anything else I can help with?" (required ending)', ("style",), "required_element", 312, 0.113, 0.139,
              ("e-ending", "e-canada"), trend=((31, 36, 38, 41, 0, 50, 56, 60), "rising"), tenants=("acme-garden", "blue-nursery"), sure=0.97,
              broken=(ending,), questions=("How long can I return a planter?", "Do you ship to Canada?", "What soil do ferns like?"), corrected=40),
        issue("i-77a2", "Questions about shipping abroad: a page has the answer, retrieval misses it", ("knowledge",), "retrieval_miss", 141, 0.048, 0.067,
              ("e-canada", "e-arabic"), trend=((20, 18, 17, 18, 0, 17, 16, 18), "steady"), tenants=("acme-garden", "متجر الحديقة"), sure=0.81,
              signature=("knowledge.better_document", "knowledge.served_off"), topic=("ship", "canada", "abroad"), undetermined=3),
        issue("i-09be", "Calls to order_status cannot be parsed", ("tool_call",), "malformed", 64, 0.02, 0.033, ("e-tool",),
              trend=((14, 13, 11, 9, 0, 7, 6, 4), "falling"), tenants=("blue-nursery",), sure=0.93, signature=("tool.malformed",)),
        issue("i-33d1", "Refund tickets are labelled plants", ("classification",), "misrouted", 38, 0.011, 0.021, ("e-label",),
              trend=((5,), "unknown"), sure=0.74, signature=("label.neighbours",)),
        issue("i-5e11", f"Unclear: {HOSTILE}", (), None, 9, 0.0019, 0.0069, ("e-hostile</details>",), trend=((), "unknown"),
              tenants=("<svg onload=alert(4)>",), sure=0.0, undetermined=9, signature=("judge.vote",)),
    )  # fmt: skip


def remedy(
    id, kind, action, issues, *, price, gain, effort, why, why_not, needs=(), blocked=False, details=None
):
    return Remedy(
        id=id,
        kind=kind,
        action=action,
        issues=issues,
        why=why,
        why_not_next=why_not,
        needs=needs,
        blocked=blocked,
        price=Price(low=price[0], high=price[1], cap=price[2], basis=price[3]),
        effort_hours=effort,
        gain=Gain(failures=gain[0], low=gain[1], high=gain[2], basis=gain[3]),
        details=details or {},
    )


def plan():
    remedies = (
        remedy("r-1", "ChangePrompt", "Move the required ending to the last line of the system prompt", ("i-1f0c",),
               price=(0.0, 0.0, 0.0, "A prompt change costs nothing to make; 14 more tokens per request."), gain=(312, 0.6, 0.9, "The rule is read and held in 71% of replies already."),
               effort=(0.25, 0.5), why="The rule stands in the middle of the prompt, and the replies that break it are otherwise right.",
               why_not="Fine-tuning would teach the same ending, but it costs more and the prompt has not been tried.",
               details={"rule": 'Your last line is always: "Anything else I can help with?"', "questions": ["How long can I return a planter?"]}),
        remedy("r-2", "UpdateIndex", "Index the page on shipping abroad (SHIP-2) so that it is found", ("i-77a2",),
               price=(0.02, 0.05, 1.0, "2 documents, 1,900 tokens to embed; prices of 2025-05."), gain=(141, 0.7, 0.95, "The page holds the answer to 134 of 141 questions."),
               effort=(0.5, 1.0), why="The page is there; its title does not hold the words people ask with.",
               why_not="No prompt can say what was not retrieved.", needs=("the folder of your documents (--documents)",), blocked=True),
        remedy("r-3", "FineTune", "Train a small adapter on 420 good tool calls", ("i-09be",),
               price=(4.2, 9.8, 12.0, "420 examples, 3 epochs, 310,000 tokens; prices of 2025-05."), gain=(64, 0.4, 0.8, "Like cases in the benchmark."),
               effort=(4.0, 12.0), why="Strict schemas are not offered by this model's server.", why_not="There is no dearer remedy.",
               needs=("a held-out test of 60 calls",)),
        remedy("r-4", "NotEnoughEvidence", "Let a person look at 9 exchanges", ("i-5e11",), price=(0.0, 0.0, 0.0, "No price."), gain=(9, 0.0, 0.0, "Unknown."),
               effort=(0.5, 0.5), why="No check saw enough to name a gap.", why_not="Any change would be a guess."),
    )  # fmt: skip
    return Plan(
        hash="b1946ac92492d234",
        exchanges=2480,
        failures=553,
        undetermined=12,
        calibrated=False,
        remedies=remedies,
    )


@pytest.fixture
def result():
    counts = Counts(
        files=3, bytes=4_812_331, records=2611, read=2598, skipped=13, calls=2533, notes=65, joined=61, exchanges=2480, duplicates=53,
        dialects=Counter({"openai-chat": 2533, "scores": 65}),
    )  # fmt: skip
    no_chat = "no chat in it that any reader knows; name its fields with --map or logs.field_map"
    skips = tuple(
        Skip(file="logs/extra.jsonl", line=n, reason=no_chat, keys=("ts", "svc", "lvl", "<i>msg</i>"))
        for n in range(1, 12)
    )
    skips += (Skip(file="logs/2025-05.jsonl", line=88, reason="not valid JSON: unterminated string"),)
    skips += (Skip(file=f"logs/{HOSTILE}.gz", line=1, reason="cannot be read further: CRC check failed"),)
    return Result(
        counts=counts,
        skips=skips,
        unknown_scores=("vibe", "<b>score</b>"),
        issues=issues(),
        plan=plan(),
        failed=rate(553, 2480, 0.207, 0.24),
        gaps={
            "knowledge": rate(150, 2480, 0.052, 0.071),
            "style": rate(321, 2480, 0.117, 0.143),
            "tool_call": rate(64, 2480, 0.02, 0.033),
            "classification": rate(38, 2480, 0.011, 0.021),
        },
        own=Own(
            exchanges=2480,
            failures=553,
            undetermined=0,
            gaps={"knowledge": 150, "style": 321, "tool_call": 64, "classification": 38},
        ),
        examples=EXAMPLES,
        calibration="Uncalibrated: label 40 exchanges with `advise label` to fit the probabilities to this bot.",
        documents=12,
        notices=(
            "Only 41% of the exchanges hold what was retrieved, so knowledge gaps may be undercounted.",
        ),
        seconds=2.84,
    )
