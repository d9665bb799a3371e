"""Opens the report in a real browser; runs only with `-m slow`."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from advisor.report.html import render
from rag.files import write


def browser():
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if shutil.which(name):
            return shutil.which(name)
    cached = sorted(Path.home().glob(".cache/ms-playwright/chromium*/chrome-linux*/*chrom*"))
    return str(cached[-1]) if cached else None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser() is None, reason="no chromium found on PATH or in the playwright cache"),
]


def chromium(page, folder, *arguments):
    return subprocess.run(
        [
            browser(), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=2000",
            f"--user-data-dir={folder / 'profile'}", "--hide-scrollbars", *arguments, page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip


def test_the_page_opens_without_a_console_message(result, tmp_path):
    page = write(render(result), tmp_path / "report.html")
    done = chromium(page, tmp_path, "--dump-dom")
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count("<script") == 1
    assert "of replies failed" in done.stdout
    assert done.stdout.count("<details") == render(result).count("<details")


def test_a_page_that_did_complain_would_be_seen(result, tmp_path):
    page = write(
        render(result).replace("</main>", "<script>alert(1)</script></main>"), tmp_path / "report.html"
    )
    assert "CONSOLE" in chromium(page, tmp_path, "--dump-dom").stderr


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_drawn(result, tmp_path, dark):
    page = write(render(result), tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    chromium(page, tmp_path, "--window-size=1200,2400", f"--screenshot={shot}", *scheme)
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > 60_000


def test_nothing_overflows_a_narrow_screen(result, tmp_path):
    opened = re.sub(r"<details(?! open)([^>]*?)( open)?>", r"<details open\1>", render(result))
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", opened)
    measure = "<script>parent.document.title = 'wide=' + document.documentElement.scrollWidth</script>"
    framed = html.escape(bare.replace("</body>", f"{measure}</body>"), quote=True)
    frame = f'<!doctype html><title>-</title><iframe style="width:375px;height:9000px;border:0" srcdoc="{framed}"></iframe>'
    page = write(frame, tmp_path / "frame.html")
    found = re.search(r"wide=(\d+)", chromium(page, tmp_path, "--dump-dom").stdout.partition("<iframe")[0])
    assert found is not None
    assert int(found[1]) <= 375
