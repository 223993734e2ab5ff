"""Read the digests of many people from a file that is sorted by person and never changed."""

import os
import re
import sqlite3
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final, Self
from zlib import crc32

from uploader.errors import StorageError
from uploader.private_files import open_private

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sorted_parts (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, people INTEGER NOT NULL,
                                         start INTEGER NOT NULL, length INTEGER NOT NULL, checksum INTEGER NOT NULL);
"""
FACT: Final = "sorted file"
"""The fact of a store that gives the number of its sorted file. Without this fact it has none."""

PERSON_BYTES: Final = 8
HEAD_BYTES: Final = 8
TAIL_BYTES: Final = 4
"""The first and the last bytes of a digest of 12 bytes are a column each: Arrow has no type of 12 bytes in polars."""

_ALIGNED: Final = 64
_LENGTH_AT: Final = 4
_PREFIX_BYTES: Final = 8
"""A message of Arrow begins with a mark of 4 bytes and the length of its metadata; the columns follow the metadata."""

_BLOCK: Final = 512
"""How many people are read at a time to find one of them: one page of the disk."""


@dataclass(frozen=True, slots=True)
class Part:
    """One record batch of the file: *people* from *first* to *last*, *length* bytes from *start* on."""

    first: int
    last: int
    people: int
    start: int
    length: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns of a part begin, in bytes from the begin of its message."""

    people: int
    heads: int
    tails: int
    end: int

    @classmethod
    def of(cls, message: bytes | memoryview, people: int) -> Self:
        """Return the columns of *message*, a record batch of *people*, as polars lays them out."""
        (metadata,) = struct.unpack_from("<i", message, _LENGTH_AT)
        begin = _PREFIX_BYTES + int(metadata)
        heads = begin + _aligned(people * PERSON_BYTES)
        tails = heads + _aligned(people * HEAD_BYTES)
        return cls(begin, heads, tails, tails + _aligned(people * TAIL_BYTES))


class SortedDigests:
    """A sorted file of digests, open for reading, and the index of its parts, which the SQLite file of the store has.

    The file is a stream of Arrow record batches (`person`, `head`, `tail`). A part is held against its checksum before
    it is used for the first time. It is a context manager.
    """

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        """Use the file at *path*, which has *parts*; raises StorageError if it is missing, cut or someone else's."""
        if not os.path.lexists(path):
            raise StorageError(f"{path} is gone. Run `uploader changes --forget`; the next run then sends everything.")
        self._path = path
        self.parts = parts
        self._firsts = [part.first for part in parts]
        self._columns: list[tuple[Columns, array[int]] | None] = [None] * len(parts)
        self._verified: set[int] = set()
        self._handle = open_private(path, os.O_RDONLY)
        if os.fstat(self._handle).st_size < max((part.start + part.length for part in parts), default=0):
            os.close(self._handle)
            raise damaged(path)

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._handle)

    def __len__(self) -> int:
        """Return of how many people there are digests."""
        return sum(part.people for part in self.parts)

    def body(self, person: int) -> bytes | None:
        """Return the digest of *person*; None if there is none. Raises OSError, StorageError."""
        at = bisect_right(self._firsts, person) - 1
        if at < 0 or person > self.parts[at].last:
            return None
        part, (columns, firsts) = self.parts[at], self._columns_of(at)
        block = (bisect_right(firsts, person) - 1) * _BLOCK
        count = min(_BLOCK, part.people - block)
        people = memoryview(self._read(part.start + columns.people + block * PERSON_BYTES, count * PERSON_BYTES))
        place = bisect_left(people.cast("q"), person)
        if place == count or people.cast("q")[place] != person:
            return None
        place += block
        head = self._read(part.start + columns.heads + place * HEAD_BYTES, HEAD_BYTES)
        return head + self._read(part.start + columns.tails + place * TAIL_BYTES, TAIL_BYTES)

    def read_message(self, at: int, room: memoryview) -> None:
        """Read the Arrow message of the part *at* into *room*, of its length.

        Raises:
            OSError, StorageError: the file can't be read, or is damaged.
        """
        part = self.parts[at]
        room[:] = self._read(part.start, part.length)
        if at not in self._verified:
            if crc32(room) != part.checksum:
                raise damaged(self._path)
            self._verified.add(at)

    def _columns_of(self, at: int) -> tuple[Columns, "array[int]"]:
        """Return the columns of the part *at*, and the first person of each of its blocks."""
        found = self._columns[at]
        if found is None:
            people, message = self.parts[at].people, memoryview(bytearray(self.parts[at].length))
            self.read_message(at, message)
            columns = Columns.of(message, people)
            numbers = message[columns.people : columns.people + people * PERSON_BYTES].cast("q")
            found = self._columns[at] = columns, array("q", numbers[::_BLOCK].tolist())
        return found

    def _read(self, start: int, length: int) -> bytes:
        found = os.pread(self._handle, length, start)
        if len(found) != length:
            raise damaged(self._path)
        return found


def open_sorted(store: Path, sql: sqlite3.Connection) -> SortedDigests | None:
    """Return the sorted file of the *store* that *sql* has open; None if it has none. Raises StorageError."""
    number = number_of(sql)
    if number is None:
        return None
    rows = sql.execute("SELECT first, last, people, start, length, checksum FROM sorted_parts ORDER BY first")
    return SortedDigests(path_of(store, number), [Part(*row) for row in rows])


def number_of(sql: sqlite3.Connection) -> int | None:
    """Return the number of the sorted file of the store that *sql* has open; None if it has none."""
    row = sql.execute("SELECT value FROM facts WHERE name = ?", (FACT,)).fetchone()
    return None if row is None else int(row[0])


def name_parts(sql: sqlite3.Connection, number: int, parts: Sequence[Part]) -> None:
    """Make the sorted file *number* with *parts* that of the store, within the transaction of *sql*."""
    sql.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (FACT, str(number)))
    sql.execute("DELETE FROM sorted_parts")
    sql.executemany("INSERT INTO sorted_parts VALUES (?, ?, ?, ?, ?, ?)", map(astuple, parts))


def path_of(store: Path, number: int) -> Path:
    """Return the path of the sorted file *number* of the *store*."""
    return store.with_name(f"{store.name}-{number}.arrows")


def unlink_others(store: Path, number: int | None) -> None:
    """Delete the sorted files of *store*, finished or not, but for the one of *number*; raises OSError.

    No other process may have the store open.
    """
    for path in sorted_files(store):
        if number is None or path != path_of(store, number):
            path.unlink()


def sorted_files(store: Path) -> Iterator[Path]:
    """Yield the sorted files of *store*, finished or not."""
    is_one = re.compile(re.escape(store.name) + r"-[0-9]+\.(arrows|new)").fullmatch
    yield from (path for path in sorted(store.parent.iterdir()) if is_one(path.name))


def damaged(path: Path) -> StorageError:
    """Return the error for a damaged file at *path*, with the next step."""
    return StorageError(f"{path} is damaged. Run `uploader changes --forget`; the next run then sends everything.")


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
