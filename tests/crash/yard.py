"""Send a file, break the run off in every way, send it on, and judge what came of it by the sandbox's own record."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from uploader.app.run_history import PastRun, RunHistory
from uploader.sandbox import Fault, RunningSandbox, SandboxRules, running

FULL: Final = os.environ.get("CRASH") == "full"
"""Whether the harnesses run in their full size (`make test-crash`)."""

WORKERS: Final = 16
KILLED: Final = -signal.SIGKILL

_ROOT: Final = Path(__file__).parents[2]
_PATIENCE: Final = 120.0
_LINE_BYTES: Final = 20
"""About as long is the line of a row in the journal."""

_MOODS: Final = ("code=40001 for mood=refuse", "http=503 for mood=fail")
_WEATHER: Final = "http=503 for 5%"
_BOOKS: Final = ("read", "sent", "unchanged", "superseded", "rejected", "failed", "not_attempted")

_CONFIG: Final = """\
api:
  base_url: {url}
  service_id: svc-0815
  access_token: ${{DFINERY_ACCESS_TOKEN}}
rate: {{requests: 100000, per: 1s, burst: 16, concurrency: {workers}}}
retry: {{attempts: 6, base: 2ms, cap: 10ms, outage_timeout: 20s}}
mapping:
  identity: {{external_id: id, email: email}}
  properties:
    line: line
    mood: mood
    age: {{column: age, type: long}}
state_dir: state
"""

Remarked: TypeAlias = tuple[int, str, str, str]
"""What a retry file says of a row: `_row`, `_kind`, `_code`, and the source's own cells as one text."""


@dataclass(frozen=True, slots=True)
class Life:
    """How one process ended: its status (negative: the signal's number), what it said, and how long it took."""

    status: int
    said: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Truth:
    """What an uninterrupted run makes of the file: the body of each row that is applied, without its time."""

    status: int
    books: Mapping[str, int]
    profiles: Sequence[str]
    bodies: Mapping[int, str]
    remarked: Sequence[Remarked]


