"""The chat page in a real browser: as a screen reader, a keyboard and a phone meet it."""

import json

import pytest
from browser_pipe import Browser, chromium
from http_served import Slow, release, serving

from advisor.logs import read
from rag.documents import Document
from rag.index import Index
from router.models.port import ModelUnavailable
from router.models.scripted import Scripted
from router.server.seal import Place, Seal

pytest.importorskip("starlette")
PAGES = [
    Document(id="ship.md", title="Delivery", text="# Delivery\n\nWe send daily.\nA parcel to Norway costs 5 euros.\n<b>Bye.</b>", code="SHIP-01", uri="help/ship.md"),
    Document(id="web", title="Returns", text="A refund takes 6 working days.", code="RET-01", uri="https://shop.example/returns"),
    Document(id="evil", title="Evil", text="A gift card is valid for 3 years.", code="GIFT-01", uri="javascript:alert(1)"),
]  # fmt: skip
ANSWERS = {
    "Norway": "A parcel to Norway costs 5 euros [SHIP-01].",
    "refund": "A refund takes 6 working days [RET-01].",
    "gift": "A gift card is valid for 3 years [GIFT-01].",
    "markup": "<img src=x onerror=alert(1)> <script>alert(1)</script>",
}


def answer(messages):
    question = str(messages[-1]["content"]).rpartition("Question:")[2]
    return next((a for word, a in ANSWERS.items() if word in question), ModelUnavailable("busy"))


@pytest.fixture
def indexed(state):
    with Index(state / "index", embedder="static", store="memory") as index:
        version = index.build(PAGES).id
    with serving(state, model=lambda r: Scripted(outputs=answer)) as served:
        served.bot.pointer.promote(release(state, index=version))
        yield served


@pytest.fixture
def browser(tmp_path):
    found = Browser(tmp_path)
    yield found
    found.close()


def cited(served, question):
    (citation,) = served.chat(question)[2]["rightfix"]["citations"]
    return citation["link"]


def test_a_citation_opens_the_passage_it_was_taken_from(indexed):
    link = cited(indexed, "What does a parcel to Norway cost?")
    path = link.removeprefix(indexed.address).partition("#")
    assert path[0].startswith("/pages/") and path[2] == "passage"
    status, headers, body = indexed.ask(path[0])
    assert status == 200 and b"<h1>Delivery</h1>" in body
    marked = body.partition(b'<mark id="passage">')[2].partition(b"</mark>")[0]
    assert b"A parcel to Norway costs 5 euros." in marked and b"&lt;b&gt;" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert cited(indexed, "How long does a refund take?") == "https://shop.example/returns"
    assert "/pages/" in cited(indexed, "How long is a gift card valid?")


def test_addresses_of_pages_cannot_be_made_up_or_changed(indexed, state):
    path = (
        cited(indexed, "What does a parcel to Norway cost?").removeprefix(indexed.address).partition("#")[0]
    )
    data, _, mark = path.removeprefix("/pages/").partition(".")
    other = Seal(state / "elsewhere").page(Place(index="x", document="evil", start=0, end=1))
    for made_up in (
        "x",
        f"{data}.",
        f"{data}.{mark[:-1]}{'1' if mark[-1] == '0' else '0'}",  # another digit, whichever stands there
        f"{data[:-2]}AA.{mark}",
        other,
        ".",
        "%00.a",
        f"{data}é.{mark}",
        f"{data[:4]}!!!!{data[4:]}.{mark}",
    ):
        assert indexed.ask("/pages/" + made_up.replace("é", "%C3%A9"))[0] == 404
    gone = Seal(state).page(Place(index="gone", document="ship.md", start=0, end=1))
    assert indexed.ask(f"/pages/{gone}")[0] == 404
    assert indexed.ask(path, headers={"Host": "evil.example"})[0] == 403


