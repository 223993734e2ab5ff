"""Keep rows on disk until the last row of their person is read."""

import os
import pickle
import tempfile
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import BinaryIO, Final, Self

from uploader.errors import StorageError
from uploader.model import Request

_HEAD: Final = Struct("<qQ")
"""The head of each row: the offset of the previous row of its group (-1: none), and the length in bytes."""

_NONE: Final = -1


class SpilledRows:
    """The requests of rows that wait for the last row of their group.

    They are in a file without a name, of mode 0600, which the system deletes when the process ends, even by a crash.
    Of each group only the offset of the latest row is in memory. It is a context manager.
    """

    def __init__(self, folder: Path) -> None:
        """Use *folder*; the file is made with the first row."""
        self._folder = folder
        self._file: BinaryIO | None = None
        self._size = 0
        self._latest: dict[int, int] = {}

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, which deletes it."""
        if self._file is not None:
            self._file.close()

    def keep(self, group: int, request: Request) -> None:
        """Keep *request*, which belongs to *group*; raises StorageError."""
        data = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        block = _HEAD.pack(self._latest.get(group, _NONE), len(data)) + data
        try:
            if self._file is None:
                # Unbuffered: a row is written once and read once.
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 — closed on exit
            written = os.pwrite(self._file.fileno(), block, self._size)
        except OSError as error:
            raise self._trouble(str(error.strerror)) from None
        if written != len(block):
            raise self._trouble("the disk is full")
        self._latest[group] = self._size
        self._size += len(block)

    def take(self, group: int) -> list[Request]:
        """Remove and return the requests of *group*, in the order in which they were kept; raises StorageError."""
        taken: list[Request] = []
        place = self._latest.pop(group, _NONE)
        while place != _NONE:
            assert self._file is not None  # noqa: S101 — the group has a row in it
            try:
                before, length = _HEAD.unpack(os.pread(self._file.fileno(), _HEAD.size, place))
                data = os.pread(self._file.fileno(), length, place + _HEAD.size)
            except OSError as error:
                raise self._trouble(str(error.strerror)) from None
            taken.append(pickle.loads(data))  # noqa: S301 — this process wrote it
            place = before
        taken.reverse()
        return taken

    def groups(self) -> list[int]:
        """Return the groups that have rows here."""
        return list(self._latest)

    def _trouble(self, why: str) -> StorageError:
        return StorageError(
            f"{self._folder}: the rows that `coalesce` merges can't be kept there ({why}). "
            "Make room there, then run again to continue."
        )