class Yard:
    """A folder with a file and a configuration, and the sandbox that it is sent to."""

    def __init__(self, folder: Path, server: RunningSandbox) -> None:
        self.folder = folder
        self.server = server
        self.source = folder / "people.csv"
        self.retry_file = folder / "people.retry.csv"
        self.summary_file = folder / "summary.json"
        self.state = folder / "state"

    def command(self, *more: str, through: Sequence[str] = ("-m", "uploader")) -> list[str]:
        """Return the command that sends the file; *through* is how Python starts it."""
        config = str(self.folder / "config.yaml")
        words = ("run", str(self.source), "--config", config, "--summary", str(self.summary_file), *more)
        return [sys.executable, *through, *words]

    @contextmanager
    def started(self, command: Sequence[str], *, stdin: int = subprocess.DEVNULL) -> Iterator["subprocess.Popen[str]"]:
        """Start *command*; whatever of it is left at the end is killed."""
        # A process of its own for coverage would slow each start, and die with its data.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**environ, "DFINERY_ACCESS_TOKEN": "canary-token", "PYTHONPATH": str(_ROOT)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def live(
        self,
        command: Sequence[str],
        moment: Callable[["subprocess.Popen[str]"], None] | None = None,
        number: signal.Signals = signal.SIGKILL,
    ) -> Life:
        """Run *command* to its end; when *moment* returns, it gets the signal *number*."""
        began = time.monotonic()
        with self.started(command) as process:
            if moment is not None:
                moment(process)
                began = time.monotonic()
                process.send_signal(number)
            said, _ = process.communicate(timeout=_PATIENCE)
        return Life(process.returncode, said, time.monotonic() - began)

    def is_finished(self) -> bool:
        """Whether the newest run came to its end: then the same command would begin another one."""
        newest = self._newest()
        return newest is not None and newest.ended == "finished"

    def journal_size(self) -> int:
        """Return how many bytes the journals hold; 0 where there is none."""
        return sum(path.stat().st_size for path in self.state.glob("runs/*.journal"))

    def holds_lock(self, process: "subprocess.Popen[str]") -> bool:
        """Whether *process* has taken the lock, which comes before everything else."""
        return any(f"process {process.pid}," in path.read_text() for path in self.state.glob("locks/*"))

    def truth(self, life: Life) -> Truth:
        """Return what the uninterrupted *life* made of the file."""
        bodies = dict(self._applied())
        return Truth(life.status, self._books(), self._profiles(), bodies, self._remarked())

    def judge(self, truth: Truth, last: Life, *, crashes: int) -> list[str]:
        """Return what is wrong with a run that was broken off *crashes* times; nothing, if all is well."""
        applied = self._applied()
        times = Counter(line for line, _ in applied)
        twice = {line for line, count in times.items() if count > 1}
        again = sum(times.values()) - len(times)
        wrong: list[str] = []
        newest = self._newest()
        # Who is killed after the end was marked can't say how it ended any more; the journal can.
        status = newest.exit_status if newest is not None and last.status == KILLED else last.status
        if status != truth.status:
            wrong.append(f"ended with {status}: {last.said}")
        if lost := truth.bodies.keys() - times.keys():
            wrong.append(f"lost: {sorted(lost)}")
        if invented := {line for line, body in applied if truth.bodies.get(line) != body}:
            wrong.append(f"invented: {sorted(invented)}")
        if again > WORKERS * crashes:
            wrong.append(f"sent again: {again} rows after {crashes} crashes")
        if self._profiles() != truth.profiles:
            wrong.append("stored: not what an uninterrupted run stores")
        return [*wrong, *self._judge_files(truth, twice)]

    def _judge_files(self, truth: Truth, twice: set[int]) -> Iterator[str]:
        """Yield what is wrong with the books, the retry file and the journal."""
        try:
            summary = json.loads(self.summary_file.read_text())
        except OSError as error:
            yield f"no summary: {error.strerror}"
            return
        if self._books() != truth.books:
            yield f"books: {self._books()}, not {truth.books}"
        if summary["maybe_sent_twice"] < len(twice):
            yield f"maybe_sent_twice: {summary['maybe_sent_twice']}, but {len(twice)} were"
        if self._remarked() != truth.remarked:
            yield f"retry file: {set(self._remarked()) ^ set(truth.remarked)}, {len(self._remarked())} rows"
        if self.retry_file.exists() and not self.retry_file.read_bytes().endswith(b"\r\n"):
            yield "retry file: its last line is not whole"
        newest = self._newest()
        if newest is None or newest.ended != "finished":
            yield "journal: the run is not finished"
        elif [(row.row, row.kind, row.code) for row in newest.rows] != [row[:3] for row in self._remarked()]:
            yield "journal: it does not say what the retry file says"
        # Of these, unlike of a summary's, people's data could be lying about.
        if left := [path.name for path in self.folder.glob(f".{self.retry_file.name}*")]:
            yield f"left behind: {left}"

    def _newest(self) -> PastRun | None:
        return next(RunHistory(self.state).runs(), None)

    def _applied(self) -> list[tuple[int, str]]:
        requests = self.server.sandbox.requests()
        return [_spoken(one.body) for one in requests if one.applied and one.call == "user-profile"]

    def _profiles(self) -> list[str]:
        found = self.server.sandbox.profiles()
        return sorted(json.dumps([dict(one.identity), dict(one.properties)], sort_keys=True) for one in found)

    def _books(self) -> dict[str, int]:
        summary = json.loads(self.summary_file.read_text())
        return {name: summary[name] for name in _BOOKS}

    def _remarked(self) -> list[Remarked]:
        if not self.retry_file.exists():
            return []
        with self.retry_file.open(encoding="utf-8", newline="") as file:
            return sorted(
                (int(row["_row"]), row["_kind"], row["_code"], "|".join(row[name] for name in _COLUMNS))
                for row in csv.DictReader(file, strict=True)
            )


