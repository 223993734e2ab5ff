"""Start the command with names that can be foretold, or with a classic mistake in it.

`driver.py KIND WORDS…`: KIND is `foretold`, `journal-first` or `buffered`; WORDS are the command's.
It waits for a line (or the end) of standard input.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Final
from unittest.mock import patch

from uploader.cli import main
from uploader.delivery import Delivery
from uploader.model import Outcome, Request, Sent, Unsettled
from uploader.run.session import Session
from uploader.state import Journal
from uploader.state.line_checksums import link

PROCESS: Final = 1 << 23
"""The number that names of files are made with; no process can have it."""

PR_SET_PTRACER: Final = 0x59616D61
_BUFFER: Final = 100


class _OneMoment(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_OneMoment":
        """Return a moment so late that no run begun then is ever old."""
        return cls(2100, 1, 1, tzinfo=tz)


@contextmanager
def foretold() -> Iterator[None]:
    """Make the run's ID and the names of all its files the same in every life."""
    with (
        patch("uploader.run.results.datetime", _OneMoment),
        patch("uploader.run.results.secrets.token_hex", lambda count: "c0ffee"[: 2 * count]),
        patch("os.getpid", lambda: PROCESS),
    ):
        yield


@contextmanager
def journal_first() -> Iterator[None]:
    """Tell the journal that a row was accepted before its request goes out."""
    lives: list[Session] = []
    begin, deliver = Session.__enter__, Delivery.deliver

    def begin_noted(life: Session) -> Session:
        lives.append(life)
        return begin(life)

    async def note_and_deliver(delivery: Delivery, request: Request) -> Outcome | Unsettled:
        lives[-1]._journal.record(Sent(request, 1))  # noqa: SLF001 — the mistake is made where it would be made
        return await deliver(delivery, request)

    with patch.object(Session, "__enter__", begin_noted), patch.object(Delivery, "deliver", note_and_deliver):
        yield


@contextmanager
def buffered() -> Iterator[None]:
    """Hold the journal's lines back until they are many, or it is synced or closed."""
    held: list[bytes] = []
    sync, close = Journal.sync, Journal.__exit__

    def flush(journal: Journal) -> None:
        os.write(journal._handle, b"".join(held))  # noqa: SLF001 — the mistake is made where it would be made
        held.clear()

    def hold(journal: Journal, payload: bytes) -> None:
        line, journal._checksum = link(payload, journal._checksum)  # noqa: SLF001 — as above
        journal._is_dirty = True  # noqa: SLF001 — as above
        held.append(line)
        if len(held) >= _BUFFER:
            flush(journal)

    def flush_and_sync(journal: Journal) -> None:
        flush(journal)
        sync(journal)

    def flush_and_close(journal: Journal, *trouble: object) -> None:
        flush(journal)
        close(journal, *trouble)

    with (
        patch.object(Journal, "append", hold),
        patch.object(Journal, "sync", flush_and_sync),
        patch.object(Journal, "__exit__", flush_and_close),
    ):
        yield


_KINDS: Final = {"foretold": foretold, "journal-first": journal_first, "buffered": buffered}

if __name__ == "__main__":
    kind = sys.argv.pop(1)
    # Where only parents may trace their children, whoever wants to may trace this process all the same.
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
    # Whoever wants to watch this process has come before the line does.
    sys.stdin.readline()
    with _KINDS[kind]():
        main()
