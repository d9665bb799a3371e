"""An existing web front end talks with the server: the component `deep-chat` (npm), unchanged, in a real browser.

    npm install deep-chat          # anywhere
    python benchmarks/web_front_end.py node_modules/deep-chat/dist/deepChat.bundle.js

The page comes from another origin, so leave to ask (CORS) and keys are in the game, and words come as a stream. Prints what it was told.
Needs chromium and the extra `serve`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/router/server")]

from browser_pipe import Browser  # noqa: E402
from http_served import Slow, release, serving  # noqa: E402

from router.server.settings import Settings  # noqa: E402

PAGE = """<!doctype html><title>Shop</title><script type="module" src="/deep-chat.js"></script><deep-chat id="chat"></deep-chat>
<script type="module">
const chat = document.getElementById("chat");
chat.directConnection = {deepSeek: {key: KEY, model: "live"}};
chat.connect = {url: URL, stream: true};
</script>"""


def page_server(bundle: Path, page: list[str]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script = self.path == "/deep-chat.js"
            body = bundle.read_bytes() if script else page[0].encode() if self.path == "/" else b""
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript" if script else "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    bundle = parser.parse_args().bundle
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        page = [""]  # known once the server's address is
        pages = page_server(bundle, page)
        origin = f"http://127.0.0.1:{pages.server_port}"
        model = Slow("A parcel to Norway costs 5 euros.", pause=0.1)
        with serving(state, model=model, settings=Settings(origins=(origin,))) as served:
            served.bot.pointer.promote(release(state))
            token = served.keys.add("acme")[1]
            url = f"{served.address}/v1/chat/completions"
            page[0] = PAGE.replace("KEY", json.dumps(token)).replace("URL", json.dumps(url))
            browser = Browser(Path(folder))
            try:
                talk(browser, f"{origin}/")
            finally:
                browser.close()


def talk(browser: Browser, address: str) -> None:
    shown = "document.getElementById('chat').shadowRoot"
    browser.go(address)
    browser.until(f"{shown} && {shown}.getElementById('text-input')")
    for n, question in enumerate(("What does a parcel to Norway cost?", "And how long does it take?"), 1):
        browser.value(f"{shown}.getElementById('text-input').focus()")
        browser.type(question)
        browser.press("Enter")
        browser.until(f"{shown}.getElementById('messages').innerText.split('5 euros.').length > {n}", 20)
    print(browser.value(f"{shown}.getElementById('messages').innerText"))
    # The component asks for a font of somebody else's and the browser for an icon; what counts is what concerns the server.
    print(
        "complaints of the browser about the server:",
        [c for c in browser.complaints if "/v1/" in str(c)] or "none",
    )


if __name__ == "__main__":
    main()
