"""Nothing is sent that the check has not read, whatever becomes of the file in the meantime."""

import gzip
import json
import os
from collections.abc import Callable
from hashlib import shake_256
from io import BytesIO
from pathlib import Path
from typing import Final, TypeAlias

import polars as pl
import pytest

from tests.command import Desk, names, rules
from uploader.sandbox import RunningSandbox, Sandbox
from uploader.sandbox.service import Arrival, IncomingRequest, PlannedReply
from uploader.source import parquet_records

Table: TypeAlias = list[tuple[str, str]]
Write: TypeAlias = Callable[[Table], bytes]
Change: TypeAlias = Callable[[Path, bytes, Write], None]

COUNT: Final = 400
"""So many rows of 2 KB are more than three blocks, and some pieces of an archive."""

SOON: Final = 300
"""The rows of what was read before the change, and of what an archive had unpacked by then."""


def _table(word: str, count: int = COUNT) -> Table:
    # Nothing that gzip could shorten much.
    return [
        (str(number), f"{word}-{number}-{shake_256(f'{word}{number}'.encode()).hexdigest(1000)}")
        for number in range(1, count + 1)
    ]


def _csv(table: Table) -> bytes:
    return b"id,name\n" + b"".join(f"{person},{name}\n".encode() for person, name in table)


def _jsonl(table: Table) -> bytes:
    return b"".join(json.dumps({"id": person, "name": name}).encode() + b"\n" for person, name in table)


def _gz(table: Table) -> bytes:
    return gzip.compress(_csv(table), compresslevel=1, mtime=0)


def _parquet(table: Table) -> bytes:
    file = BytesIO()
    frame = pl.DataFrame(table, schema=["id", "name"], orient="row")
    frame.write_parquet(file, row_group_size=50, compression="uncompressed")
    return file.getvalue()


WRITERS: Final[dict[str, Write]] = {
    "people.csv": _csv,
    "people.jsonl": _jsonl,
    "people.csv.gz": _gz,
    "people.parquet": _parquet,
}


def _append_rows(path: Path, _before: bytes, write: Write) -> None:
    with path.open("ab") as file:
        file.write(write([("late", "late")]))


def _append_half_a_row(path: Path, _before: bytes, write: Write) -> None:
    with path.open("ab") as file:
        file.write(write([("late", "late")])[:-3])


def _overwrite(path: Path, _before: bytes, write: Write) -> None:
    with path.open("r+b") as file:
        file.write(write(_table("other")))


def _overwrite_unseen(path: Path, before: bytes, write: Write) -> None:
    found = path.stat()
    other = write(_table("other"))
    with path.open("r+b") as file:
        # The first half stays, so that one row may be made of both.
        file.seek(len(before) // 2)
        file.write(other[len(before) // 2 : len(before)].ljust(len(before) - len(before) // 2, b"\n"))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (found.st_size, found.st_mtime_ns)


def _truncate(path: Path, before: bytes, _write: Write) -> None:
    os.truncate(path, len(before) * 2 // 3)


def _replace(path: Path, _before: bytes, write: Write) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(write(_table("other")))
    beside.replace(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "change", [_append_rows, _append_half_a_row, _overwrite, _overwrite_unseen, _truncate, _replace]
)
def test_only_what_was_checked_is_sent_of_a_file_that_changes(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, name: str, change: Change
) -> None:
    monkeypatch.setattr(parquet_records, "_BATCH", 128)
    server = sandbox(rules())
    desk.configure(server.url)
    checked = _table("checked")
    before = WRITERS[name](checked)
    path = desk.write(name, before)
    _at_the_first_request(server, monkeypatch, lambda: change(path, before, WRITERS[name]))

    run = desk.type("run", name, "--set", "rate.concurrency=1", "--summary", "summary.json")

    sent = names(server)
    assert (run.status, run.stop) == (
        9,
        f"{name} changed while it was being sent. Run again to send the file as it is now.",
    )
    assert sent.items() <= dict(checked).items()
    # polars reads ahead: what it has read may all be sent, and what it has not is never.
    assert 0 < len(sent) < (COUNT + 1 if (name, change) == ("people.parquet", _overwrite_unseen) else SOON)
    assert desk.books()["sent"] == len(sent)


@pytest.mark.parametrize("change", [_append_rows, _append_half_a_row])
@pytest.mark.parametrize("name", ["people.csv", "people.jsonl"])
def test_of_a_growing_file_the_first_rows_are_sent_as_they_were_checked(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, name: str, change: Change
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    checked = _table("checked", 3)
    before = WRITERS[name](checked)
    path = desk.write(name, before)
    _at_the_first_request(server, monkeypatch, lambda: change(path, before, WRITERS[name]))

    run = desk.type("run", name, "--limit", "2", "--set", "rate.concurrency=1")

    assert run.status == 0
    assert names(server) == dict(checked[:2])


@pytest.mark.parametrize("name", ["people.csv", "people.jsonl", "people.csv.gz"])
def test_the_first_rows_are_not_sent_of_another_file_than_was_checked(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    checked = _table("checked")
    before = WRITERS[name](checked)
    path = desk.write(name, before)
    _at_the_first_request(server, monkeypatch, lambda: _overwrite(path, before, WRITERS[name]))

    run = desk.type("run", name, "--limit", "380", "--set", "rate.concurrency=1")

    assert run.status == 9
    assert names(server).items() <= dict(checked).items()


def test_rows_that_are_merged_are_those_that_were_checked(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, more="coalesce: true\n")
    checked = _table("checked")
    twice = [*checked[:200], *checked[:200]]
    before = _csv(twice)
    path = desk.write("people.csv", before)
    _at_the_first_request(server, monkeypatch, lambda: _overwrite(path, before, _csv))

    run = desk.type("run", "people.csv", "--set", "rate.concurrency=1")

    assert run.status == 9
    assert names(server).items() <= dict(checked).items()


def _at_the_first_request(server: RunningSandbox, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    answer = server.sandbox.answer

    def change_and_answer(_: object, arrival: Arrival, letter: IncomingRequest) -> PlannedReply:
        if arrival.seq == 1:
            change()
        return answer(arrival, letter)

    monkeypatch.setattr(Sandbox, "answer", change_and_answer)
