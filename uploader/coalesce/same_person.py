"""Find the rows that are one person's, through whatever chain of shared identity values."""

import os
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from mmap import mmap
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, TypeAlias

from uploader.errors import StorageError
from uploader.model import PERSON_KEY_MARK, Person

RunNumbers: TypeAlias = "array[int] | memoryview[int]"
"""A list of numbers of 32 bits, in memory or in a file."""

_PARTS: Final = 256
"""Values are looked at in so many parts, by their hashes: of 20 million values, a part has 80,000, for 10 MB."""

_MOST_HASHES: Final = 8 << 20
_MOST_NUMBERS: Final = 32 << 20
"""What is noted, and the numbers of the rows, go to the disk beyond so many bytes: 40 MB together."""

_BATCH: Final = 1 << 10
"""So many rows are looked at together: that takes a third less time than one by one, as all of it is in the caches."""

_ITEM: Final = 8
_NUMBER: Final = 4


class SamePerson:
    """Which rows are one person's, wherever the row stands that joins them.

    Every row is noted once; the numbers of the rows count them, from 1. `unite` then unites the rows that share a
    value. Of a value a hash of 64 bits is kept until then, afterwards nothing: people are told by the numbers of their
    rows. Two values with one hash, one chance in 90,000 with 20 million values, would make two people one.

    A file without a name in *folder* takes what is too much for the memory. It is a context manager.

    States: taking rows (`add_row`); united (`unite`: who is one person is known, and the hashes of the values are still
    there); and without values (`forget_values`), which only tells whose row a row is.
    """

    def __init__(
        self, folder: Path, *, most_hashes: int = _MOST_HASHES, most_numbers: int = _MOST_NUMBERS, batch: int = _BATCH
    ) -> None:
        """Begin with no row.

        About *most_hashes* bytes of what is noted stay in memory, and *most_numbers* bytes of what is known of the
        rows. *batch* rows are looked at together.
        """
        self._folder = folder
        self._most_hashes = most_hashes
        self._most_numbers = most_numbers
        self._batch = batch
        self._pending: list[Person] = []
        self._hashed_rows = 0
        self._parts = [array("q") for _ in range(_PARTS)]
        self._appends = [part.append for part in self._parts]
        self._places: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]
        self._file: BinaryIO | None = None
        self._size = 0
        self._repeating: list[int] = []
        # 0: the row is alone; positive: a row of the same person; negative: how many rows its person has.
        self._parents: RunNumbers = array("i")

    def __enter__(self) -> Self:
        """Lend the ties."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the file."""
        self.forget_values()

    @property
    def rows(self) -> int:
        """How many rows were noted, and so the number of the last one."""
        return self._hashed_rows + len(self._pending)

    def add_row(self, person: Person) -> None:
        """Take the next row, which is about *person*; raises StorageError."""
        self._pending.append(person)
        if len(self._pending) >= self._batch:
            self._hash_pending()

    def unite(self) -> None:
        """Unite the rows that share a value; raises StorageError."""
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
        """Return a nought for each row, and one for the number 0; raises StorageError."""
        size = _NUMBER * (self.rows + 1)
        if size <= self._most_numbers:
            return array("i", bytes(size))
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                # Room is taken at once: a disk that turns out to be full later would end the process.
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
        """Let go of what only `unite` and `values` need."""
        for part in self._parts:
            del part[:]
        self._places = [[] for _ in range(_PARTS)]
        if self._file is not None:
            self._file.close()
            self._file = None

    def keep_indirect(self) -> None:
        """Keep only people with two rows that need not share a value, and let go of the values; raises StorageError.

        Where one value stands in all rows of a person, it alone holds them together.
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
        """Whether some value may stand in more than one row."""
        return bool(self._repeating)

    @property
    def is_empty(self) -> bool:
        """Whether no row has another one of its person."""
        return not len(self._parents)

    def root(self, row: int) -> int:
        """Return a row that stands for all rows of the person of *row*; it is 0 where that row is alone."""
        parents = self._parents
        if not len(parents):
            return 0
        while (parent := parents[row]) > 0:
            above = parents[parent]
            if above > 0:
                parents[row] = above
            row = parent
        return row if parent else 0

    def person_key(self, row: int) -> str | None:
        """Return what rows of the person of *row* have in common beside their values; None where *row* is alone."""
        root = self.root(row)
        return f"{PERSON_KEY_MARK}{root}" if root else None

    def rows_with(self, person_key: str) -> int:
        """Return how many rows have *person_key*."""
        return -self._parents[int(person_key.removeprefix(PERSON_KEY_MARK))]

    def _hash_pending(self) -> None:
        appends = self._appends
        for row, person in enumerate(self._pending, start=self._hashed_rows + 1):
            for value in person:
                hashed = hash(value)
                append = appends[hashed & (_PARTS - 1)]
                append(hashed)
                append(row)
        self._hashed_rows += len(self._pending)
        self._pending.clear()
        self._spill_if_large()

    def _unite(self, one: int, other: int) -> None:
        """Make one person of those of two rows."""
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
        """Return the hashes of a part, and the row of each."""
        found = array("q")
        for place, size in self._places[part]:
            found.frombytes(self._read(place, size))
        found += self._parts[part]
        return found[::2], found[1::2]

    def _spill_if_large(self) -> None:
        """Move to the disk what was noted, if it is too much for the memory."""
        if _ITEM * sum(map(len, self._parts)) <= self._most_hashes:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 — closed when it is not needed
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
        assert self._file is not None  # noqa: S101 — something is noted in it
        try:
            return os.pread(self._file.fileno(), size, place)
        except OSError as error:
            raise self._trouble(str(error.strerror)) from None

    def _trouble(self, why: str) -> StorageError:
        return StorageError(
            f"{self._folder}: which rows are one person's can't be kept there ({why}). Make room there, then run again."
        )
