"""A real browser, driven through a pipe (Chrome DevTools Protocol), without any package."""

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if shutil.which(name):
            return shutil.which(name)
    cached = sorted(Path.home().glob(".cache/ms-playwright/chromium*/chrome-linux*/*chrom*"))
    return str(cached[-1]) if cached else None


class Browser:
    """One tab of a headless Chromium; everything it complains of is kept in `complaints`."""

    def __init__(self, folder):
        to_it, from_us = os.pipe()
        from_it, to_us = os.pipe()
        flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage --remote-debugging-pipe"
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        script = f'exec "$0" {flags} --user-data-dir="$1" about:blank 3<&{to_it} 4>&{to_us}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, chromium(), str(folder / "profile")],
            pass_fds=(to_it, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_it), os.close(to_us)
        self._out, self._in = from_us, from_it
        self._rest, self._events, self._count, self._session = b"", [], 0, None
        self.complaints = []
        self.open()

    def open(self):
        """Open a new tab."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 30
        while True:
            for event in self._read(until - time.monotonic()):
                if event.get("id") == self._count:
                    if "error" in event:
                        raise RuntimeError(f"{method}: {event['error']}")
                    return event["result"]
                if event.get("method") in (
                    "Log.entryAdded",
                    "Runtime.consoleAPICalled",
                    "Runtime.exceptionThrown",
                ):
                    self.complaints.append(event["params"])

    def go(self, address):
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression):
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, expression, seconds=15):
        until = time.monotonic() + seconds
        while not self.value(f"!!({expression})"):
            if time.monotonic() > until:
                raise AssertionError(
                    f"never: {expression}; the page says {self.value('document.body.innerText')!r}"
                )
            time.sleep(0.05)

    def type(self, text):
        self.send("Input.insertText", text=text)

    def press(self, key, **more):
        code = {"Enter": 13, "Tab": 9, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key)
        for kind in ("keyDown", "keyUp"):
            pressed = {"type": kind, "key": key, "windowsVirtualKeyCode": code, **more}
            if text and kind == "keyDown":
                pressed["text"] = text
            self.send("Input.dispatchKeyEvent", **pressed)

    def tree(self):
        """Return (role, name) of everything a screen reader is told of."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")
        ]

    def close(self):
        self._process.terminate()
        self._process.wait(20)
        os.close(self._out), os.close(self._in)

    def _read(self, wait):
        ready, _, _ = select.select([self._in], [], [], max(0.0, wait))
        if not ready:
            raise TimeoutError("the browser says nothing")
        self._rest += os.read(self._in, 2**20)
        *whole, self._rest = self._rest.split(b"\0")
        return [json.loads(w) for w in whole]