@contextmanager
def opened(folder: Path, rows: int, *faults: str, port: int = 0, latency: float = 0.01) -> Iterator[Yard]:
    """Empty *folder*, put *rows* people into it, and serve a new sandbox that plays *faults* too, on *port*.

    It answers within *latency* seconds.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # The first that plays is played: the moods come first, since they are what makes the truth.
    played = tuple(Fault.parse(text) for text in (*_MOODS, *faults, _WEATHER))
    rules = SandboxRules(limit=10_000_000, per=1.0, faults=played, latency=(0.0, latency))
    with running(rules, port=port) as server:
        yard = Yard(folder, server)
        (folder / "config.yaml").write_text(_CONFIG.format(url=server.url, workers=WORKERS))
        _write_people(yard.source, rows)
        yield yard


def progress(yard: Yard, rows: float) -> Callable[["subprocess.Popen[str]"], None]:
    """Return the moment at which about *rows* rows more are settled, or the process has ended."""

    def wait(process: "subprocess.Popen[str]") -> None:
        _until(lambda: yard.holds_lock(process), process)
        enough = yard.journal_size() + rows * _LINE_BYTES
        _until(lambda: yard.journal_size() >= enough, process)

    return wait


def early(yard: Yard, seconds: float) -> Callable[["subprocess.Popen[str]"], None]:
    """Return the moment *seconds* after the lock was taken: that is during the start or the recovery."""

    def wait(process: "subprocess.Popen[str]") -> None:
        _until(lambda: yard.holds_lock(process), process)
        time.sleep(seconds)

    return wait


def under_way(yard: Yard, seconds: float) -> Callable[["subprocess.Popen[str]"], None]:
    """Return the moment *seconds* after the first row took off."""

    def flights() -> list[tuple[int, int]]:
        found = [path.stat() for path in yard.state.glob("runs/*.flight")]
        return [(one.st_size, one.st_mtime_ns) for one in found if one.st_size]

    def wait(process: "subprocess.Popen[str]") -> None:
        before = flights()
        _until(lambda: flights() not in ([], before), process)
        time.sleep(seconds)

    return wait


def moments(yard: Yard, crashes: int, rows: int, seed: int) -> Iterator[Callable[["subprocess.Popen[str]"], None]]:
    """Yield *crashes* moments, a fifth of them early and three of those in a row, the others all over *rows* rows."""
    dice = random.Random(seed)  # noqa: S311 — each moment is as good as another
    for number in range(crashes):
        if number % 15 in {6, 7, 8}:
            yield early(yard, dice.uniform(0, 0.25))
        else:
            yield progress(yard, dice.uniform(0, 2) * 0.8 * rows / crashes)


def _until(true: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait for the other process; there is no clock to turn there."""
    patience = time.monotonic() + _PATIENCE
    while process.poll() is None and not true():
        assert time.monotonic() < patience, "it never came"
        time.sleep(0.001)


_COLUMNS: Final = ("id", "email", "line", "mood", "age")


def _write_people(path: Path, rows: int) -> None:
    """Write *rows* rows, each with its number in it; one in ten shares a person with one before it."""
    dice = random.Random(rows)  # noqa: S311 — made-up people
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(_COLUMNS)
        for number in range(1, rows + 1):
            share = dice.random()
            person = max(1, number - dice.randint(1, 40)) if share < 0.1 else number
            # Rows that only a third one shows to be of one person are in no order: so a mail stands in each or none.
            name = "" if person % 2 and share < 0.05 else f"p{person}"
            email = f"m{person}@mail.example" if person % 2 else ""
            mood = {13: "refuse", 29: "fail"}.get(number % 50, "fine")
            age = "old" if number % 50 == 7 else str(20 + number % 60)
            lines.writerow((name, email, str(number), mood, age))


def _spoken(body: bytes) -> tuple[int, str]:
    """Return which row a *body* is of, and the body without its time."""
    content = json.loads(body)
    del content["request_datetime"]
    return int(content["user_properties"]["line"]), json.dumps(content, sort_keys=True)
