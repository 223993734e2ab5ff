"""Store, for one service, a digest of what it accepted last for each person."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from uploader.changes import newer_properties, sorted_digests
from uploader.changes.digests import BODY_BYTES
from uploader.changes.merge_digests import is_merge_due, merge
from uploader.changes.newer_properties import NewerProperties, migrate
from uploader.changes.sorted_digests import (
    SortedDigests,
    damaged,
    number_of,
    open_sorted,
    unlink_others,
)
from uploader.changes.store_locks import MOST_PAUSES, kept_locked, locked, pause, seized, share
from uploader.errors import LockedError, StorageError
from uploader.private_files import open_private, refusal

if TYPE_CHECKING:
    import polars as pl

_FORMAT: Final = "1"
_BESIDE: Final = ("-wal", "-shm", "-journal")
"""The endings of SQLite's own files beside the store."""
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY: Final = 0xFF
"""The bits of an extended error code that are the primary code (SQLite, result codes)."""

_CACHE_KIB: Final = 65_536
_EPOCH_BYTES: Final = 4
_TOKEN_BYTES: Final = 8
_UNSURE_MARK: Final = b"?"
"""Follows a token: a run that is gone has left a request of unknown outcome."""

_AT_ONCE: Final = 500
"""How many values a query may have in every version of SQLite."""

_LONGEST_TOKEN: Final = _TOKEN_BYTES + len(_UNSURE_MARK)

_FEW: Final = 4
"""So many times the people who are looked up at once, digests are read whole rather than picked out of SQLite."""

_READ_AT_ONCE: Final = 65_536

