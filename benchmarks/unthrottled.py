"""Measure how fast rows go when nothing limits them: ours and the peers in turn, the same file to the same server."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.contenders import CONCURRENCY, Absent, Command, Contender, bare, lean, obvious, others, ours, tuned
from benchmarks.figures import Chapter, Table, Wanted, median, spread
from benchmarks.measuring import Usage, measure
from benchmarks.nginx import Nginx, serving
from benchmarks.people import CONFIG, write_people

FREE: Final = f"{{requests: 1000000000, per: 1s, burst: 1000000, concurrency: {CONCURRENCY}}}"
"""A rate that never bites."""

_LEAST_RATIO: Final = 0.85
_MOST_MICROSECONDS: Final = 25.0
_COLUMNS: Final = (
    "", "version", "rows", "rows/s", "from … to", "ours is", "from … to", "CPU µs/row", "apart, s", "peak MB",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lap:
    """One contender's way through the file: what it took, and what of that was *before* its first request.

    *own* is the rate that it tells itself, where it does.
    """

    rows: int
    seconds: float
    cpu: float
    megabytes: float
    before: float
    before_cpu: float
    own: float | None = None

    @property
    def rate(self) -> float:
        """Rows a second while it sent; a lap must be much longer than what is before it to stand out from it."""
        return self.rows / max(self.seconds - self.before, self.seconds / 100)

    @property
    def microseconds(self) -> float:
        """CPU for each row while it sent."""
        return (self.cpu - self.before_cpu) / self.rows * 1e6


@dataclass(frozen=True, slots=True)
class Pair:
    """A lap of a peer, and the laps of ours that came just before and just after it."""

    peer: Lap
    before: Lap
    after: Lap

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return 2 / (1 / self.before.rate + 1 / self.after.rate) / self.peer.rate

    @property
    def microseconds_more(self) -> float:
        """How much more CPU ours takes for each row."""
        return (self.before.microseconds + self.after.microseconds) / 2 - self.peer.microseconds


class Track:
    """Where laps are run: a folder for what they leave, and a server that counts."""

    def __init__(self, folder: Path, server: Nginx, rows: int) -> None:
        """Run laps of so many *rows* in *folder*, against *server*."""
        self._folder = folder
        self._server = server
        self._rows = rows
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG.format(url=server.url, rate=FREE), encoding="utf-8")
        self.config.chmod(0o600)

    def lap(self, contender: Contender, suffix: str = ".csv") -> Lap:
        """Let *contender* send the file; every row must have been accepted, or arrived at least.

        Raises:
            SystemExit: it did not send them all.
        """
        rows = max(1, int(self._rows * contender.share))
        people = write_people(self._folder / f"people-{rows}{suffix}", rows)
        shutil.rmtree(self._folder / ".uploader", ignore_errors=True)
        words = contender.command(people, self._server.address)
        base = [self._took(contender, one) for one in contender.base(people, self._server.address)]
        surplus = [self._took(contender, one) for one in contender.surplus(people, self._server.address)]
        already = self._server.requests()
        took = self._took(contender, words)
        arrived = self._server.requests() - already - 1
        if (contender.reads and arrived != rows) or (contender.counts and int(took.said) != rows):
            sys.exit(f"{contender.name} did not send every row once: {arrived} requests for {rows} rows arrived.")
        return Lap(
            rows if contender.reads else arrived,
            took.seconds,
            took.cpu,
            took.megabytes,
            sum(one.seconds for one in base) - sum(one.seconds for one in surplus),
            sum(one.cpu for one in base) - sum(one.cpu for one in surplus),
            _seconds_in(self._folder / "summary.json") if contender.tells else None,
        )

    def _took(self, contender: Contender, words: Command) -> Usage:
        return measure(words, folder=self._folder, environ=contender.environ)


def unthrottled(folder: Path, *, rows: int, rounds: int, tell: Callable[[str], None]) -> Chapter:
    """Run the *rounds* with so many *rows*, and return what was found; *tell* hears how far it is."""
    with serving(folder) as server:
        track = Track(folder, server, rows)
        mine = ours(track.config)
        judged = [bare(), lean(), tuned(), obvious()]
        found = list(others(folder))
        strangers = [one for one in found if isinstance(one, Contender)]
        pairs: dict[str, list[Pair]] = {one.name: [] for one in (*judged, *strangers)}
        formats: dict[str, list[Lap]] = {".csv": [], ".jsonl": [], ".parquet": []}
        for number in range(1, rounds + 1):
            tell(f"unthrottled: round {number} of {rounds}")
            csv = formats[".csv"]
            csv.append(track.lap(mine))
            for peer in (*judged, *strangers):
                lap = track.lap(peer)
                csv.append(track.lap(mine))
                pairs[peer.name].append(Pair(lap, csv[-2], csv[-1]))
            for suffix in (".jsonl", ".parquet"):
                formats[suffix].append(track.lap(mine, suffix))
    versions = {one.name: one.version for one in (mine, *judged, *strangers)}
    absent = [one for one in found if isinstance(one, Absent)]
    return chapter(pairs, formats, versions, absent, server=server.version)


def chapter(
    pairs: dict[str, list[Pair]],
    formats: dict[str, list[Lap]],
    versions: dict[str, str],
    absent: Sequence[Absent],
    *,
    server: str,
) -> Chapter:
    """Return what the laps say."""
    kinds = {".csv": "uploader run, CSV", ".jsonl": "uploader run, JSONL", ".parquet": "uploader run, Parquet"}
    rows = [_row(kinds[kind], versions["uploader run"], laps) for kind, laps in formats.items()]
    rows += [_row(name, versions[name], [one.peer for one in some], some) for name, some in pairs.items()]
    rows += [(one.name, f"not installed: {one.why}", *["-"] * (len(_COLUMNS) - 2)) for one in absent]
    return Chapter(
        "unthrottled",
        "Unthrottled",
        f"The same file (8 mapped columns) to the same server: nginx {server}, one worker, a static success reply. "
        f"{CONCURRENCY} requests at once. Ours keeps its journal and checks every reply. *Rows/s* and *CPU* (user and "
        "system, all of a process) are those of the sending: what comes before it is measured alone in the same round, "
        "shown as *apart*, and subtracted. For ours that is `uploader check` of the same file and the start of a run "
        "(one row) less the start of a check, for the bare and the lean loop the making of their bodies, for the "
        "others a file without rows. By its own clock (`requests_per_second` of its summary) ours sent "
        f"{_own(formats['.csv'])} rows a second. *Ours is* so many times as fast (below 1: the peer wins), each lap "
        "compared with the laps of ours just before and after it. Of the loops, the *tuned* one does the same file, "
        "the *bare* and the *lean* one nothing but the POSTs. Beyond the lean one, which posts as ours does but has no "
        f"time limit, ours takes {_more(pairs['lean loop'])} of CPU a row. Medians, with least and most. Slow peers "
        "get fewer rows; curl's list of transfers is written beforehand; hey and wrk read no file and repeat one body.",
        (Table("Unthrottled", _COLUMNS, tuple(rows)),),
        tuple(_wanted(pairs)),
        {
            "pairs": {name: [asdict(one) for one in some] for name, some in pairs.items()},
            "formats": {kind: [asdict(lap) for lap in laps] for kind, laps in formats.items()},
            "versions": versions,
            "not_installed": {one.name: one.why for one in absent},
        },
    )


def _wanted(pairs: dict[str, list[Pair]]) -> Iterator[Wanted]:
    ratios = [one.ratio for one in pairs["tuned loop"]]
    yield Wanted(
        f"unthrottled, the check apart: at least {_LEAST_RATIO} x the tuned loop, which does the same file",
        f"{median(ratios):.2f} ({spread(ratios, 2)})",
        median(ratios) >= _LEAST_RATIO,
    )
    yield Wanted(
        f"everything that is not HTTP (CPU of ours less that of the bare loop): under {_MOST_MICROSECONDS:g} µs a row",
        _more(pairs["bare loop"]),
        median([one.microseconds_more for one in pairs["bare loop"]]) < _MOST_MICROSECONDS,
    )


def _more(pairs: Sequence[Pair]) -> str:
    more = [one.microseconds_more for one in pairs]
    return f"{median(more):.1f} µs ({spread(more, 1)})"


def _seconds_in(summary: Path) -> float:
    return float(json.loads(summary.read_text(encoding="utf-8"))["requests_per_second"])


def _own(laps: Sequence[Lap]) -> str:
    own = [lap.own for lap in laps if lap.own is not None]
    return f"{median(own):,.0f} ({spread(own)})" if own else "unknown"


def _row(name: str, version: str, laps: Sequence[Lap], pairs: Sequence[Pair] = ()) -> tuple[str, ...]:
    rates, ratios = [lap.rate for lap in laps], [one.ratio for one in pairs]
    return (
        name,
        version,
        f"{laps[0].rows:,}",
        f"{median(rates):,.0f}",
        spread(rates),
        f"{median(ratios):.2f} x" if ratios else "-",
        spread(ratios, 2) if ratios else "-",
        f"{median([lap.microseconds for lap in laps]):,.0f}",
        f"{median([lap.before for lap in laps]):.2f}",
        f"{median([lap.megabytes for lap in laps]):,.0f}",
    )
