"""Number the runs of a state folder, so that their order does not depend on a clock."""

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from uploader.errors import LockedError
from uploader.private_files import open_private, private_folder, sync_folder, trouble, write_private

_PATIENCE_SECONDS: Final = 30.0
"""How long another process may hold the lock while it stores and syncs a number."""

_MOMENT_SECONDS: Final = 0.01
_MOST_BYTES: Final = 1024
_ID: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LastNumber:
    """The ID of a state folder (eight hex digits), and the greatest number that it has given to a run."""

    state: str
    last: int


class RunNumbers:
    """The run numbers in the folder *numbers* of a state folder: each is used once, and a later run has a greater one.

    A small file holds the greatest number. It is replaced as a whole and synced before a number is used, under a lock
    that the kernel frees when its process ends.
    """

    def __init__(self, state: Path, *, recover: Callable[[], LastNumber | None]) -> None:
        """Use the state folder *state*; *recover* reads the number from its runs if the file is lost or damaged."""
        self._folder = state / "numbers"
        self._path = self._folder / "last"
        self._recover = recover

    def last(self) -> int:
        """Return the greatest number that was given, 0 if none was; raises StorageError, LockedError."""
        last_number = self._read() or self._recover()
        return 0 if last_number is None else last_number.last

    def take(self, count: int, *, above: int = 0) -> range:
        """Return the next *count* numbers, all greater than *above*; no other run gets them.

        Raises:
            StorageError: they can't be stored, so they must not be used.
            LockedError: another process keeps the file locked.
        """
        with self._locked():
            last_number = self._read_or_recover()
            first = max(last_number.last, above) + 1
            self._write(LastNumber(last_number.state, first + count - 1))
        return range(first, first + count)

    def state_id(self) -> str:
        """Return the ID of the state folder, created if it has none; raises StorageError, LockedError."""
        last_number = self._read()
        if last_number is None:
            with self._locked():
                last_number = self._read_or_recover()
                self._write(last_number)
        return last_number.state

    def _read_or_recover(self) -> LastNumber:
        return self._read() or self._recover() or LastNumber(os.urandom(4).hex(), 0)

    def _read(self) -> LastNumber | None:
        """Return the content of the file; None if it is lost or damaged."""
        if not os.path.lexists(self._path):
            return None
        handle = open_private(self._path, os.O_RDONLY)
        try:
            return parse_last_number(os.pread(handle, _MOST_BYTES, 0))
        except OSError as error:
            raise trouble(self._path, error) from None
        finally:
            os.close(handle)

    def _write(self, last_number: LastNumber) -> None:
        write_private(self._path, [last_number_text(last_number)])
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
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up_at:
                    raise LockedError(
                        f"{self._folder} is locked by another run, which may be stopped. Nothing was sent. "
                        "Continue it (kill -CONT) or end it, then run again."
                    ) from None
                time.sleep(_MOMENT_SECONDS)
            except OSError as error:
                raise trouble(self._folder, error) from None
            else:
                return


def last_number_text(last_number: LastNumber) -> bytes:
    """Return the content of the file for *last_number*."""
    return json.dumps({"state": last_number.state, "last": last_number.last}).encode() + b"\n"


def parse_last_number(content: bytes) -> LastNumber | None:
    """Return the number in the file's *content*; None if it is damaged."""
    try:
        facts = json.loads(content)
        last_number = LastNumber(facts["state"], facts["last"])
        is_sane = _ID.fullmatch(last_number.state) is not None and last_number.last >= 0
    except (ValueError, LookupError, TypeError):
        return None
    return last_number if is_sane and content == last_number_text(last_number) else None
