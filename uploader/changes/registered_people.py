"""Store whom a service has registered, as keyed digests of identity values."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from uploader.changes.digests import Digests
from uploader.changes.sorted_digests import damaged
from uploader.changes.store_locks import shared
from uploader.errors import StorageError
from uploader.model import Person
from uploader.private_files import open_private, refusal

T = TypeVar("T")

_WAIT_SECONDS: Final = 20.0
"""The longest wait for another process, which has the file locked for microseconds."""

_OWN_FILES: Final = ("", "-wal", "-shm")
"""The endings of SQLite's files."""

_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS registered (person INTEGER PRIMARY KEY) WITHOUT ROWID"
_KNOWN: Final = "SELECT 1 FROM registered WHERE person = ?"
_ADD: Final = "INSERT OR IGNORE INTO registered VALUES (?)"


class RegisteredPeople:
    """The people whom one service has registered: known by any of their identity values.

    What was added survives the end of the process, however it ends. A power cut may lose the latest: they are
    registered once more. Several processes may use the file. It is a context manager.
    """

    def __init__(self, path: Path, digests: Digests, pause: Callable[[], None]) -> None:
        """Use the file at *path*, created if missing; *pause* waits a moment while it is being deleted."""
        self._path = path
        self._digests = digests
        self._pause = pause
        self._stack = ExitStack()
        self._sql: sqlite3.Connection

    def __enter__(self) -> Self:
        """Open the file; raises StorageError."""
        with ExitStack() as stack:
            self._ask(lambda: self._open(stack))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._stack.close()

    def __contains__(self, person: Person) -> bool:
        """Whether *person* is registered; raises StorageError."""
        people = self._digests.people(person)
        return self._ask(lambda: any(self._sql.execute(_KNOWN, (one,)).fetchone() for one in people))

    def add(self, person: Person) -> None:
        """Record that the service knows *person* by each of these identity values; raises StorageError."""
        people = self._digests.people(person)
        self._ask(lambda: self._add(people))

    def _add(self, people: Sequence[int]) -> None:
        missing = [(one,) for one in people if self._sql.execute(_KNOWN, (one,)).fetchone() is None]
        if missing:
            self._sql.executemany(_ADD, missing)

    def _open(self, stack: ExitStack) -> None:
        stack.callback(os.close, shared(self._path, self._pause))
        for suffix in _OWN_FILES:
            refused = refusal(self._path.with_name(self._path.name + suffix))
            if refused is not None:
                raise refused
        os.close(open_private(self._path, os.O_RDWR | os.O_CREAT))
        self._sql = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
        stack.callback(self._sql.close)
        self._sql.execute("PRAGMA journal_mode = WAL")
        self._sql.execute("PRAGMA synchronous = NORMAL")
        self._sql.execute(_SCHEMA)

    def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self._path}: {error}. Make room or allow access there, then run again.") from None
        except sqlite3.DatabaseError:
            raise damaged(self._path) from None
        except OSError as error:
            raise StorageError(
                f"{self._path}: {error.strerror}. Make room or allow access there, then run again."
            ) from None
