"""Measure how much of a request limit is used, and how often it is exceeded, by ours and by two scripts."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.contenders import ours
from benchmarks.figures import Chapter, Table, Wanted
from benchmarks.measuring import measure
from benchmarks.nginx import PATH
from benchmarks.people import CONFIG, write_people
from uploader.sandbox import Report, Rules, running

LIMIT: Final = 1_000
SECONDS: Final = 2
SHARE: Final = 0.95
_LEAST: Final = 0.97


@dataclass(frozen=True, slots=True)
class Used:
    """What a server that limits saw of one contender: *share* of the quota in the windows between first and last."""

    name: str
    rows: int
    accepted: int
    over: int
    windows_over: int
    windows: int
    share: float
    seconds: float


def limit(folder: Path, *, rows: int, tell: Callable[[str], None]) -> Chapter:
    """Let each send so many *rows* to a sandbox with a limit, and return what was found."""
    people = write_people(folder / f"people-{rows}.csv", rows)
    config = folder / "limited.yaml"
    words = (str(LIMIT), str(SECONDS))
    found = []
    for name in ("uploader run", "obvious script, AsyncLimiter(1000, 2)", "script that sleeps"):
        tell(f"at the limit: {name}")
        with running(Rules(limit=LIMIT, per=SECONDS)) as server:
            config.write_text(
                CONFIG.format(url=server.url, rate=f"{{requests: {LIMIT}, per: {SECONDS}s, share: {SHARE}}}"),
                encoding="utf-8",
            )
            shutil.rmtree(folder / ".uploader", ignore_errors=True)
            address = f"{server.url}{PATH}?service_id=bench"
            commands = {
                "uploader run": ours(config).command(people, ""),
                "script that sleeps": _script("sleeping", people, address, words),
            }
            began = time.monotonic()
            measure(commands.get(name) or _script("obvious", people, address, words), folder=folder)
            found.append(_used(name, rows, server.box.report(), time.monotonic() - began))
    return chapter(found)


def chapter(found: Sequence[Used]) -> Chapter:
    """Return what was found of each, ours first."""
    mine = found[0]
    columns = ("", "rows", "accepted", "lost", "over the limit", "windows locked", "quota used", "rows/s", "seconds")
    return Chapter(
        "limit",
        "At the limit",
        f"A sandbox that accepts {LIMIT:,} requests in each window of {SECONDS} s, fixed to the clock, and refuses "
        f"everything after one too many until the window is over. Ours may use {SHARE:.0%} of it (`rate.share`), with "
        "its usual burst and concurrency. *Quota used* is the mean of the windows between the first and the last. The "
        "scripts try nothing twice: what was refused is lost to them. *Rows/s* counts accepted rows over all of the "
        "process, the check included.",
        (
            Table(
                f"At a limit of {LIMIT:,} requests per {SECONDS} s",
                columns,
                tuple(
                    (
                        one.name,
                        f"{one.rows:,}",
                        f"{one.accepted:,}",
                        f"{one.rows - one.accepted:,}",
                        f"{one.over:,}",
                        f"{one.windows_over} of {one.windows}",
                        f"{one.share:.1%}",
                        f"{one.accepted / one.seconds:,.0f}",
                        f"{one.seconds:.1f}",
                    )
                    for one in found
                ),
            ),
        ),
        (
            Wanted(
                f"at the limit: at least {_LEAST:.0%} of the configured share, no request over the limit",
                f"{mine.share / SHARE:.1%} of the share, {mine.over} over; the obvious script: {found[1].over:,} over",
                mine.share / SHARE >= _LEAST and mine.over == 0,
            ),
        ),
        {"contenders": [asdict(one) for one in found]},
    )


def _script(module: str, people: Path, address: str, words: tuple[str, ...]) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.peers.{module}", str(people), address, *words)


def _used(name: str, rows: int, report: Report, seconds: float) -> Used:
    windows = report.windows
    whole = windows[1:-1] or windows
    span = (whole[-1].start - whole[0].start) / SECONDS + 1
    return Used(
        name,
        rows,
        report.applied,
        report.over_limit,
        sum(window.over > 0 for window in windows),
        len(windows),
        sum(window.accepted for window in whole) / (span * LIMIT),
        seconds,
    )
