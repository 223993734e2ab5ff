"""Keep which properties later rows have set, of the people of whom an older row may still be sent."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from uploader.model import Origin, number_of_old

T = TypeVar("T")

NAME_BYTES: Final = 8
"""The length of the digest of one property's name."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS watched (person INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS tied (person INTEGER, tie INTEGER, PRIMARY KEY (person, tie)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS people_of_tie ON tied (tie);
CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, names BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS later (person INTEGER, names INTEGER, run INTEGER NOT NULL, place INTEGER NOT NULL,
                                  PRIMARY KEY (person, names)) WITHOUT ROWID;
"""

_UNKNOWN: Final = 0
"""Stands in the column `names` for properties that an earlier version did not note."""

_BEHIND_ALL: Final = 2**62
"""Stands for a row behind every row of its run."""

_WATCH: Final = "INSERT OR IGNORE INTO watched VALUES (?)"
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
INSERT INTO facts VALUES ('newest later', ?)
ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))
"""
_FORGET: Final = "DELETE FROM later WHERE run < ? AND person NOT IN watched"


class AskDatabase(Protocol):
    """Asks the file something, again while another process has it; raises StorageError."""

    def __call__(self, ask: Callable[[], T], /) -> T:
        """Return what *ask* returns."""


@dataclass(frozen=True, slots=True)
class SetSince:
    """What rows that are newer than a row have set of its person.

    *names* are the digests of the properties' names. *is_known* is whether those are all: what an earlier version of
    the program noted has no names.
    """

    names: frozenset[bytes] = frozenset()
    is_known: bool = True


class NewerProperties:
    """The newest accepted row of each person for each set of properties, as far as an older row may still come.

    People are numbers, and sets of properties sorted digests of their names, one behind the other: see `Digests`. What
    is noted lasts from the next `commit` of the memory on.
    """

    def __init__(self, ask: AskDatabase, connection: Callable[[], sqlite3.Connection]) -> None:
        """Use the file of *connection*, which is open when something is asked for; *ask* asks it."""
        self._ask = ask
        self._connection = connection
        self._watching: set[int] = set()
        self._together: dict[int, int] = {}
        self._recorded: dict[tuple[int, bytes], Origin] = {}
        self._seen: int | None = None
        self._watches = False
        self._has_together = False
        self._newest: int | None = None

    def watch(self, people: Iterable[int]) -> None:
        """Note that an older row may still come of each of *people*; that is never forgotten."""
        self._watching.update(people)

    def watch_together(self, groups: Mapping[int, int]) -> None:
        """Note that people with the same of *groups* are one person, and that an older row of them may still come."""
        self._watching.update(groups)
        self._together.update(groups)

    def is_watched(self, people: Sequence[int]) -> bool:
        """Whether an older row may still come of one of *people*."""
        if not self._watching.isdisjoint(people):
            return True
        self._refresh()
        if not self._watches:
            return False
        query = "SELECT 1 FROM watched WHERE person = ?"
        return any(self._row(query, person) is not None for person in people)

    def watches_all(self, people: Sequence[int]) -> bool:
        """Whether each of *people* is watched, and that lasts."""
        query = "SELECT 1 FROM watched WHERE person = ?"
        return all(self._row(query, person) is not None for person in people)

    def record(self, people: Iterable[int], names: bytes, origin: Origin) -> None:
        """Note that the row of *origin* has set *names* of *people*, who are one person."""
        for person in people:
            before = self._recorded.get((person, names))
            if before is None or before < origin:
                self._recorded[person, names] = origin

    def set_since(self, people: Iterable[int], origin: Origin) -> SetSince:
        """Return what rows newer than *origin* have set of *people*, who are one person."""
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
        """Return the highest number of a run of which something is noted; None if nothing is."""
        self._refresh()
        runs = [origin.run for origin in self._recorded.values()]
        return max([*runs, *([] if self._newest is None else [self._newest])], default=None)

    def forget_unwatched(self, *, before: int) -> None:
        """Forget what runs *before* that number have noted of people who are not watched; raises StorageError."""
        self._row(_FORGET, before)

    @property
    def is_dirty(self) -> bool:
        """Whether something awaits a commit."""
        return bool(self._watching or self._together or self._recorded)

    def write(self, sql: sqlite3.Connection) -> None:
        """Write what awaits the commit that is under way."""
        sql.executemany(_WATCH, [(person,) for person in sorted(self._watching)])
        sql.executemany(_WATCH_TOGETHER, sorted(self._together.items()))
        sql.executemany(_NAME, [(names,) for names in {names for _, names in self._recorded}])
        sql.executemany(
            _NOTE, [(person, at.run, at.row, names) for (person, names), at in sorted(self._recorded.items())]
        )
        if self._recorded:
            sql.execute(_NEWEST, (max(origin.run for origin in self._recorded.values()),))

    def clear(self) -> None:
        """Let go of what was committed."""
        self._watches = self._watches or bool(self._watching)
        self._newest = self.newest_run() if self._recorded else self._newest
        self._has_together = self._has_together or bool(self._together)
        self._watching.clear()
        self._together.clear()
        self._recorded.clear()

    def _with_same_person(self, people: Iterable[int]) -> set[int]:
        """Return *people* with all who are one person with them, through whatever chain of ties."""
        self._refresh()
        found, left = set(people), list(people)
        while self._has_together and left:
            together = {person for (person,) in self._rows(_SAME_PERSON, left.pop())} - found
            found |= together
            left += together
        return found

    def _refresh(self) -> None:
        """Hear of what another process has committed since."""
        (version,) = self._row("PRAGMA data_version")
        if version != self._seen:
            self._seen = version
            self._watches = self._row("SELECT 1 FROM watched LIMIT 1") is not None
            self._has_together = self._row("SELECT 1 FROM tied LIMIT 1") is not None
            newest = self._row("SELECT value FROM facts WHERE name = 'newest later'")
            self._newest = None if newest is None else int(newest[0])

    def _row(self, query: str, *values: object) -> Any:  # noqa: ANN401 — what SQLite returns
        return self._ask(lambda: self._connection().execute(query, values).fetchone())

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self._ask(lambda: self._connection().execute(query, values).fetchall())


def migrate(sql: sqlite3.Connection) -> None:
    """Take over what an earlier version noted: rows that are owed, and whether a later run has overtaken them.

    What the later run has set was not noted, so that nobody knows.
    """
    if sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'owed'").fetchone() is None:
        return
    sql.execute("BEGIN IMMEDIATE")
    sql.execute("INSERT OR IGNORE INTO watched SELECT DISTINCT person FROM owed")
    overtaken = sql.execute("SELECT person, max(origin) FROM owed WHERE state = 1 GROUP BY person").fetchall()
    sql.executemany(
        "INSERT OR IGNORE INTO later VALUES (?, ?, ?, ?)",
        [(person, _UNKNOWN, number_of_old(origin), _BEHIND_ALL) for person, origin in overtaken],
    )
    if overtaken:
        sql.execute(_NEWEST, (max(number_of_old(origin) for _, origin in overtaken),))
    sql.execute("DROP TABLE owed")
    sql.execute("COMMIT")
