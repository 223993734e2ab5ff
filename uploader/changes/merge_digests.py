"""Merge the digests that SQLite holds of a store into a new sorted file."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from uploader.changes.sorted_digests import (
    Part,
    SortedDigests,
    name_parts,
    number_of,
    open_sorted,
    path_of,
    unlink_others,
)
from uploader.private_files import sync_folder, write_private

if TYPE_CHECKING:
    import polars as pl

FEWEST: Final = 65_536
"""Fewer digests stay in SQLite: they are found there in less time than it takes to load polars."""

_SHARE: Final = 32
"""The sorted file is written again once SQLite holds this part of its people.

Each person there costs an unchanged night a microsecond or two, and 30 bytes on disk. A new file costs as much as its
whole length, whatever has changed.
"""

_AT_ONCE: Final = 65_536

# Tokens, and digests that are unsure, stay: the next request about their person decides what they mean.
_IS_MERGED: Final = "length(body) IN (0, 12)"
_COUNT: Final = f"SELECT count(*) FROM (SELECT 1 FROM accepted WHERE {_IS_MERGED} LIMIT ?)"  # noqa: S608 — words of this file
_KEEP: Final = f"CREATE TEMP TABLE kept AS SELECT * FROM accepted WHERE NOT {_IS_MERGED}"  # noqa: S608 — as above
_FOLLOWING: Final = """
SELECT person, CASE length(body) WHEN 12 THEN body END FROM accepted WHERE person >= ? ORDER BY person LIMIT ?
"""
_LEAST_PERSON: Final = -(2**63)
_GREATEST_PERSON: Final = 2**63 - 1


def is_merge_due(sql: sqlite3.Connection, people: int) -> bool:
    """Whether SQLite holds so many digests that a merge pays; *people* are those of the sorted file."""
    wanted = max(FEWEST, people // _SHARE)
    return bool(sql.execute(_COUNT, (wanted,)).fetchone()[0] >= wanted)


def merge(store: Path, sql: sqlite3.Connection, raise_if_stopped: Callable[[], None] = lambda: None) -> None:
    """Merge what SQLite holds of *store* into a new sorted file, if that pays; *sql* has the store open for writing.

    No other process may have the store open. The facts in SQLite name a complete file at any moment. Wherever it ends,
    the facts, what they name, and SQLite together say the same as before. *raise_if_stopped* is called now and then.

    Raises:
        StorageError, OSError, sqlite3.Error: there is no room, or a file is damaged; the store is as before.
    """
    sql.execute("PRAGMA temp_store = MEMORY")
    with ExitStack() as stack:
        # What is written to the file is what is deleted, even if a stranger has SQLite's file open.
        sql.execute("BEGIN IMMEDIATE")
        stack.callback(_roll_back, sql)
        old = open_sorted(store, sql)
        if old is not None:
            stack.enter_context(old)
        if not is_merge_due(sql, 0 if old is None else len(old)):
            return
        number = 1 + (number_of(sql) or 0)
        name_parts(sql, number, _write(path_of(store, number), old, _overlay(sql, raise_if_stopped)))
        _delete_merged(sql)
        sql.execute("COMMIT")
    unlink_others(store, number)
    _give_back_room(sql)


def _write(path: Path, old: SortedDigests | None, overlay: Iterator["pl.DataFrame"]) -> list[Part]:
    """Write the file at *path*, durably under its name, and return its index; see `merged` for *old* and *overlay*."""
    from uploader.changes import digest_columns  # noqa: PLC0415 polars starts slowly

    parts: list[Part] = []
    before = iter(()) if old is None else digest_columns.all_parts(old)
    write_private(path, digest_columns.stream(digest_columns.merged(before, overlay), parts))
    sync_folder(path.parent)
    return parts


def _overlay(sql: sqlite3.Connection, raise_if_stopped: Callable[[], None]) -> Iterator["pl.DataFrame"]:
    """Yield the frames of digests that SQLite holds; who has a token or no digest there has none."""
    from uploader.changes.digest_columns import digest_frame  # noqa: PLC0415 as above

    following = _LEAST_PERSON
    while rows := sql.execute(_FOLLOWING, (following, _AT_ONCE)).fetchall():
        raise_if_stopped()
        yield digest_frame([person for person, _ in rows], [body for _, body in rows])
        if rows[-1][0] == _GREATEST_PERSON:
            return
        following = rows[-1][0] + 1


def _delete_merged(sql: sqlite3.Connection) -> None:
    # To empty a table is cheap; to delete most of its rows would write each of its pages once more.
    sql.execute(_KEEP)
    sql.execute("DELETE FROM accepted")
    sql.execute("INSERT INTO accepted SELECT * FROM kept")
    sql.execute("DROP TABLE temp.kept")


def _give_back_room(sql: sqlite3.Connection) -> None:
    """Make SQLite's file smaller, if most of it is unused."""
    (free,), (pages,) = (sql.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count"))
    if 2 * free > pages:
        sql.execute("VACUUM")


def _roll_back(sql: sqlite3.Connection) -> None:
    if sql.in_transaction:
        sql.execute("ROLLBACK")
