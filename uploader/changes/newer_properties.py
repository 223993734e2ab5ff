"""Store which properties newer rows have set, of people of whom an older row may still be sent."""

import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from uploader.model import Origin, number_of_old

T = TypeVar("T")

NAME_BYTES: Final = 8
"""The length of the digest of one property's name."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS watched (person INTEGER PRIMARY KEY, since INTEGER NOT NULL, loose INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tied (person INTEGER, tie INTEGER, PRIMARY KEY (person, tie)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS people_of_tie ON tied (tie);
CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, names BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS later (person INTEGER, names INTEGER, run INTEGER NOT NULL, place INTEGER NOT NULL,
                                  PRIMARY KEY (person, names)) WITHOUT ROWID;
"""

_UNKNOWN: Final = 0
"""In the column `names`: properties that an earlier version did not record."""

_BEHIND_ALL: Final = 2**62
"""A row number that is above all rows of its run."""

_WATCH: Final = """
INSERT INTO watched VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET
    since = min(since, excluded.since), loose = CASE WHEN loose = 0 THEN excluded.loose ELSE loose END
"""
_MARK_LINKED: Final = "UPDATE watched SET loose = 0 WHERE person = ?"
_WATCHED: Final = "SELECT since, loose FROM watched WHERE person = ?"
_WATCH_TOGETHER: Final = "INSERT OR IGNORE INTO tied VALUES (?, ?)"
_SAME_PERSON: Final = "SELECT DISTINCT person FROM tied WHERE tie IN (SELECT tie FROM tied WHERE person = ?)"
_NAME: Final = "INSERT OR IGNORE INTO names (names) VALUES (?)"
_NOTE: Final = """
INSERT INTO later SELECT ?, id, ?, ? FROM names WHERE names = ?
ON CONFLICT DO UPDATE SET run = excluded.run, place = excluded.place
WHERE (excluded.run, excluded.place) > (run, place)
"""
_SINCE: Final = """
SELECT coalesce(names.names, x'') FROM later LEFT JOIN names ON names.id = later.names
WHERE person = ? AND (run, place) > (?, ?)
"""
_NEWEST: Final = """
INSERT INTO facts VALUES ('newest run', ?)
ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))
"""
_IS_WATCHED: Final = "(SELECT person FROM watched)"
_FORGET: Final = f"DELETE FROM later WHERE run < ? AND person NOT IN {_IS_WATCHED}"  # noqa: S608 — words of this file
_FORGET_LINKS: Final = f"""
DELETE FROM tied WHERE tie NOT IN (SELECT tie FROM tied WHERE person IN {_IS_WATCHED})
"""  # noqa: S608 — as above


class AskDatabase(Protocol):
    """Runs a query, and retries it while another process has the file locked; raises StorageError."""

    def __call__(self, ask: Callable[[], T], /) -> T:
        """Return what *ask* returns."""


@dataclass(frozen=True, slots=True)
class SetSince:
    """The properties of a person that newer rows have set.

    *names* are the digests of the properties' names. *is_known* is whether those are all: an earlier version of the
    program recorded no names.
    """

    names: frozenset[bytes] = frozenset()
    is_known: bool = True


