"""Find the rows of the same person, through any chain of shared identity values."""

import os
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self, TypeAlias

from uploader.errors import StorageError
from uploader.model import PERSON_KEY_MARK, Person

if TYPE_CHECKING:
    import polars as pl

RunNumbers: TypeAlias = "array[int] | memoryview[int]"
"""A list of 32-bit numbers, in memory or in a file."""

_PARTS: Final = 256
"""The values are compared in this many parts, by their hashes: of 20 million values, a part has 80,000 (10 MB)."""

_MOST_HASHES: Final = 8 << 20
_MOST_NUMBERS: Final = 32 << 20
"""Hashes and row numbers go to disk beyond this many bytes each: 40 MB together."""

_BATCH: Final = 1 << 10
"""How many rows are hashed together: a third faster than one by one, since all of it is in the CPU's caches."""

_ITEM: Final = 8
_NUMBER: Final = 4


@dataclass(frozen=True, slots=True)
class _Limits:
    """How many bytes of *hashes* and of row *numbers* stay in memory, and how many rows are hashed in one *batch*."""

    hashes: int
    numbers: int
    batch: int


class SamePerson:
    """Which rows belong to the same person, wherever the row is that connects them.

    Every row is added once, in any order; rows are numbered from 1. `unite` then joins the rows that share a value. Of
    each value only a hash of 64 bits is kept, and only until `forget_values`: after that, people are row numbers. Two
    values with the same hash would make two people one; with 20 million values, the chance of that is 1 in 90,000.

    What exceeds the limits on memory goes to a file without a name in *folder*. It is a context manager.

    States: taking rows (`add_row`); united (`unite`: the people are known, the hashes of the values are still there);
    and without values (`forget_values`: only the person of each row is known).
    """

    def __init__(
        self, folder: Path, *, most_hashes: int = _MOST_HASHES, most_numbers: int = _MOST_NUMBERS, batch: int = _BATCH
    ) -> None:
        """Start with no row.

        At most about *most_hashes* bytes of hashes and *most_numbers* bytes of row numbers stay in memory. *batch* rows
        are hashed together.
        """
        self._folder = folder
        self._limits = _Limits(most_hashes, most_numbers, batch)
        self._pending: list[tuple[int, Person]] = []
        self._rows = 0
        self._hash_texts: Callable[[list[str]], Iterable[int]] = _python_hashes
        self._parts = [array("q") for _ in range(_PARTS)]
        self._appends = [part.append for part in self._parts]
        self._places: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]
        self._file: BinaryIO | None = None
        self._size = 0
        self._repeating: list[int] = []
        # 0: the row is alone; positive: a row of the same person; negative: how many rows its person has.
        self._parents: RunNumbers = array("i")

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, which deletes it."""
        self.forget_values()

    @property
    def rows(self) -> int:
        """How many rows were added, which is the number of the last one."""
        return self._rows

    def add_row(self, person: Person) -> None:
        """Add the next row, which is about *person*; raises StorageError."""
        self._rows += 1
        self._pending.append((self._rows, person))
        if len(self._pending) >= self._limits.batch:
            self._hash_pending()

    def add_people(self, people: Sequence[Person]) -> None:
        """Add the next rows, each about one of *people*; raises StorageError."""
        self._pending.extend(enumerate(people, self._rows + 1))
        self._rows += len(people)
        if len(self._pending) >= self._limits.batch:
            self._hash_pending()

    def add_numbered(self, row: int, person: Person) -> None:
        """Add the row with the number *row*, which is about *person*; raises StorageError."""
        self._pending.append((row, person))
        self._rows = max(self._rows, row)
        if len(self._pending) >= self._limits.batch:
            self._hash_pending()

    def add_columns(self, rows: Sequence[int], identity: "pl.DataFrame") -> None:
        """Add the *rows* with these numbers, whose values are in *identity*, a column a field; raises StorageError."""
        from uploader.mapping.identity_hashes import hashes_of_column, hashes_of_texts  # noqa: PLC0415 polars starts slowly

        if not self._rows:
            # They are several times faster. What was hashed otherwise before can't be compared with them.
            self._hash_texts = hashes_of_texts
        is_by_polars = self._hash_texts is hashes_of_texts
        for column in identity.iter_columns():
            named, kept = f"{column.name}=" + column, rows
            if column.null_count():
                kept = [row for row, value in zip(rows, column.is_not_null(), strict=True) if value]
                named = named.drop_nulls()
            self._add_hashes(kept, hashes_of_column(named) if is_by_polars else self._hash_texts(named.to_list()))
        self._rows = max(self._rows, *rows, 0)
        self._spill_if_large()

    def unite(self) -> None:
        """Join the rows that share a value; raises StorageError."""
        self._hash_pending()
        for part in range(_PARTS):
            hashes, rows = self._hashes_of(part)
            if len(set(hashes)) == len(hashes):
                continue
            if not self._repeating:
                self._parents = self.numbers()
            self._repeating.append(part)
            first: dict[int, int] = {}
            for hashed, row in zip(hashes, rows, strict=True):
                before = first.setdefault(hashed, row)
                if before != row:
                    self._unite(before, row)

    def numbers(self) -> RunNumbers:
        """Return a list of zeros with an index for each row number, and for 0; raises StorageError."""
        size = _NUMBER * (self.rows + 1)
        if size <= self._limits.numbers:
            return array("i", bytes(size))
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                # Space is reserved at once: a disk that is full at a later write would kill the process.
                os.posix_fallocate(file.fileno(), 0, size)
                return memoryview(mmap(file.fileno(), size)).cast("i")
        except OSError as error:
            raise self._trouble(str(error.strerror)) from None

    def values(self, *, repeating: bool = False) -> Iterator[tuple[int, int]]:
        """Yield for each value one of its rows, and how many rows have it; raises StorageError.

        With *repeating*, values of one row may be left out.
        """
        for part in self._repeating if repeating else range(_PARTS):
            hashes, rows = self._hashes_of(part)
            row_of = dict(zip(hashes, rows, strict=True))
            for hashed, count in Counter(hashes).items():
                yield row_of[hashed], count

    def forget_values(self) -> None:
        """Free what only `unite` and `values` need."""
        for part in self._parts:
            del part[:]
        self._places = [[] for _ in range(_PARTS)]
        if self._file is not None:
            self._file.close()
            self._file = None

    def keep_indirect(self) -> None:
        """Keep only the people whose rows do not all share one value, and free the values; raises StorageError.

        A value that all rows of a person have connects them without a person key.
        """
        for row, count in self.values(repeating=True):
            root = self.root(row)
            if count > 1 and -self._parents[root] == count:
                self._parents[root] = 0
        self.forget_values()
        if min(self._parents, default=0) == 0:
            self._parents = array("i")

    @property
    def has_repeats(self) -> bool:
        """Whether some value may be in more than one row."""
        return bool(self._repeating)

    @property
    def is_empty(self) -> bool:
        """Whether no two rows belong to the same person."""
        return not len(self._parents)

    def root(self, row: int) -> int:
        """Return the row that represents all rows of the person of *row*; 0 where that row is alone."""
        parents = self._parents
        if not len(parents):
            return 0
        while (parent := parents[row]) > 0:
            above = parents[parent]
            if above > 0:
                parents[row] = above
            row = parent
        return row if parent else 0

    def rows_with_keys(self, first: int, last: int) -> list[int]:
        """Return which of the rows from *first* to *last* are not alone; the same as by `root`, and faster."""
        parents = self._parents
        if not len(parents):
            return []
        return [row for row, parent in enumerate(parents[first : last + 1], first) if parent and self.root(row)]

    def person_key(self, row: int) -> str | None:
        """Return the key that all rows of the person of *row* share; None where *row* is alone."""
        root = self.root(row)
        return f"{PERSON_KEY_MARK}{root}" if root else None

    def rows_with(self, person_key: str) -> int:
        """Return how many rows have *person_key*."""
        return -self._parents[int(person_key.removeprefix(PERSON_KEY_MARK))]

    def _hash_pending(self) -> None:
        if self._hash_texts is _python_hashes:
            # Without a call for each batch of values: this is a third of what a row costs here.
            appends = self._appends
            for row, person in self._pending:
                for value in person:
                    hashed = hash(value)
                    append = appends[hashed & (_PARTS - 1)]
                    append(hashed)
                    append(row)
        else:
            rows = [row for row, person in self._pending for _ in person]
            self._add_hashes(rows, self._hash_texts([value for _, person in self._pending for value in person]))
        self._pending.clear()
        self._spill_if_large()

    def _add_hashes(self, rows: Iterable[int], hashes: Iterable[int]) -> None:
        appends = self._appends
        for row, hashed in zip(rows, hashes, strict=True):
            append = appends[hashed & (_PARTS - 1)]
            append(hashed)
            append(row)

    def _unite(self, one: int, other: int) -> None:
        """Join the people of two rows."""
        parents = self._parents
        one, other = self.root(one) or one, self.root(other) or other
        if one == other:
            return
        size, other_size = parents[one] or -1, parents[other] or -1
        if other_size < size:
            one, other = other, one
        parents[one] = size + other_size
        parents[other] = one

    def _hashes_of(self, part: int) -> tuple[Sequence[int], Sequence[int]]:
        """Return the hashes of *part*, and the row of each."""
        found = array("q")
        for place, size in self._places[part]:
            found.frombytes(self._read(place, size))
        found += self._parts[part]
        return found[::2], found[1::2]

    def _spill_if_large(self) -> None:
        """Move the hashes to disk, if they exceed *most_hashes*."""
        if _ITEM * sum(map(len, self._parts)) <= self._limits.hashes:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 — forget_values closes it
            for places, part in zip(self._places, self._parts, strict=True):
                size = _ITEM * len(part)
                if os.pwrite(self._file.fileno(), part, self._size) != size:
                    raise self._trouble("the disk is full")
                places.append((self._size, size))
                self._size += size
                del part[:]
        except OSError as error:
            raise self._trouble(str(error.strerror)) from None

    def _read(self, place: int, size: int) -> bytes:
        assert self._file is not None  # noqa: S101 — hashes were spilled to it
        try:
            return os.pread(self._file.fileno(), size, place)
        except OSError as error:
            raise self._trouble(str(error.strerror)) from None

    def _trouble(self, why: str) -> StorageError:
        return StorageError(
            f"{self._folder}: which rows are one person's can't be kept there ({why}). Make room there, then run again."
        )


def _python_hashes(values: list[str]) -> Iterable[int]:
    return map(hash, values)
