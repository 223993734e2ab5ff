"""Keep rows on disk until the last row of their person comes."""

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
"""What stands before each row: the place of its group's row before it (-1: there is none), and its length in bytes."""

_NONE: Final = -1


class SpilledRows:
    """The requests of rows that wait, each for the last row of its group.

    Of a group only the place of one is in memory. They lie in a file without a name, of mode 0600, which is gone when
    the process ends, however that ends. It is a context manager.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the file in *folder*; nothing is made yet."""
        self._folder = folder
        self._file: BinaryIO | None = None
        self._size = 0
        self._latest: dict[int, int] = {}

    def __enter__(self) -> Self:
        """Lend the room."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the file, and of all that is in it."""
        if self._file is not None:
            self._file.close()

    def keep(self, group: int, request: Request) -> None:
        """Keep *request*, which belongs to *group*; raises StorageError."""
        data = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        block = _HEAD.pack(self._latest.get(group, _NONE), len(data)) + data
        try:
            if self._file is None:
                # Unbuffered: a row is written once and read once.
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 — the room closes it
            written = os.pwrite(self._file.fileno(), block, self._size)
        except OSError as error:
            raise self._trouble(str(error.strerror)) from None
        if written != len(block):
            raise self._trouble("the disk is full")
        self._latest[group] = self._size
        self._size += len(block)

    def take(self, group: int) -> list[Request]:
        """Return what is kept of *group*, in the order in which it came, and let go of it; raises StorageError."""
        taken: list[Request] = []
        place = self._latest.pop(group, _NONE)
        while place != _NONE:
            assert self._file is not None  # noqa: S101 — something is kept in it
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
        """Return the groups of which something is kept."""
        return list(self._latest)

    def _trouble(self, why: str) -> StorageError:
        return StorageError(
            f"{self._folder}: the rows that `coalesce` merges can't be kept there ({why}). "
            "Make room there, then run again to resume."
        )
