"""Keep, for one service, a digest of what it accepted last for each person."""

import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from uploader.changes import newer_properties
from uploader.changes.digests import BODY_BYTES
from uploader.changes.newer_properties import NewerProperties, migrate
from uploader.errors import LockedError, StorageError
from uploader.private_files import open_private, refusal

_FORMAT: Final = "1"
_BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite's own files beside the memory end with."""
_PAUSE_SECONDS: Final = 0.02
_MOST_PAUSES: Final = 1_000
"""So often it is tried whether another process has let go of the file: for 20 s. A run keeps it for milliseconds."""

_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY: Final = 0xFF
"""The bits of an error's code that say what kind it is."""

_CACHE_KIB: Final = 65_536
_EPOCH_BYTES: Final = 4
_TOKEN_BYTES: Final = 8
_UNSURE_MARK: Final = b"?"
"""Behind a token: a run that is gone has left a request of unknown fate."""

_AT_ONCE: Final = 500
"""So many values one query may have with every SQLite."""

_LONGEST_TOKEN: Final = _TOKEN_BYTES + len(_UNSURE_MARK)

_SCHEMA: Final = (
    """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accepted (person INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS refreshed (source TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""
    + newer_properties.SCHEMA
)

_FORGET: Final = """
INSERT INTO accepted VALUES (:person, :token) ON CONFLICT DO UPDATE SET body = CASE
    WHEN body IN (:token, :doubt) THEN body
    WHEN length(body) = 12 THEN :token
    WHEN length(body) = 13 THEN :doubt
    WHEN substr(body, 1, 4) < :epoch THEN :doubt
    ELSE :epoch END
"""
"""A token of an earlier epoch is one of a run that is gone, and that left a request of unknown fate, which the service
may still apply after the next one. A token of this epoch may be another run's: then nobody knows whose request comes
last, and the epoch alone, which is no token, keeps both from remembering."""

_ADD: Final = "UPDATE accepted SET body = ? WHERE person = ? AND body = ?"
_CLEAR: Final = "DELETE FROM accepted WHERE person = ? AND body IN (?, ?)"


T = TypeVar("T")


def pause() -> None:
    """Wait a moment for another process."""
    time.sleep(_PAUSE_SECONDS)


class DigestStore:
    """What one service accepted last, in a SQLite file: digests only; people are the numbers that `Digests` makes.

    **A person is forgotten before a request about them goes out**, and that is made to last (`commit`) before it does;
    remembered again only after the service accepted it. So whatever is remembered is what the service has, after any
    crash. A person who is forgotten has the token of this run in place of a digest; where two runs meet at one person,
    neither remembers. Another process that keeps the file locked is waited for, a moment at a time and not for ever;
    after that nothing is tried again. It is a context manager.

    States: open to be read only; open to be written; recording (`is_recording`), where some run has asked for what is
    accepted; and given up, once another process has kept it locked for too long.
    """

    def __init__(  # noqa: PLR0913 — what is noted in it, what it is for, and how to wait for it
        self,
        path: Path,
        *,
        facts: dict[str, str],
        now: float = 0.0,
        record_from_now: bool = False,
        read_only: bool = False,
        pause: Callable[[], None] = pause,
    ) -> None:
        """Use the file at *path*; *facts* and *now* (seconds since 1970) are noted in it when it is made.

        *record_from_now* is whether what is accepted is to be remembered from now on, *read_only* needs the file to be
        there. *pause* waits a moment for a process that has it; what it raises ends the waiting.
        """
        self._made = now
        self._path = path
        self._facts = facts
        self._record_from_now = record_from_now
        self._read_only = read_only
        self._pause = pause
        self._gave_up_with: StorageError | None = None
        self._epoch = b""
        self._token = b""
        self._stack = ExitStack()
        self._sql: sqlite3.Connection
        self._forgotten: set[int] = set()
        self._added: dict[int, bytes] = {}
        self._cleared: dict[int, bool] = {}
        self._unsure: set[int] = set()
        self._is_power_safe = True
        self.newer = NewerProperties(self._retry_while_locked, lambda: self._sql)
        """What later rows have set, of people of whom an older row may still be sent."""

    def __enter__(self) -> Self:
        """Open the file, once nobody is forgetting it; raises StorageError."""
        self._stack = self._retry_while_locked(self._opened)
        return self

    def _opened(self) -> ExitStack:
        """Return what closes the file, which is open."""
        with ExitStack() as stack:
            lock = locked(self._path)
            stack.callback(os.close, lock)
            self._refuse_foreign_files()
            if self._read_only:
                share(lock)
                stack.callback(self._tidy, lock)
                self._sql = sqlite3.connect(
                    f"{self._path.resolve().as_uri()}?mode=ro", uri=True, timeout=0, isolation_level=None
                )
                stack.callback(self._sql.close)
            else:
                if seized(lock):
                    # Nobody else has it open: whatever tokens are in it are those of runs that are gone.
                    with closing(self._connected()) as sql:
                        sql.execute("UPDATE facts SET value = value + 1 WHERE name = 'epoch'")
                        if self._record_from_now:
                            # A run that began before would go on without forgetting whom it sends.
                            sql.execute("INSERT OR IGNORE INTO facts VALUES ('kept', '')")
                share(lock)
                self._sql = self._connected()
                stack.callback(self._sql.close)
                (epoch,) = self._sql.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()
                self._epoch = int(epoch).to_bytes(_EPOCH_BYTES, "big")
                self._token = self._epoch + secrets.token_bytes(_TOKEN_BYTES - _EPOCH_BYTES)
            self._sql.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            return stack.pop_all()

    def __exit__(self, *_: object) -> None:
        """Write what waits, as far as that is possible, and close the file."""
        try:
            if not self._read_only:
                with suppress(StorageError):
                    self.commit()
        finally:
            with suppress(sqlite3.Error):
                self._stack.close()

    def _tidy(self, lock: int) -> None:
        """Take away what SQLite makes also where it only reads; whoever writes needs it, and does so at their end."""
        with suppress(OSError):
            log, index = (self._path.with_name(self._path.name + suffix) for suffix in ("-wal", "-shm"))
            if seized(lock) and not log.stat().st_size:
                log.unlink()
                index.unlink()

    def _refuse_foreign_files(self) -> None:
        """Raise StorageError for what SQLite would open though it is none of ours: a link, a pipe, a device."""
        for suffix in ("", *_BESIDE):
            refused = refusal(self._path.with_name(self._path.name + suffix))
            if refused is not None:
                raise refused

    def _connected(self) -> sqlite3.Connection:
        """Return the file, opened for writing, and made if need be."""
        os.close(open_private(self._path, os.O_RDWR | os.O_CREAT))
        sql = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        try:
            sql.execute("PRAGMA journal_mode = WAL")
            # What is forgotten must stay so through a power cut.
            sql.execute("PRAGMA synchronous = FULL")
            sql.executescript(_SCHEMA)
            migrate(sql)
            facts = {"format": _FORMAT, "made": f"{self._made:.0f}", "epoch": "1", **self._facts}
            sql.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.items())
        except BaseException:
            sql.close()
            raise
        return sql

    def body(self, people: Sequence[int]) -> bytes | None:
        """Return the digest that was accepted last for all of *people*, who are one person; None if it is not known."""
        found = self._retry_while_locked(lambda: {_known(self._body(person)) for person in people})
        return found.pop() if len(found) == 1 else None

    def _body(self, person: int) -> bytes | None:
        if person in self._added:
            return self._added[person]
        if person in self._forgotten or person in self._cleared:
            return None
        row = self._sql.execute("SELECT body FROM accepted WHERE person = ?", (person,)).fetchone()
        return None if row is None else row[0]

    def forget(self, people: Iterable[int]) -> None:
        """Forget *people*, about whom a request will go out after the next `commit`."""
        for person in people:
            self._added.pop(person, None)
            self._cleared.pop(person, None)
            self._forgotten.add(person)

    def add(self, person: int, body: bytes, *, unsure: bool = False) -> None:
        """Remember with the next `commit` that *body* (a digest) was accepted last for *person*.

        *unsure* is whether the same request may be on its way once more. Where a run that is gone left a request of
        unknown fate, the acceptance after this one is remembered: the service may apply that request in between.
        """
        if person in self._unsure:
            self.clear([person], accepted=True)
        else:
            self._added[person] = body + _UNSURE_MARK if unsure else body

    def clear(self, people: Iterable[int], *, accepted: bool) -> None:
        """Note with the next `commit` that no request of this run about *people* is on its way; they stay forgotten.

        *accepted* is whether one was accepted, so that none of an earlier run is waited for any more.
        """
        self._cleared.update(dict.fromkeys(people, accepted))

    def commit(self, *, power_safe: bool = True) -> None:
        """Make all that was forgotten, remembered and noted last; raises StorageError.

        It lasts through the end of the process; through a power cut from the next *power_safe* commit on.
        """
        waiting = (self._forgotten, self._added, self._cleared)
        if not any(waiting) and not self.newer.is_dirty and (self._is_power_safe or not power_safe):
            return
        self._retry_while_locked(lambda: self._committed("FULL" if power_safe else "NORMAL"))
        self._is_power_safe = power_safe
        self._unsure.difference_update(person for person, accepted in self._cleared.items() if accepted)
        for changed in waiting:
            changed.clear()
        self.newer.clear()

    def _committed(self, how: str) -> None:
        # With FULL all that was written before is synced as well, if only something is written.
        self._sql.execute(f"PRAGMA synchronous = {how}")
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            self._write()
            self._sql.execute("COMMIT")
        except BaseException:
            # The write may have ended the transaction itself: a full disk does.
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise

    def _write(self) -> None:
        sql, token, unsure_token = self._sql, self._token, self._token + _UNSURE_MARK
        # In their order in the file: far fewer pages are touched.
        forgotten = sorted(self._forgotten)
        values = {"token": token, "doubt": unsure_token, "epoch": self._epoch}
        sql.executemany(_FORGET, [{"person": person, **values} for person in forgotten])
        for first in range(0, len(forgotten), _AT_ONCE):
            asked = forgotten[first : first + _AT_ONCE]
            query = f"SELECT person FROM accepted WHERE body = ? AND person IN ({','.join('?' * len(asked))})"  # noqa: S608 — question marks
            self._unsure.update(person for (person,) in sql.execute(query, (unsure_token, *asked)))
        sql.executemany(_ADD, [(body, person, token) for person, body in sorted(self._added.items())])
        sql.executemany(
            _CLEAR,
            [
                (person, token, unsure_token if accepted else token)
                for person, accepted in sorted(self._cleared.items())
            ],
        )
        self.newer.write(sql)
        if not self._is_power_safe:
            sql.execute("UPDATE facts SET value = value WHERE name = 'format'")

    @property
    def is_recording(self) -> bool:
        """Whether some run asked for what is accepted to be remembered; else only what is owed is."""
        return self._row("SELECT 1 FROM facts WHERE name = 'kept'") is not None

    @property
    def recorded_since(self) -> int | None:
        """The number of the latest run whose notes are not all here; None if nobody has said. Raises StorageError."""
        row = self._row("SELECT value FROM facts WHERE name = 'noted since'")
        return None if row is None else int(row[0])

    def set_recorded_since(self, run: int) -> None:
        """Say that notes of the runs after *run* are here, unless another process has said it; raises StorageError."""
        self._row("INSERT OR IGNORE INTO facts VALUES ('noted since', ?)", str(run))

    def last_full_run(self, source: str) -> float | None:
        """Return when a run sent all of *source* (a key), in seconds since 1970; None if none did."""
        row = self._row("SELECT at FROM refreshed WHERE source = ?", source)
        return None if row is None else float(row[0])

    def record_full_run(self, source: str, at: float) -> None:
        """Note that a run that began *at* sent all of *source*; raises StorageError."""
        self._row("INSERT OR REPLACE INTO refreshed VALUES (?, ?)", source, at)

    def facts(self) -> dict[str, str]:
        """Return what was noted when the file was made, and how many people are remembered (`people`)."""
        facts = self._retry_while_locked(lambda: dict(self._sql.execute("SELECT name, value FROM facts")))
        people = self._row("SELECT count(*) FROM accepted WHERE length(body) > ?", _LONGEST_TOKEN)
        return {**facts, "people": str(people[0])}

    def _row(self, query: str, *values: object) -> Any:  # noqa: ANN401 — what SQLite returns
        return self._retry_while_locked(lambda: self._sql.execute(query, values).fetchone())

    def _retry_while_locked(self, ask: Callable[[], T]) -> T:
        """Return what *ask* gets from the file, asked again while another process has it; raises StorageError.

        The waiting is done here and not by SQLite, so that a stop order ends it.
        """
        if self._gave_up_with is not None:
            raise self._gave_up_with
        for left in range(_MOST_PAUSES, -1, -1):
            try:
                return ask()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & _PRIMARY not in _LOCKED:
                    raise StorageError(
                        f"{self._path}: {error}. Make room or allow access there, then run again."
                    ) from None
            except sqlite3.DatabaseError:
                raise StorageError(
                    f"{self._path} is damaged. Run `uploader changes --forget`; the next run then sends everything."
                ) from None
            except BlockingIOError:
                pass
            except OSError as error:
                raise StorageError(
                    f"{self._path}: {error.strerror}. Make room or allow access there, then run again."
                ) from None
            if left:
                self._pause()
        self._gave_up_with = kept_locked(self._path)
        raise self._gave_up_with


def _known(body: bytes | None) -> bytes | None:
    """Return the digest in what is noted of a person; None where it is a token."""
    return body[:BODY_BYTES] if body is not None and len(body) > _LONGEST_TOKEN else None


def kept_locked(path: Path) -> StorageError:
    """Return what to say of a memory that another process does not let go of."""
    return StorageError(
        f"{path} is kept locked by another process. End that one, or wait for its end, then run again to resume."
    )


def shared(path: Path, pause: Callable[[], None]) -> int:
    """Return the lock file of the memory at *path*, with others who use it; raises OSError, StorageError."""
    lock = locked(path)
    try:
        for left in range(_MOST_PAUSES, -1, -1):
            try:
                share(lock)
            except BlockingIOError:
                if left:
                    pause()
            else:
                return lock
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    raise kept_locked(path)


def locked(path: Path) -> int:
    """Return the lock file of the memory at *path*, open and not locked yet; raises StorageError."""
    return open_private(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)


def share(lock: int) -> None:
    """Take *lock* with others who use it; raises BlockingIOError while a process has it for itself, or OSError."""
    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


def seized(lock: int) -> bool:
    """Take *lock* for this process alone, if nobody else has it; raises OSError."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def delete(path: Path) -> None:
    """Delete the memory at *path*; raises LockedError while a run uses it, StorageError if it can't be deleted."""
    try:
        lock = locked(path)
        try:
            if not seized(lock):
                raise LockedError(f"{path} is in use by another process. Nothing was done. Try again later.")
            for suffix in ("", *_BESIDE):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        finally:
            os.close(lock)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}. Allow access there, then try again.") from None
