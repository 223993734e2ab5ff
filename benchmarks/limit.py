"""Measure how much of a request limit is used, and how often it is exceeded, by ours and by two scripts."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.contenders import ours
from benchmarks.figures import Chapter, Table, Wanted, median, spread
from benchmarks.measuring import measure
from benchmarks.nginx import PATH
from benchmarks.people import CONFIG, write_people
from uploader.sandbox import Report, SandboxRules, running

LIMIT: Final = 1_000
SECONDS: Final = 2
SHARE: Final = 0.95
_LEAST: Final = 0.97
_OBVIOUS: Final = f"obvious script, AsyncLimiter({LIMIT}, {SECONDS})"


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


def limit(folder: Path, *, rows: int, rounds: int, tell: Callable[[str], None]) -> Chapter:
    """Let each send so many *rows* to a sandbox with a limit, in turn, and return what was found."""
    people = write_people(folder / f"people-{rows}.csv", rows)
    names = ("uploader run", _OBVIOUS, "script that sleeps")
    found = []
    for number in range(1, rounds + 1):
        tell(f"at the limit: round {number} of {rounds}")
        found.append([_use(name, people, folder, rows) for name in names])
    return chapter(found)


def chapter(rounds: Sequence[Sequence[Used]]) -> Chapter:
    """Return what was found of each in all *rounds*, ours first, the obvious script second."""
    contenders = list(zip(*rounds, strict=True))
    mine, obvious = contenders[0], contenders[1]
    part, over = median([one.share / SHARE for one in mine]), sum(one.over for one in mine)
    columns = (
        "", "rows", "accepted", "lost", "over the limit", "windows locked", "quota used", "from … to", "rows/s",
    )  # fmt: skip
    return Chapter(
        "limit",
        "At the limit",
        f"A sandbox that accepts {LIMIT:,} requests in each window of {SECONDS} s, fixed to the clock, and refuses "
        f"everything after one too many until the window is over. Ours may use {SHARE:.0%} of it (`rate.share`), with "
        f"its usual burst and concurrency. {len(rounds)} rounds, each with a sandbox of its own for each; rows and "
        "windows are those of all of them. *Quota used* is the mean of the windows between the first and the last, the "
        "median of the rounds with the least and the most. The scripts try nothing twice: what was refused is lost to "
        "them. *Rows/s* counts accepted rows over all of the process, the check included.",
        (Table(f"At a limit of {LIMIT:,} requests per {SECONDS} s", columns, tuple(map(_row, contenders))),),
        (
            Wanted(
                f"at the limit: at least {_LEAST:.0%} of the configured share, no request over the limit",
                f"{part:.1%} of the share, {over} over; the obvious script: {sum(one.over for one in obvious):,} over",
                part >= _LEAST and over == 0,
            ),
        ),
        {"rounds": [[asdict(one) for one in some] for some in rounds]},
    )


def _row(laps: Sequence[Used]) -> tuple[str, ...]:
    rows, accepted = sum(one.rows for one in laps), sum(one.accepted for one in laps)
    return (
        laps[0].name,
        f"{rows:,}",
        f"{accepted:,}",
        f"{rows - accepted:,}",
        f"{sum(one.over for one in laps):,}",
        f"{sum(one.windows_over for one in laps)} of {sum(one.windows for one in laps)}",
        f"{median([one.share for one in laps]):.1%}",
        spread([one.share * 100 for one in laps], 1),
        f"{median([one.accepted / one.seconds for one in laps]):,.0f}",
    )


def _use(name: str, people: Path, folder: Path, rows: int) -> Used:
    """Let *name* send the file *people* of so many *rows*, and return what the server saw."""
    config, words = folder / "limited.yaml", (str(LIMIT), str(SECONDS))
    with running(SandboxRules(limit=LIMIT, per=SECONDS)) as server:
        config.write_text(
            CONFIG.format(url=server.url, rate=f"{{requests: {LIMIT}, per: {SECONDS}s, share: {SHARE}}}"),
            encoding="utf-8",
        )
        config.chmod(0o600)
        shutil.rmtree(folder / ".uploader", ignore_errors=True)
        address = f"{server.url}{PATH}?service_id=bench"
        commands = {
            "uploader run": ours(config).command(people, ""),
            _OBVIOUS: _script("obvious", people, address, words),
            "script that sleeps": _script("sleeping", people, address, words),
        }
        began = time.monotonic()
        measure(commands[name], folder=folder)
        return _used(name, rows, server.sandbox.report(), time.monotonic() - began)


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
