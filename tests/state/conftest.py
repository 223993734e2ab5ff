"""Make what a journal holds: outcomes, lines, and the run that they are about."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Final

from uploader.model import Failed, Reason, Rejected, Request, Row, Sent, Unsettled
from uploader.state import Journal, RunHeader, RunState, StoredRun, read_run
from uploader.state.line_checksums import link
from uploader.state.replay import replay

BEGUN: Final = RunHeader(
    run_id="20260101T000000Z-abc123",
    key="0123456789ab",
    source="people.csv",
    started="2026-01-01T00:00:00+00:00",
    base_url="https://api.example",
    service_id="svc",
    content="content",
    mapping="mapping",
    rows=100,
    damaged=0,
    limit=None,
    version="1.0",
)
REASON: Final = Reason("50000", "the service had a fault of its own")
NO_VALUE: Final = Reason("identity", "no value in any of the columns '이름', \"e\nmail\"")


def request(number: int, person: tuple[str, ...] = ()) -> Request:
    return Request(Row(number, {"id": str(number)}), person, b"{}")


def sent(number: int, attempts: int = 1, *, unsure: bool = False) -> Sent:
    return Sent(request(number), attempts, unsure)


def failed(number: int, attempts: int = 1, *, unsure: bool = False, taker: int = 0) -> Failed:
    return Failed(request(number), REASON, attempts, unsure, taker)


def rejected(number: int, attempts: int = 0) -> Rejected:
    return Rejected(Row(number, {"id": ""}), (), NO_VALUE, attempts)


def unsettled(number: int, attempts: int = 1, *, unsure: bool = False) -> Unsettled:
    return Unsettled(request(number), attempts, unsure)


def chained(payloads: Iterable[bytes]) -> bytes:
    """Return the bytes of a journal whose lines carry *payloads*."""
    content, checksum = b"", 0
    for payload in payloads:
        line, checksum = link(payload, checksum)
        content += line
    return content


def folded(content: bytes) -> RunState:
    return replay(BytesIO(content))


def settled(ledger: RunState, most: int = 200) -> list[int]:
    """Return the settled rows of *ledger* among the first *most*."""
    return [number for number in range(most) if number in ledger.settled]


def totals(ledger: RunState) -> dict[str, object]:
    """Return all that *ledger* says but which accepted rows it knows, and where the next line goes."""
    facts = asdict(replace(ledger, settled=None, unsure=None))  # type: ignore[arg-type]  # they are left out
    left_out = ("settled", "unsure", "more_unsure", "size", "checksum")
    return {
        **{name: value for name, value in facts.items() if name not in left_out},
        "held_seconds": round(ledger.held_seconds, 6),
        "seconds": round(ledger.seconds, 6),
        "maybe_sent_twice": ledger.maybe_sent_twice,
    }


def begin(path: Path, begun: RunHeader = BEGUN) -> StoredRun:
    """Return a new journal at *path* that says how its run began."""
    with Journal(path, RunState()) as journal:
        journal.append(begun.spell())
        journal.sync()
    return read_run(path)