_SCHEMA: Final = (
    """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accepted (person INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS refreshed (source TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""
    + newer_properties.SCHEMA
    + sorted_digests.SCHEMA
)

_FORGET: Final = """
INSERT INTO accepted VALUES (:person, :token) ON CONFLICT DO UPDATE SET body = CASE
    WHEN body IN (:token, :doubt) THEN body
    WHEN length(body) IN (0, 12) THEN :token
    WHEN length(body) = 13 THEN :doubt
    WHEN substr(body, 1, 4) < :epoch THEN :doubt
    ELSE :epoch END
"""
"""A token of an earlier epoch is that of a run that is gone and has left a request of unknown outcome. The service may
still apply that request after the next one. A token of this epoch may be another run's: then it is not known whose
request is applied last. The epoch alone, which is no token, stops both runs from storing a digest."""

_ADD: Final = "UPDATE accepted SET body = ? WHERE person = ? AND body = ?"
_CLEAR: Final = "DELETE FROM accepted WHERE person = ? AND body IN (?, ?)"
_HIDE: Final = "UPDATE accepted SET body = x'' WHERE person = ? AND body IN (?, ?)"
"""Empty: no digest, and no request in flight. Without a row, the digest that the sorted file has would count again."""

_SOME: Final = "SELECT person, body FROM accepted WHERE person BETWEEN ? AND ? ORDER BY person LIMIT ?"


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _StoreOptions:
    """What a store is opened for; see `DigestStore`. A new one is *made* at a time since 1970."""

    facts: Mapping[str, str]
    made: float
    record_from_now: bool
    read_only: bool
    pause: Callable[[], None]
    raise_if_stopped: Callable[[], None]


@dataclass(slots=True)
class _PendingDigests:
    """What awaits the next commit: people to forget, digests to add or clear, and people whose acceptance is unsure."""

    forgotten: set[int] = field(default_factory=set)
    added: dict[int, bytes] = field(default_factory=dict)
    cleared: dict[int, bool] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)


class DigestStore:
    """What one service accepted last: digests only; people are the numbers that `Digests` makes.

    Most digests are in a sorted file that is never changed (`SortedDigests`), once there are many. SQLite has what
    changed since: its row of a person hides that of the sorted file. A run that ends well and has the store alone
    merges both into a new file, if that pays.

    **The digest of a person is deleted before a request about them goes out**, and committed before it does. It is
    stored again only after the service has accepted the request. So each stored digest is what the service has, after
    any crash. A person without a digest has the token of this run in its place. Where two runs send the same person,
    neither stores a digest. If another process has the file locked, each call retries for a limited time. Once that
    is over, every call fails. It is a context manager.

    States: open for reading; open for writing; recording (`is_recording`), where some run has asked for digests of
    accepted rows; and failed, once another process has kept the file locked for too long.
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
        raise_if_stopped: Callable[[], None] = lambda: None,
    ) -> None:
        """Use the file at *path*; *facts* and *now* (seconds since 1970) are written to a new one.

        *record_from_now* is whether digests of accepted rows are stored from now on. *read_only* requires that the
        file exists. *pause* waits a moment while another process has it locked; what it raises ends the waiting.
        *raise_if_stopped* is called during a merge, which what it raises ends.
        """
        self._path = path
        self._options = _StoreOptions(facts, now, record_from_now, read_only, pause, raise_if_stopped)
        self._sorted: SortedDigests | None = None
        self._ended_well = False
        self._gave_up_with: StorageError | None = None
        self._epoch = b""
        self._token = b""
        self._stack = ExitStack()
        self._sql: sqlite3.Connection
        self._pending = _PendingDigests()
        self._is_power_safe = True
        self.newer = NewerProperties(self._retry_while_locked, lambda: self._sql)
        """The properties that later rows have set, of people of whom an older row may still be sent."""

    def __enter__(self) -> Self:
        """Open the file, once no other process is deleting it; raises StorageError."""
        self._stack = self._retry_while_locked(self._opened)
        return self

    def _opened(self) -> ExitStack:
        """Open the file, and return what closes it."""
        self._ended_well = False
        with ExitStack() as stack:
            lock = locked(self._path)
            stack.callback(os.close, lock)
            self._refuse_foreign_files()
            if self._options.read_only:
                share(lock)
                stack.callback(self._tidy, lock)
                self._sql = sqlite3.connect(
                    f"{self._path.resolve().as_uri()}?mode=ro", uri=True, timeout=0, isolation_level=None
                )
                stack.callback(self._sql.close)
            else:
                stack.callback(self._merge, lock)
                if seized(lock):
                    # No other process has it open, so all tokens in it are those of runs that are gone.
                    with closing(self._connected()) as sql:
                        # What a merge left that was killed.
                        unlink_others(self._path, number_of(sql))
                        sql.execute("UPDATE facts SET value = value + 1 WHERE name = 'epoch'")
                        if self._options.record_from_now:
                            # A run that has it open would not delete the digests of the people it sends.
                            sql.execute("INSERT OR IGNORE INTO facts VALUES ('kept', '')")
                share(lock)
                self._sql = self._connected()
                stack.callback(self._sql.close)
                (epoch,) = self._sql.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()
                self._epoch = int(epoch).to_bytes(_EPOCH_BYTES, "big")
                self._token = self._epoch + secrets.token_bytes(_TOKEN_BYTES - _EPOCH_BYTES)
            self._sql.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            # No merge begins while this process has its shared lock, so this file stays the right one.
            self._sorted = open_sorted(self._path, self._sql)
            if self._sorted is not None:
                stack.enter_context(self._sorted)
            return stack.pop_all()

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        """Write what awaits a commit, as far as that is possible, close the file, and merge it if that pays."""
        try:
            if not self._options.read_only:
                with suppress(StorageError):
                    self.commit()
                    self._ended_well = kind is None and self._is_merge_due()
        finally:
            with suppress(sqlite3.Error):
                self._stack.close()

    def _is_merge_due(self) -> bool:
        people = 0 if self._sorted is None else len(self._sorted)
        return self._retry_while_locked(lambda: is_merge_due(self._sql, people))

    def _merge(self, lock: int) -> None:
        """Merge SQLite and the sorted file, which are closed, if no other process has *lock*.

        What does not succeed costs time and room on disk, and the next run tries again.
        """
        with suppress(StorageError, OSError, sqlite3.Error):
            if self._ended_well and seized(lock):
                with closing(self._connected()) as sql:
                    merge(self._path, sql, self._options.raise_if_stopped)

    def _tidy(self, lock: int) -> None:
        """Delete the files that SQLite creates even for reading; a process that writes needs and deletes its own."""
        with suppress(OSError):
            log, index = (self._path.with_name(self._path.name + suffix) for suffix in ("-wal", "-shm"))
            if seized(lock) and not log.stat().st_size:
                log.unlink()
                index.unlink()

    def _refuse_foreign_files(self) -> None:
        """Raise StorageError for a link, a pipe or a device in place of a file: SQLite would open it."""
        for suffix in ("", *_BESIDE):
            refused = refusal(self._path.with_name(self._path.name + suffix))
            if refused is not None:
                raise refused

    def _connected(self) -> sqlite3.Connection:
        """Return the file, opened for writing, created if missing."""
        os.close(open_private(self._path, os.O_RDWR | os.O_CREAT))
        sql = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        try:
            sql.execute("PRAGMA journal_mode = WAL")
            # A deleted digest must stay deleted through a power cut.
            sql.execute("PRAGMA synchronous = FULL")
            sql.executescript(_SCHEMA)
            migrate(sql)
            facts = {"format": _FORMAT, "made": f"{self._options.made:.0f}", "epoch": "1", **self._options.facts}
            sql.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.items())
        except BaseException:
            sql.close()
            raise
        return sql

    def body(self, people: Sequence[int]) -> bytes | None:
        """Return the digest accepted last for all of *people*, who are one person; None if it is not known."""
        found = self._retry_while_locked(lambda: {_known(self._body(person)) for person in people})
        return found.pop() if len(found) == 1 else None

    def _body(self, person: int) -> bytes | None:
        if person in self._pending.added:
            return self._pending.added[person]
        if person in self._pending.forgotten or person in self._pending.cleared:
            return None
        row = self._sql.execute("SELECT body FROM accepted WHERE person = ?", (person,)).fetchone()
        if row is None and self._sorted is not None:
            return self._sorted.body(person)
        return None if row is None else row[0]

    def compare(self, people: "pl.DataFrame", bodies: "pl.Series") -> "pl.Series":
        """Return for each row whether its people's digest is that in *bodies*; null: not known, as `body` says.

        *people* has a column of numbers (Int64) for each identity field, null where a row has no such value. *bodies*
        are digests (Binary). About 500,000 rows at once are best: each call reads the sorted file once. Raises
        StorageError.
        """
        from uploader.changes import digest_columns  # noqa: PLC0415 polars starts slowly

        return self._retry_while_locked(lambda: digest_columns.compare(people, bodies, self._layers))

    def _layers(self, people: "pl.Series") -> Iterator[Iterator["pl.DataFrame"]]:
        """Yield frames of digests for *people*, who are sorted: the sorted file, SQLite, and what awaits a commit."""
        from uploader.changes import digest_columns  # noqa: PLC0415 as above

        if not len(people):
            return
        if self._sorted is not None:
            yield digest_columns.parts_with(people, self._sorted)
        yield (
            digest_columns.digest_frame([person for person, _ in rows], [_known(body) for _, body in rows])
            for rows in self._rows_of(people)
        )
        waiting = {**dict.fromkeys((*self._pending.forgotten, *self._pending.cleared)), **self._pending.added}
        if waiting:
            ordered = sorted(waiting.items())
            yield iter(
                [digest_columns.digest_frame([person for person, _ in ordered], [_known(body) for _, body in ordered])]
            )

    def _rows_of(self, people: "pl.Series") -> Iterator[list[tuple[int, bytes]]]:
        """Yield the rows that SQLite has of *people*, who are sorted, or more than those."""
        sql, most = self._sql, _FEW * len(people)
        (count,) = sql.execute("SELECT count(*) FROM (SELECT 1 FROM accepted LIMIT ?)", (most,)).fetchone()
        if count < most:
            following, last = people[0], people[-1]
            while rows := sql.execute(_SOME, (following, last, _READ_AT_ONCE)).fetchall():
                yield rows
                following = rows[-1][0] + 1
                if following > last:
                    return
            return
        asked, rows = people.unique(maintain_order=True), []
        for first in range(0, len(asked), _AT_ONCE):
            some = asked[first : first + _AT_ONCE].to_list()
            query = f"SELECT person, body FROM accepted WHERE person IN ({','.join('?' * len(some))}) ORDER BY person"  # noqa: S608 — question marks
            rows += sql.execute(query, some).fetchall()
            if len(rows) >= _READ_AT_ONCE:
                yield rows
                rows = []
        if rows:
            yield rows

    def forget(self, people: Iterable[int]) -> None:
        """Delete the digests of *people*, about whom a request goes out after the next `commit`."""
        for person in people:
            self._pending.added.pop(person, None)
            self._pending.cleared.pop(person, None)
            self._pending.forgotten.add(person)

    def add(self, person: int, body: bytes, *, unsure: bool = False) -> None:
        """Store with the next `commit` that *body* (a digest) was accepted last for *person*.

        *unsure* is whether the same request may be applied once more. Where a run that is gone has left a request of
        unknown outcome, only the next acceptance is stored: the service may apply that request in between.
        """
        if person in self._pending.unsure:
            self.clear([person], accepted=True)
        else:
            self._pending.added[person] = body + _UNSURE_MARK if unsure else body

    def clear(self, people: Iterable[int], *, accepted: bool) -> None:
        """Record with the next `commit` that no request of this run about *people* is in flight; they get no digest.

        *accepted* is whether one was accepted: then a request that an earlier run has left no longer matters.
        """
        self._pending.cleared.update(dict.fromkeys(people, accepted))

    def commit(self, *, power_safe: bool = True) -> None:
        """Write all that was deleted, stored and recorded; raises StorageError.

        It survives a crash of the process. It survives a power cut from the next *power_safe* commit on.
        """
        waiting = (self._pending.forgotten, self._pending.added, self._pending.cleared)
        if not any(waiting) and not self.newer.is_dirty and (self._is_power_safe or not power_safe):
            return
        self._retry_while_locked(lambda: self._committed("FULL" if power_safe else "NORMAL"))
        self._is_power_safe = power_safe
        self._pending.unsure.difference_update(person for person, accepted in self._pending.cleared.items() if accepted)
        for changed in waiting:
            changed.clear()
        self.newer.clear()

    def _committed(self, how: str) -> None:
        # With FULL, all earlier writes are synced as well, as long as this commit writes anything.
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
        # Sorted as they are in the file: far fewer pages are touched.
        forgotten = sorted(self._pending.forgotten)
        values = {"token": token, "doubt": unsure_token, "epoch": self._epoch}
        sql.executemany(_FORGET, [{"person": person, **values} for person in forgotten])
        for first in range(0, len(forgotten), _AT_ONCE):
            asked = forgotten[first : first + _AT_ONCE]
            query = f"SELECT person FROM accepted WHERE body = ? AND person IN ({','.join('?' * len(asked))})"  # noqa: S608 — question marks
            self._pending.unsure.update(person for (person,) in sql.execute(query, (unsure_token, *asked)))
        sql.executemany(_ADD, [(body, person, token) for person, body in sorted(self._pending.added.items())])
        sql.executemany(
            _CLEAR if self._sorted is None else _HIDE,
            [
                (person, token, unsure_token if accepted else token)
                for person, accepted in sorted(self._pending.cleared.items())
            ],
        )
        self.newer.write(sql)
        if not self._is_power_safe:
            sql.execute("UPDATE facts SET value = value WHERE name = 'format'")

    @property
    def is_recording(self) -> bool:
        """Whether some run has asked for digests of accepted rows; else only data about rows to resend is stored."""
        return self._row("SELECT 1 FROM facts WHERE name = 'kept'") is not None

    @property
    def recorded_since(self) -> int | None:
        """The number of the latest run whose records are not all here; None if it is not set. Raises StorageError."""
        row = self._row("SELECT value FROM facts WHERE name = 'noted since'")
        return None if row is None else int(row[0])

    def set_recorded_since(self, run: int) -> None:
        """Record that the runs after *run* have all their records here, unless it is set; raises StorageError."""
        self._row("INSERT OR IGNORE INTO facts VALUES ('noted since', ?)", str(run))

    def last_full_run(self, source: str) -> float | None:
        """Return when a run sent all of *source* (a key), in seconds since 1970; None if none did."""
        row = self._row("SELECT at FROM refreshed WHERE source = ?", source)
        return None if row is None else float(row[0])

    def record_full_run(self, source: str, at: float) -> None:
        """Record that a run that started *at* has sent all of *source*; raises StorageError."""
        self._row("INSERT OR REPLACE INTO refreshed VALUES (?, ?)", source, at)

    def facts(self) -> dict[str, str]:
        """Return the facts of the file, and how many people have a digest (`people`)."""
        facts = self._retry_while_locked(lambda: dict(self._sql.execute("SELECT name, value FROM facts")))
        return {**facts, "people": str(self._retry_while_locked(self._people))}

    def _people(self) -> int:
        """Return how many people have a digest."""
        (count,) = self._sql.execute(
            "SELECT count(*) FROM accepted WHERE length(body) > ?", (_LONGEST_TOKEN,)
        ).fetchone()
        known = self._sorted
        if known is None:
            return int(count)
        rows = self._sql.execute("SELECT person FROM accepted ORDER BY person")
        return int(count) + len(known) - sum(known.body(person) is not None for (person,) in rows)

    def _row(self, query: str, *values: object) -> Any:  # noqa: ANN401 — what SQLite returns
        return self._retry_while_locked(lambda: self._sql.execute(query, values).fetchone())

    def _retry_while_locked(self, ask: Callable[[], T]) -> T:
        """Return the result of *ask*, retried while another process has the file locked; raises StorageError.

        It waits here and not within SQLite, so that a stop ends the waiting.
        """
        if self._gave_up_with is not None:
            raise self._gave_up_with
        for left in range(MOST_PAUSES, -1, -1):
            try:
                return ask()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & _PRIMARY not in _LOCKED:
                    raise StorageError(
                        f"{self._path}: {error}. Make room or allow access there, then run again."
                    ) from None
            except sqlite3.DatabaseError:
                raise damaged(self._path) from None
            except BlockingIOError:
                pass
            except OSError as error:
                raise StorageError(
                    f"{self._path}: {error.strerror}. Make room or allow access there, then run again."
                ) from None
            if left:
                self._options.pause()
        self._gave_up_with = kept_locked(self._path)
        raise self._gave_up_with


def _known(body: bytes | None) -> bytes | None:
    """Return the digest in the stored *body* of a person; None if it is a token."""
    return body[:BODY_BYTES] if body is not None and len(body) > _LONGEST_TOKEN else None


def delete(path: Path) -> None:
    """Delete the store at *path*; raises LockedError while a run uses it, StorageError if it can't be deleted."""
    try:
        lock = locked(path)
        try:
            if not seized(lock):
                raise LockedError(f"{path} is in use by another process. Nothing was done. Try again later.")
            for suffix in ("", *_BESIDE):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            # After SQLite's file, which names one of them.
            unlink_others(path, None)
        finally:
            os.close(lock)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}. Allow access there, then try again.") from None