class NewerProperties:
    """The newest accepted row of each watched person, for each set of properties.

    A person is watched while an older row of them may still come. People are numbers, sets of properties are joined
    digests of their names: see `Digests`. A record is durable from the next `commit` of the store on.
    """

    def __init__(self, ask: AskDatabase, connection: Callable[[], sqlite3.Connection]) -> None:
        """Use the file of *connection*, which is open whenever *ask* runs a query."""
        self._ask = ask
        self._connection = connection
        self._watching: dict[int, tuple[int, int]] = {}
        self._linked: set[int] = set()
        self._together: set[tuple[int, int]] = set()
        self._recorded: dict[tuple[int, bytes], Origin] = {}
        self._seen: int | None = None
        self._watches = False
        self._has_together = False
        self._newest: int | None = None

    def watch(self, people: Iterable[int], *, since: int, unlinked_by: int = 0) -> None:
        """Watch *people*, of each of whom an older row may still come; runs after *since* record what they set.

        *unlinked_by* is the number of the run in whose source they may be the same person as others, until that run has
        linked them (`mark_linked`). People stay watched for ever.
        """
        for person in people:
            before, by = self._watching.get(person, (since, 0))
            self._watching[person] = min(before, since), by or unlinked_by

    def link(self, people: Iterable[int], key: int) -> None:
        """Record that *people* are the same person as all others with this *key*."""
        self._together.update((person, key) for person in people)

    def mark_linked(self, people: Iterable[int]) -> None:
        """Record that *people* are linked to all values of the same person."""
        self._linked.update(people)

    def is_watched(self, people: Sequence[int]) -> bool:
        """Whether an older row may still come of one of *people*."""
        return any(self.watched(person) is not None for person in people)

    @property
    def watches_somebody(self) -> bool:
        """Whether anybody is watched."""
        self._refresh()
        return self._watches or bool(self._watching)

    def has_records_of(self, person: int) -> bool:
        """Whether it is recorded what any row has set of *person*."""
        return self._row("SELECT 1 FROM later WHERE person = ?", person) is not None

    def is_complete(self, people: Sequence[int], *, since: int, run: int, besides: Container[int] = ()) -> bool:
        """Whether all that runs after *since* have set of *people*, who are one person, is recorded.

        *run* is the one in whose source they are. A run that is later than the one that watches them unlinked has found
        them watched, and has linked them within its own source. *besides* are people who count as linked.
        """
        for person in people:
            found = self.watched(person)
            if found is None or found[0] > since or (found[1] and found[1] >= run and person not in besides):
                return False
        return True

    def watched(self, person: int) -> tuple[int, int] | None:
        """Return *since* and *unlinked_by* of *person* (see `watch`); None if they are not watched."""
        waiting = self._watching.get(person)
        self._refresh()
        row = self._row(_WATCHED, person) if self._watches else None
        if row is None or waiting is None:
            return waiting if row is None else (row[0], row[1])
        return min(row[0], waiting[0]), row[1] or waiting[1]

    def record(self, people: Iterable[int], names: bytes, origin: Origin) -> None:
        """Record that the row of *origin* has set *names* of *people*, who are one person."""
        for person in people:
            before = self._recorded.get((person, names))
            if before is None or before < origin:
                self._recorded[person, names] = origin

    def set_since(self, people: Iterable[int], origin: Origin) -> SetSince:
        """Return which properties rows newer than *origin* have set of *people*, who are one person."""
        found: set[bytes] = set()
        for person in self._with_same_person(people):
            rows = self._rows(_SINCE, person, origin.run, origin.row)
            found.update(names for (names,) in rows)
            found.update(names for (who, names), at in self._recorded.items() if who == person and at > origin)
        return SetSince(
            frozenset(names[at : at + NAME_BYTES] for names in found for at in range(0, len(names), NAME_BYTES)),
            b"" not in found,
        )

    def newest_run(self) -> int | None:
        """Return the highest number of a run with a record; None if there is none."""
        self._refresh()
        return max([*self._runs(), *([] if self._newest is None else [self._newest])], default=None)

    def forget_unwatched(self, *, before: int) -> None:
        """Delete what runs *before* that number have recorded of people who are not watched; raises StorageError."""
        self._row(_FORGET, before)
        self._row(_FORGET_LINKS)

    @property
    def is_dirty(self) -> bool:
        """Whether something awaits a commit."""
        return bool(self._watching or self._together or self._linked or self._recorded)

    def write(self, sql: sqlite3.Connection) -> None:
        """Write what awaits a commit, within the transaction of *sql*."""
        watching = sorted(self._watching.items())
        sql.executemany(_WATCH, [(person, since, run) for person, (since, run) in watching])
        sql.executemany(_MARK_LINKED, [(person,) for person in sorted(self._linked)])
        sql.executemany(_WATCH_TOGETHER, sorted(self._together))
        sql.executemany(_NAME, [(names,) for names in {names for _, names in self._recorded}])
        sql.executemany(
            _NOTE, [(person, at.run, at.row, names) for (person, names), at in sorted(self._recorded.items())]
        )
        if self._recorded or self._watching:
            sql.execute(_NEWEST, (max(self._runs()),))

    def _runs(self) -> Iterator[int]:
        """Yield the numbers of the runs that await a commit."""
        yield from (origin.run for origin in self._recorded.values())
        yield from (since for since, _ in self._watching.values())

    def clear(self) -> None:
        """Drop what was awaiting the commit, which has succeeded."""
        self._watches = self._watches or bool(self._watching)
        self._newest = self.newest_run()
        self._has_together = self._has_together or bool(self._together)
        self._watching.clear()
        self._linked.clear()
        self._together.clear()
        self._recorded.clear()

    def _with_same_person(self, people: Iterable[int]) -> set[int]:
        """Return *people* and all others of the same person, through any chain of links."""
        self._refresh()
        found, left = set(people), list(people)
        while left and (self._has_together or self._together):
            one = left.pop()
            keys = {key for person, key in self._together if person == one}
            together = {person for person, key in self._together if key in keys}
            together = (together | {person for (person,) in self._rows(_SAME_PERSON, one)}) - found
            found |= together
            left += together
        return found

    def _refresh(self) -> None:
        """Read what another process has committed since the last call."""
        (version,) = self._row("PRAGMA data_version")
        if version != self._seen:
            self._seen = version
            self._watches = self._row("SELECT 1 FROM watched LIMIT 1") is not None
            self._has_together = self._row("SELECT 1 FROM tied LIMIT 1") is not None
            newest = self._row("SELECT value FROM facts WHERE name = 'newest run'")
            self._newest = None if newest is None else int(newest[0])

    def _row(self, query: str, *values: object) -> Any:  # noqa: ANN401 — what SQLite returns
        return self._ask(lambda: self._connection().execute(query, values).fetchone())

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self._ask(lambda: self._connection().execute(query, values).fetchall())


def migrate(sql: sqlite3.Connection) -> None:
    """Migrate the records of an earlier version: people with a row to resend, and those whom a later run has sent.

    Which properties the later run has set is unknown: it was not recorded.
    """
    if sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'owed'").fetchone() is None:
        return
    sql.execute("BEGIN IMMEDIATE")
    watched = sql.execute("SELECT person, origin FROM owed").fetchall()
    sql.executemany(_WATCH, [(person, number_of_old(origin), 0) for person, origin in watched])
    overtaken = sql.execute("SELECT person, max(origin) FROM owed WHERE state = 1 GROUP BY person").fetchall()
    sql.executemany(
        "INSERT OR IGNORE INTO later VALUES (?, ?, ?, ?)",
        [(person, _UNKNOWN, number_of_old(origin), _BEHIND_ALL) for person, origin in overtaken],
    )
    if overtaken:
        sql.execute(_NEWEST, (max(number_of_old(origin) for _, origin in overtaken),))
    sql.execute("DROP TABLE owed")
    sql.execute("COMMIT")
