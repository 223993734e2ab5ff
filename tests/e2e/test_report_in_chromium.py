"""The report of a run in a real browser: nothing overlaps, is cut off, complains or asks the network for anything."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.browser import Browser, Seen, started_browser
from tests.command import Desk, ended
from tests.reports import longest_report, numbers_in, numbers_of, report
from uploader.outputs.report_page import report_page
from uploader.outputs.report_words import Language
from uploader.sandbox import Fault, SandboxRules, running
from uploader.state import RunStore
from uploader.timeline import joined_pauses, windows_of

pytestmark = pytest.mark.long

WIDTHS: Final = (360, 768, 1280)
SMALLEST: Final = 11.0
"""No text is smaller than this, in pixels."""

PICTURES: Final = os.environ.get("PICTURES")
"""Where to put pictures of what was seen, for people (PICTURES=/tmp/pictures)."""

FAULTS: Final = ("http=503 from 8s until 14s", "limit from 24s until 27s", "code=40000 for 0.3%", "http=503 for 0.2%")


@pytest_asyncio.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    """Lend a Chromium."""
    async with started_browser(tmp_path / "profile") as started:
        yield started


async def seen_at(browser: Browser, page: Path, width: int) -> Seen:
    """Look at the *page*; keep a picture if one is wanted."""
    seen = await browser.look(page.as_uri(), width=width)
    if PICTURES:
        (Path(PICTURES) / f"{page.stem}-{width}.png").write_bytes(seen.picture)
    return seen


def faults_of(seen: Seen) -> dict[str, object]:
    """Return all that is wrong with what was *seen*."""
    return {
        "overlapping": seen.overlapping(),
        "cut off": seen.cut_off(),
        "broken numbers": seen.broken_numbers(),
        "wider than the window": seen.page_width > seen.view_width,
        "too small": [one.text for one in seen.texts if one.size < SMALLEST],
        "complaints": seen.complaints,
        "from the network": [address for address in seen.addresses if not address.startswith("file:")],
    }


NO_FAULTS: Final = {
    "overlapping": [],
    "cut off": [],
    "broken numbers": [],
    "wider than the window": False,
    "too small": [],
    "complaints": [],
    "from the network": [],
}


async def test_the_report_of_100000_rows_with_an_outage_and_a_throttled_window_reads_well(
    desk: Desk, browser: Browser
) -> None:
    desk.people(100_000)
    with running(SandboxRules(limit=20_000, per=10.0, faults=tuple(map(Fault.parse, FAULTS)))) as server:
        desk.configure(server.url)
        # A throttled reply pauses the run until the window of 10 s is over, and the next one may be throttled, too.
        rate, retry = ("rate.requests=20000", "rate.per=10s"), ("retry.attempts=4", "retry.outage_timeout=1m")
        words = [word for setting in (*rate, *retry) for word in ("--set", setting)]
        with desk.start("run", "people.csv", "--summary", "summary.json", *words) as process:
            assert ended(process, 600).status == 3
    assert desk.process("report", "--output", "report.html").status == 0
    page = desk.folder / "report.html"
    run_store = RunStore(desk.folder / ".uploader")
    (header,) = run_store.headers()
    intervals = run_store.intervals(header)

    assert numbers_of(page.read_text(encoding="utf-8")) == numbers_in(desk.summary())
    assert sum(one.totals.requests for one in intervals) == desk.summary()["requests"]
    pauses = joined_pauses(pause for one in intervals for pause in one.pauses)
    assert {pause.kind for pause in pauses if pause.seconds > 1} == {"outage", "throttled"}
    assert max(window.used for window in windows_of(intervals)) == 20_000
    for width in WIDTHS:
        assert faults_of(await seen_at(browser, page, width)) == NO_FAULTS


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["en", "ko"])
async def test_the_longest_report_reads_well(tmp_path: Path, browser: Browser, language: Language, width: int) -> None:
    page = tmp_path / f"longest-{language}.html"
    page.write_text(report_page(longest_report(), language), encoding="utf-8")

    assert faults_of(await seen_at(browser, page, width)) == NO_FAULTS


async def test_what_reads_badly_is_found(tmp_path: Path, browser: Browser) -> None:
    good = report_page(report(), "en")
    broken = {
        "overlapping": good.replace("</header>", '</header><p style="margin-top:-30px">over the heading</p>'),
        "cut off": good.replace("<text ", '<text transform="translate(-40 0)" '),
        "broken numbers": good.replace("</header>", '</header><p style="width:30px">1,234,567</p>'),
        "wider than the window": good.replace("</header>", '</header><div style="width:400px">wide</div>'),
        "too small": good.replace("</header>", '</header><p style="font-size:6px">small</p>'),
        "complaints": good.replace("default-src 'none'; ", "").replace(
            "</header>", "</header><script>console.error('no')</script>"
        ),
        "from the network": good.replace("default-src 'none'; ", "").replace(
            "</header>", '</header><img src="http://127.0.0.1:9/picture.png">'
        ),
    }

    for what, text in broken.items():
        page = tmp_path / "broken.html"
        page.write_text(text, encoding="utf-8")
        found = faults_of(await seen_at(browser, page, 360))
        assert found[what] != NO_FAULTS[what], what
