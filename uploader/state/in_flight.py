"""Store which rows are in flight, so that it is known after a crash."""

import errno
import os
from pathlib import Path
from struct import Struct
from typing import Final, Self

from uploader.private_files import open_private, trouble

_NUMBER: Final = Struct("<Q")


class InFlightFile:
    """A small file with one slot for each row in flight; a row's number is written there before its first request.

    A slot is used again for a later row. The journal says which rows have an outcome. It is a context manager.
    """

    def __init__(self, path: Path) -> None:
        """Use the file at *path*; raises StorageError."""
        self._path = path
        self._handle = open_private(path, os.O_RDWR | os.O_CREAT)
        self._free: list[int] = []
        self._slots: dict[int, int] = {}

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._handle)

    def rows(self) -> set[int]:
        """Return the rows that earlier sessions of the run have marked; raises StorageError."""
        try:
            data = os.pread(self._handle, os.fstat(self._handle).st_size, 0)
        except OSError as error:
            raise trouble(self._path, error) from None
        whole = data[: len(data) - len(data) % _NUMBER.size]
        return {number for (number,) in _NUMBER.iter_unpack(whole) if number}

    def clear_all(self) -> None:
        """Delete the rows of earlier sessions, which the journal has by now; raises StorageError."""
        try:
            os.ftruncate(self._handle, 0)
        except OSError as error:
            raise trouble(self._path, error) from None

    def __contains__(self, row: int) -> bool:
        """Whether *row* has a slot."""
        return row in self._slots

    def mark(self, row: int) -> None:
        """Write *row* to a free slot, unless it has one; raises StorageError."""
        slots = self._slots
        if row not in slots:
            slots[row] = slot = self._free.pop() if self._free else len(slots)
            self._put(slot, row)

    def release(self, row: int) -> None:
        """Free the slot of *row*, if it has one: the journal has its outcome."""
        slot = self._slots.pop(row, None)
        if slot is not None:
            self._free.append(slot)

    def clear(self, row: int) -> None:
        """Empty the slot of *row*, which is not in flight and has no outcome yet; raises StorageError."""
        slot = self._slots.get(row)
        if slot is not None:
            self._put(slot, 0)
            self.release(row)

    def _put(self, slot: int, number: int) -> None:
        data = _NUMBER.pack(number)
        try:
            written = os.pwrite(self._handle, data, slot * _NUMBER.size)
        except OSError as error:
            raise trouble(self._path, error) from None
        if written != len(data):
            raise trouble(self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
