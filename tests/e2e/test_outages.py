"""Wait for a service that goes away in mid-run: no row is charged, and the run goes on soon after."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.command import Desk, Ended, ended, names_of, until
from uploader.sandbox import Fault, RequestRecord, RunningSandbox, SandboxRules, running

FULL: Final = os.environ.get("PACE") == "full"
SECONDS: Final = 60.0 if FULL else 10.0
"""How long each outage lasts (`make test-pace`: a minute)."""

BEGINS: Final = 3.0
ROWS: Final = 300
CONCURRENCY: Final = 32
TIMEOUT: Final = 2.0
FAULTS: Final = ("hang", "drop-before", "html", "http=502", "http=503", "code=50000")
WORDS: Final = (
    "run",
    "people.csv",
    *("--set", "rate.requests=400", "--set", "rate.per=10s", "--set", f"api.timeout={TIMEOUT:g}s"),
    *("--set", "retry.outage_timeout=5m", "--set", "retry.attempts=5", "--set", "retry.base=500ms"),
    *("--summary", "summary.json"),
)
"""About 37 rows a second."""


@dataclass(frozen=True)
class Trial:
    """How a run through an outage went: when the outage *began* and *ended*, and all requests of the service."""

    run: Ended
    began: float
    ended: float
    requests: list[RequestRecord]
    stored: dict[object, object]

    def during(self) -> int:
        """Count the requests that met the outage."""
        return sum(self.began <= request.monotonic < self.ended for request in self.requests)

    def silence_after(self) -> float:
        """Return how long after the outage the first row was stored."""
        return min(r.monotonic for r in self.requests if r.applied and r.monotonic >= self.ended) - self.ended


def _stored(server: RunningSandbox) -> dict[object, object]:
    return {profile.identity["external_id"]: profile.properties.get("df_name") for profile in server.sandbox.profiles()}


def _rules(*faults: str) -> SandboxRules:
    return SandboxRules(limit=400, per=10.0, faults=tuple(Fault.parse(text) for text in faults))


def _through_a_fault(desk: Desk, fault: str) -> Trial:
    """Send through an outage in which every request meets *fault*."""
    with running(_rules(f"{fault} from {BEGINS:g}s until {BEGINS + SECONDS:g}s")) as server:
        desk.configure(server.url)
        with desk.start(*WORDS) as process:
            run = ended(process, SECONDS + 120)
        requests = server.sandbox.requests()
        began = requests[0].monotonic + BEGINS
        return Trial(run, began, began + SECONDS, requests, _stored(server))


def _through_refused_connections(desk: Desk) -> Trial:
    """Send while the server is not there."""
    store = desk.folder / "sandbox.sqlite"
    with ExitStack() as stack:
        with running(_rules(), store) as server:
            port = int(server.url.rpartition(":")[2])
            desk.configure(server.url)
            process = stack.enter_context(desk.start(*WORDS))
            until(lambda: server.sandbox.report().requests > 0)
            time.sleep(BEGINS)
        began = time.monotonic()
        time.sleep(SECONDS)
        # It remembers all that it has ever served, up to its last moment.
        with running(_rules(), store, port=port) as server:
            back = time.monotonic()
            run = ended(process, SECONDS + 120)
            return Trial(run, began, back, server.sandbox.requests(), _stored(server))


def _through_lost_names(desk: Desk) -> Trial:
    """Send while the server's name can't be resolved."""
    flag = desk.folder / "outage"
    with running(_rules()) as server:
        desk.configure(server.url.replace("127.0.0.1", "localhost"))
        with desk.start(*WORDS, through=(str(Path(__file__).parent / "nameless.py"), str(flag))) as process:
            until(lambda: server.sandbox.report().requests > 0)
            time.sleep(BEGINS)
            flag.touch()
            began = time.monotonic()
            time.sleep(SECONDS)
            flag.unlink()
            back = time.monotonic()
            run = ended(process, SECONDS + 120)
        # What had its connection already arrives.
        return Trial(run, began + 0.5, back, server.sandbox.requests(), _stored(server))


TRIALS: Final[dict[str, Callable[[Desk], Trial]]] = {
    **{fault: lambda desk, fault=fault: _through_a_fault(desk, fault) for fault in FAULTS},  # type: ignore[misc]  # the default binds it
    "refused": _through_refused_connections,
    "no name": _through_lost_names,
}


@contextmanager
def _desks(desk: Desk) -> Iterator[dict[str, Desk]]:
    """Lend a desk of its own to each kind of outage."""
    found = {}
    for number, kind in enumerate(TRIALS):
        folder = desk.folder / str(number)
        folder.mkdir()
        found[kind] = Desk(folder, desk.capture, desk.monkeypatch, desk.environ)
        found[kind].people(ROWS)
    yield found


@pytest.mark.long
@pytest.mark.paced
def test_an_outage_of_any_kind_costs_a_pause_and_no_row(desk: Desk) -> None:
    # They wait most of the time, so that all can do it at once.
    with _desks(desk) as desks, ThreadPoolExecutor(len(TRIALS)) as threads:
        begun = {kind: threads.submit(trial, desks[kind]) for kind, trial in TRIALS.items()}
        trials = {kind: future.result() for kind, future in begun.items()}

    # Waits double, so that the last one is no longer than all before it, and a second.
    soon = min(60.0, SECONDS + 1) + TIMEOUT
    expected = names_of(range(1, ROWS + 1))
    wrong = {
        kind: {
            "run": (trial.run.status, trial.run.err),
            "books": desks[kind].books(),
            "during": trial.during(),
            "silence": trial.silence_after(),
            "over": sum(request.window.over for request in trial.requests),
        }
        for kind, trial in trials.items()
        if (trial.run.status, trial.run.err) != (0, "")
        or desks[kind].books() != {"sent": ROWS}
        or trial.stored != expected
        or trial.during() > CONCURRENCY + 12
        or trial.silence_after() > soon
        or any(request.window.over for request in trial.requests)
    }
    assert wrong == {}


def test_a_service_that_drops_a_few_requests_at_random_costs_no_row(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(SandboxRules(limit=100_000, per=1.0, faults=(Fault.parse("http=503 for 5%"),)))
    desk.configure(server.url)
    desk.people(1000)

    run = desk.type("run", "people.csv", "--set", "retry.attempts=5", "--summary", "summary.json")

    assert (run.status, desk.books()) == (0, {"sent": 1000})
    assert _stored(server) == names_of(range(1, 1001))


@pytest.mark.no_cover
def test_rows_that_used_up_their_attempts_fail_when_the_service_drops_many(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    rows, attempts = 3000, 4
    server = sandbox(SandboxRules(limit=100_000, per=1.0, faults=(Fault.parse("http=503 for 30%"),)))
    desk.configure(server.url)
    desk.people(rows)

    run = desk.type("run", "people.csv", "--set", f"retry.attempts={attempts}", "--summary", "summary.json")

    dropped: dict[object, int] = {}
    for request in server.sandbox.requests():
        if not request.applied:
            identity = request.identity["external_id"]
            dropped[identity] = dropped.get(identity, 0) + 1
    used_up = sorted(int(str(identity)) for identity, times in dropped.items() if times == attempts)
    assert run.status == 3
    assert used_up == [row[0] for row in sorted(desk.retry_rows())]
    assert {row[1:] for row in desk.retry_rows()} == {
        ("failed", "503", "not accepted by the service: HTTP 503", attempts)
    }
    assert max(dropped.values()) == attempts
    assert desk.books() == {"sent": rows - len(used_up), "failed": len(used_up)}
    assert len(server.sandbox.requests()) <= rows / 0.7 * 1.05