def test_the_page_allows_itself_nothing_but_its_own_script(state):
    with serving(state) as served:
        status, headers, body = served.ask("/")
    assert status == 200 and b"<title>Chat</title>" in body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert b"http://" not in body and b"https://" not in body and b"innerHTML" not in body


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no chromium found")
class TestInABrowser:
    def test_asked_by_keyboard_answered_cited_and_rated(self, indexed, browser, state):
        browser.go(indexed.address + "/")
        told = browser.tree()
        assert ("log", "Conversation") in told and ("button", "Send") in told and ("heading", "Chat") in told
        assert any(role == "textbox" and name.startswith("Your message") for role, name in told)
        browser.type("What does a parcel to Norway cost?")
        browser.press("Enter")
        browser.until("document.querySelectorAll('#log article .row').length === 1")
        assert "costs 5 euros [SHIP-01]." in browser.value("document.querySelector('#log article:last-child p').textContent")  # fmt: skip
        told = browser.tree()
        assert ("link", "[SHIP-01]") in told and ("list", "Sources") in told
        assert browser.value("document.getElementById('log').getAttribute('aria-busy')") == "false"
        assert browser.value("document.activeElement.id") == "question"
        # The rating, by keyboard alone.
        browser.value("document.querySelector('#log a').focus()")
        for _ in range(6):
            browser.press("Tab")
            if browser.value("document.activeElement.textContent") == "Bad answer":
                break
        browser.press("Enter")
        browser.until("document.activeElement.tagName === 'TEXTAREA' && document.activeElement.id.startsWith('right-')")  # fmt: skip
        browser.type("It costs 6 euros.")
        browser.press("Tab")
        browser.press("Enter")
        browser.until("document.body.innerText.includes('Thank you, noted.')")
        # The page it cites.
        link = browser.value("document.querySelector('#log a').href")
        assert browser.complaints == []
        browser.go(link)
        assert browser.value("location.hash") == "#passage"
        assert "A parcel to Norway costs 5 euros." in browser.value("document.getElementById('passage').textContent")  # fmt: skip
        assert browser.complaints == []
        indexed.bot.flush()
        (exchange,) = read([str(state / "traces")])
        assert exchange.expected == "It costs 6 euros."

    def test_what_was_said_before_is_known(self, indexed, browser):
        browser.go(indexed.address + "/")
        for n, question in enumerate(
            ("What does a parcel to Norway cost?", "How long does a refund take?"), 1
        ):
            browser.type(question)
            browser.press("Enter")
            browser.until(f"document.querySelectorAll('#log article .row').length === {n}")
        assert browser.value("talk.length") == 4
        browser.value("document.getElementById('new').click()")
        assert browser.value("talk.length + document.querySelectorAll('#log article').length") == 0

    def test_markup_of_a_model_stays_text(self, indexed, browser):
        browser.go(indexed.address + "/")
        browser.type("Show me markup for a parcel, a refund or whatever you like")
        browser.press("Enter")
        browser.until("document.querySelectorAll('#log article').length === 2 && !running")
        assert browser.value("document.querySelectorAll('#log img, #log script').length") == 0
        assert browser.complaints == []

    def test_a_failure_is_told_and_the_question_kept(self, indexed, browser):
        browser.go(indexed.address + "/")
        browser.type("Is there anything about parcels to the delivery of the moon?")
        browser.press("Enter")
        browser.until("document.getElementById('error').textContent.startsWith('No answer')")
        assert browser.value("document.getElementById('question').value").startswith("Is there anything")
        assert ("alert", "") in [(role, "") for role, _ in browser.tree()]

    def test_a_key_is_asked_for_where_one_is_needed(self, indexed, browser):
        token = indexed.keys.add("acme")[1]
        browser.go(indexed.address + "/")
        browser.type("How long does a refund take?")
        browser.press("Enter")
        browser.until("!document.getElementById('keyform').hidden && document.activeElement.id === 'key'")
        browser.type(token)
        browser.press("Enter")
        browser.until("document.activeElement.id === 'question'")
        browser.press("Enter")
        browser.until("document.querySelectorAll('#log article .row').length === 1")
        assert browser.value("document.querySelector('#log a').href") == "https://shop.example/returns"

    def test_a_long_answer_can_be_stopped(self, state, browser):
        slow = Slow("word " * 500, pause=0.02)
        with serving(state, model=slow) as served:
            served.bot.pointer.promote(release(state))
            browser.go(served.address + "/")
            browser.type("Go on and on")
            browser.press("Enter")
            browser.until(
                "document.querySelector('#log article:last-child p')?.textContent.includes('word word')"
            )
            browser.value("document.getElementById('stop').click()")
            browser.until("document.getElementById('error').textContent === 'Stopped.'")
            browser.until("!running")
        assert slow.dropped == 1

    @pytest.mark.parametrize("width", [320, 375])
    def test_a_phone(self, indexed, browser, width):
        browser.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=640, deviceScaleFactor=2, mobile=True
        )
        browser.go(indexed.address + "/")
        browser.type("What does a parcel to Norway cost?")
        browser.press("Enter")
        browser.until("document.querySelectorAll('#log article .row').length === 1")
        assert browser.value("document.documentElement.scrollWidth") <= width
        small = "[...document.querySelectorAll('button')].filter(b => b.offsetParent && b.getBoundingClientRect().height < 44).length"
        assert browser.value(small) == 0
        assert (
            browser.value("parseFloat(getComputedStyle(document.getElementById('question')).fontSize)") >= 16
        )
        assert browser.value("document.getElementById('send').getBoundingClientRect().bottom <= innerHeight")

    def test_contrast(self, indexed, browser):
        """Every text stands out from its ground by 4.5 to 1, in light and in dark."""
        script = """(() => {
          const lum = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
            return .2126 * r + .7152 * g + .0722 * b; };
          const probe = document.createElement('div'); probe.style.cssText = ''; document.body.append(probe);
          const canvas = matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18,18,18)' : 'rgb(255,255,255)';
          const ground = n => { for (; n; n = n.parentElement) { const c = getComputedStyle(n).backgroundColor; if (!/, 0\\)$/.test(c)) return c; } return canvas; };
          return [...document.querySelectorAll('p, h1, h2, label, button, a, li')].filter(n => n.offsetParent && n.textContent.trim()).map(n => {
            const a = lum(getComputedStyle(n).color), b = lum(ground(n)); return [n.tagName + ' ' + n.textContent.slice(0, 30), (Math.max(a, b) + .05) / (Math.min(a, b) + .05)]; })
            .filter(([, ratio]) => ratio < 4.5);
        })()"""  # fmt: skip
        for scheme in ("light", "dark"):
            browser.send(
                "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
            )
            browser.go(indexed.address + "/")
            browser.type("What does a parcel to Norway cost?")
            browser.press("Enter")
            browser.until("document.querySelectorAll('#log article .row').length === 1")
            assert browser.value(f"JSON.stringify({script})") == json.dumps([])
