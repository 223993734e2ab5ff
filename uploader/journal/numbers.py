"""Number the runs of a state folder, so that the later one is known without a clock."""

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from uploader.errors import LockedError
from uploader.files import open_private, private_folder, sync_folder, trouble

_PATIENCE_SECONDS: Final = 30.0
"""So long another process may take to note a number: it syncs the file meanwhile."""

_MOMENT_SECONDS: Final = 0.01
_MOST_BYTES: Final = 1024
_ID: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Known:
    """The ID of a state folder (eight hex digits), and the greatest number that it has given to a run."""

    state: str
    last: int


class Numbers:
    """The run numbers in the folder *numbers* of a state folder: each is given once, and the later run has the greater.

    A small file has the greatest one. It is replaced as a whole and synced before a number is used, under a lock that
    the kernel frees with its process.
    """

    def __init__(self, state: Path, *, found: Callable[[], Known | None]) -> None:
        """Use the state folder *state*; *found* tells what its runs know, where the file is lost or damaged."""
        self._folder = state / "numbers"
        self._path = self._folder / "last"
        self._found = found

    def last(self) -> int:
        """Return the greatest number that was given, 0 if none was; raises StorageError, LockedError."""
        known = self._read() or self._found()
        return 0 if known is None else known.last

    def take(self, count: int, *, above: int = 0) -> range:
        """Return the next *count* numbers, in their order, which are greater than *above*; nobody else gets them.

        Raises:
            StorageError: they can't be noted, so that they may not be used.
            LockedError: another process keeps the file locked.
        """
        with self._locked():
            known = self._known()
            first = max(known.last, above) + 1
            self._write(Known(known.state, first + count - 1))
        return range(first, first + count)

    def state_id(self) -> str:
        """Return the ID of the state folder, made if need be; raises StorageError, LockedError."""
        known = self._read()
        if known is None:
            with self._locked():
                known = self._known()
                self._write(known)
        return known.state

    def _known(self) -> Known:
        return self._read() or self._found() or Known(os.urandom(4).hex(), 0)

    def _read(self) -> Known | None:
        """Return what the file says; None where it is lost or damaged."""
        if not os.path.lexists(self._path):
            return None
        handle = open_private(self._path, os.O_RDONLY)
        try:
            return known_of(os.pread(handle, _MOST_BYTES, 0))
        except OSError as error:
            raise trouble(self._path, error) from None
        finally:
            os.close(handle)

    def _write(self, known: Known) -> None:
        beside = self._path.with_suffix(".new")
        handle = open_private(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(spell_known(known))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise trouble(self._path, error) from None
        sync_folder(self._folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        private_folder(self._folder)
        handle = open_private(self._folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            self._wait_for(handle)
            yield
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        patience = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > patience:
                    raise LockedError(
                        f"{self._folder} is locked by another run, which may be stopped. Nothing was sent. "
                        "Let it go on or end it, then run again."
                    ) from None
                time.sleep(_MOMENT_SECONDS)
            except OSError as error:
                raise trouble(self._folder, error) from None
            else:
                return


def spell_known(known: Known) -> bytes:
    """Return *known* as the file has it."""
    return json.dumps({"state": known.state, "last": known.last}).encode() + b"\n"


def known_of(content: bytes) -> Known | None:
    """Return what *content* of the file says; None if it is damaged."""
    try:
        facts = json.loads(content)
        known = Known(facts["state"], facts["last"])
        is_sane = _ID.fullmatch(known.state) is not None and known.last >= 0
    except (ValueError, LookupError, TypeError):
        return None
    return known if is_sane and content == spell_known(known) else None
