"""Keep what runs share of a quota in files, whose locks the kernel frees when a process dies."""

import errno
import fcntl
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from struct import Struct
from typing import Final
from zlib import crc32

from uploader.model import frozen
from uploader.private_files import open_private, trouble

_STATE: Final = Struct("<16sddQQ")
_SUM: Final = Struct("<I")
_SIZE: Final = _STATE.size + _SUM.size
_EXTRAS: Final = Struct("<dd8sd")
_EXTRAS_SIZE: Final = _EXTRAS.size + _SUM.size
"""The size of what follows the state in the file: an older version neither reads nor writes it."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_MILLISECOND: Final = 0.001
_RECOUNT_SECONDS: Final = 1.0
"""Seconds between two looks whether other runs were killed."""

_TRIES: Final = 100


@frozen
class QuotaState:
    """What the file holds: when the bucket is *due* to be empty, how long runs pause, how many requests were granted.

    Times are seconds of this machine's monotonic clock. *joined* counts how often a run joined or left.
    """

    due: float
    paused_until: float = 0.0
    granted: int = 0
    joined: int = 0


@frozen
class QuotaExtras:
    """What the file holds besides: the pause by the wall clock, and the one run that may have a request in flight.

    The pause started *paused_at* and lasts until *paused_until*, both since 1970, so that it outlasts a restart of the
    machine. *owner* has a request in flight, or will have, until *busy_until* (monotonic) at most.
    """

    paused_at: float = 0.0
    paused_until: float = 0.0
    owner: bytes = b""
    busy_until: float = 0.0


class QuotaFile:
    """The state of one quota: some bytes, which no step leaves half written."""

    def __init__(self, path: Path) -> None:
        """Use the file at *path*, which `open` makes if need be."""
        self.path = path
        self.handle = -1
        """Its file descriptor; -1 while it is closed."""
        self._boot = _boot_id()

    def open(self) -> None:
        """Open it; raises StorageError."""
        self.handle = open_private(self.path, os.O_RDWR | os.O_CREAT)

    def close(self) -> None:
        """Close it, if it is open; that frees its lock."""
        if self.handle >= 0:
            os.close(self.handle)
        self.handle = -1

    def lock(self, milliseconds: int) -> bool:
        """Take its lock; return False if another process keeps it for all *milliseconds*."""
        for left in range(milliseconds, -1, -1):
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if left:
                    time.sleep(_MILLISECOND)
            else:
                return True
        return False

    def read(self) -> QuotaState | None:
        """Return the state in the file; None if it is new, torn, of another boot, or makes no sense."""
        data = os.pread(self.handle, _SIZE, 0)
        if len(data) != _SIZE or _SUM.unpack_from(data, _STATE.size)[0] != crc32(data[: _STATE.size]):
            return None
        boot, due, paused_until, granted, joined = _STATE.unpack_from(data)
        if boot != self._boot:
            return None
        return QuotaState(due, paused_until, granted, joined)

    def write(self, state: QuotaState) -> None:
        """Write *state*, as of this boot."""
        data = _STATE.pack(self._boot, state.due, state.paused_until, state.granted, state.joined)
        os.pwrite(self.handle, data + _SUM.pack(crc32(data)), 0)

    def extras(self, latest: float) -> QuotaExtras:
        """Return what follows the state; nothing if it is missing or torn.

        A request that is in flight until later than *latest* is one of another boot, and not returned.
        """
        data = os.pread(self.handle, _EXTRAS_SIZE, _SIZE)
        if len(data) != _EXTRAS_SIZE or _SUM.unpack_from(data, _EXTRAS.size)[0] != crc32(data[: _EXTRAS.size]):
            return QuotaExtras()
        extras = QuotaExtras(*_EXTRAS.unpack_from(data))
        return extras if extras.busy_until <= latest else replace(extras, busy_until=0.0)

    def write_extras(self, extras: QuotaExtras) -> None:
        """Write *extras* behind the state."""
        data = _EXTRAS.pack(extras.paused_at, extras.paused_until, extras.owner, extras.busy_until)
        os.pwrite(self.handle, data + _SUM.pack(crc32(data)), _SIZE)


class QuotaMembers:
    """The runs that share a quota: each has a locked file, which a killed one leaves unlocked."""

    def __init__(self, folder: Path) -> None:
        """Use the files of *folder*; this run joins by `join`."""
        self._folder = folder
        self._path = folder
        self._handle = -1
        self._counted_at = float("-inf")
        self._joined = -1
        self.is_announced = False
        """Whether the quota's file counts that this run has joined."""
        self.token = ""
        """What distinguishes this run from all others."""
        self.count = 1
        """How many runs share the quota, this one included, by the last count."""

    def join(self) -> None:
        """Make this run's own file; raises StorageError."""
        for _ in range(_TRIES):
            # Two containers of one machine may have processes of the same ID.
            self.token = token_hex(4)
            self._path = self._folder / f"run-{os.getpid()}-{self.token}"
            self._handle = open_private(self._path, os.O_RDWR | os.O_CREAT)
            # Another run may just now have taken the new file for a dead run's, and deleted it.
            with suppress(BlockingIOError):
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(self._handle).st_nlink:
                    return
            self.close()
        raise trouble(self._path, OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))

    def leave(self) -> None:
        """Delete this run's own file."""
        with suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Close this run's own file, which then counts as a dead run's."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def recount(self, now: float, joined: int | None = None) -> None:
        """Count the runs that are alive, and delete the files of the others, if that may have changed.

        *joined* is how often a run joined or left; None: that is not known.
        """
        if (joined is None or joined == self._joined) and now - self._counted_at < _RECOUNT_SECONDS:
            return
        self._counted_at, self._joined = now, self._joined if joined is None else joined
        # Where this process may open no more files, the last count stays.
        with suppress(OSError):
            runs = sum(path == self._path or _is_locked(path) for path in self._folder.glob("run-*"))
            self.count = max(1, runs)

    def is_alive(self, token: str) -> bool:
        """Whether the run of *token* is alive."""
        return any(_is_locked(path) for path in self._folder.glob("run-*") if path.name.endswith(token))


def _is_locked(path: Path) -> bool:
    """Whether the process of the member file *path* is alive; the file of a dead one is deleted."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        # Without a free file we can't look: it may be alive.
        return error.errno in {errno.EMFILE, errno.ENFILE}
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        with suppress(OSError):
            path.unlink()
        return False
    finally:
        os.close(handle)


def _boot_id() -> bytes:
    """Return what distinguishes this boot of the machine from all others: its monotonic clock started with it."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))[:16].ljust(16)
    except (OSError, ValueError):
        return b"unknown boot".ljust(16)
