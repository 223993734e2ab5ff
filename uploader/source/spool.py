"""Keep what can't be read twice in private temporary files."""

import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from uploader.errors import InputError, StorageError

_BLOCK = 1024 * 1024
_MODE = 0o600


class Spool:
    """Files of mode 0600 in one folder, each deleted when *stack* closes, however that comes."""

    def __init__(self, folder: Path | None, stack: ExitStack) -> None:
        """Keep files in *folder*; None is the system's own for such files."""
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self._stack = stack

    def keep(self, blocks: Iterable[bytes], label: str) -> Path:
        """Return a new file that holds *blocks*, of what messages call *label*; raises StorageError if it can't."""
        path = self._folder / f"uploader-{secrets.token_hex(16)}"
        # A signal may end the process as soon as the file is there.
        self._stack.callback(path.unlink, missing_ok=True)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as copy:
                copy.writelines(blocks)
        except OSError as error:
            raise StorageError(
                f"{label} can't be kept in {self._folder}: {error.strerror}. Make room there, or name a file instead."
            ) from error
        return path

    def handed_over(self) -> ExitStack:
        """Return the stack that deletes the files from now on."""
        return self._stack.pop_all()


def blocks_of(pipe: BinaryIO, label: str) -> Iterator[bytes]:
    """Yield all that comes out of *pipe*, which messages call *label*; raises InputError when it breaks."""
    while True:
        try:
            block = pipe.read(_BLOCK)
        except OSError as error:
            raise InputError(f"{label} can't be read: {error.strerror}. Name a file instead.") from error
        if not block:
            return
        yield block
