"""Keep where all runs of this machine stand in the quota of one service, so that together they are one sender."""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from struct import Struct
from typing import Final, Self
from zlib import crc32

from uploader.errors import StorageError
from uploader.journal.folder import open_private, private_folder, trouble
from uploader.model import fact
from uploader.pacing import reserve

_STATE: Final = Struct("<16sddQQ")
_SUM: Final = Struct("<I")
_SIZE: Final = _STATE.size + _SUM.size
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_LOOK_SECONDS: Final = 1.0
"""So often it is looked whether other runs were killed."""


@fact
class Standing:
    """What the file says: when the bucket is *due* to be empty, until when nobody may go, how many went.

    Times are seconds of this machine's monotonic clock. *joined* counts how often a run came or went.
    """

    due: float
    held_until: float = 0.0
    granted: int = 0
    joined: int = 0


@fact
class Place:
    """How many places were *taken*, and how many seconds to wait: until they come, or before asking again."""

    wait: float
    taken: int


_MILLISECOND: Final = 0.001
_PATIENCE: Final = 5
_PATIENCE_JOINING: Final = 1_000
"""So many milliseconds to wait for a process that has the file: it lets go within some microseconds, unless stopped."""

_BUSY: Final = Place(_MILLISECOND, 0)


class Quota:
    """The quota of one service as all runs of this machine share it: a few bytes in a file, under a lock.

    The kernel frees the lock of a process that dies, and no step leaves the file half written, so a killed run stops
    nobody. Another run's place is free again as soon as its process is gone. It is a context manager.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float], window: float) -> None:
        """Use *folder*, made if need be; *clock* is the machine's monotonic one, *window* the service's, in seconds."""
        self._folder = folder
        self._path = folder / "standing"
        self._clock = clock
        self._window = window
        self._boot = _boot()
        self._handle = -1
        self._member = -1
        self._member_path = folder
        self._looked_at = float("-inf")
        self._joined = -1
        self._runs = 1
        self._granted = 0
        self._wants_held = float("-inf")

    def __enter__(self) -> Self:
        """Join the runs that share the quota; raises StorageError."""
        private_folder(self._folder)
        self._handle = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            # Two containers of one machine may have processes of the same number.
            self._member_path = self._folder / f"run-{os.getpid()}-{token_hex(4)}"
            # Under the lock of all nobody takes the new file for a dead run's.
            self._seize(_PATIENCE_JOINING)
            try:
                self._member = open_private(self._member_path, os.O_RDWR | os.O_CREAT)
                fcntl.flock(self._member, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._note_joining()
            finally:
                fcntl.flock(self._handle, fcntl.LOCK_UN)
        except StorageError:
            self._close()
            raise
        except OSError as error:
            self._close()
            raise trouble(self._path, error) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Leave; what was used stays known."""
        with suppress(OSError):
            self._member_path.unlink()
        with suppress(OSError):
            if self._seize(_PATIENCE):
                self._note_joining()
        self._close()

    @property
    def runs(self) -> int:
        """How many runs share the quota, this one included, when it was last looked."""
        return self._runs

    @property
    def granted(self) -> int:
        """How many requests of all runs went so far; it never falls."""
        if self._runs > 1:
            # What is wrong with the file is told when it is next needed.
            with suppress(OSError):
                known = self._read()
                self._granted = max(self._granted, known.granted if known is not None else 0)
        return self._granted

    def take(self, *, rate: float, burst: int, most: int = 1) -> Place:
        """Take the next place of a bucket that lets *burst* go at once, and *rate* a second after that.

        Where several may go at once, and no other run has a part in them, take up to *most* of them. While a hold
        lasts, or another run has the file just now, no place is taken: ask again after its wait.

        Raises:
            StorageError: the file can't be read or written.
        """
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _BUSY
        except OSError as error:
            raise trouble(self._path, error) from None
        try:
            return self._take(rate, burst, most)
        except OSError as error:
            raise trouble(self._path, error) from None
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _take(self, rate: float, burst: int, most: int) -> Place:
        now = self._clock()
        credit = (burst - 1) / rate
        known = self._read()
        if known is None or known.due - now > credit + 2 * self._window:
            # Nobody knows what was used a moment ago: no burst, then.
            known = Standing(now + credit, granted=self._granted)
        if known.joined != self._joined or now - self._looked_at >= _LOOK_SECONDS:
            self._look(now, known)
        self._granted = max(self._granted, known.granted)
        known = self._with_our_hold(known)
        if known.held_until > now:
            return Place(known.held_until - now, 0)
        most = most if self._runs == 1 else 1
        due, wait, places = reserve(known.due, now=now, rate=rate, burst=burst, most=most)
        self._granted += places
        self._write(Standing(due, known.held_until, self._granted, known.joined))
        return Place(wait, places)

    def hold(self, until: float) -> None:
        """Let no run go before *until*; raises StorageError."""
        self._wants_held = max(self._wants_held, until)
        try:
            if not self._seize(_PATIENCE):
                # Whoever has the file was stopped with it: our next request tells the others.
                return
            try:
                self._write(self._with_our_hold(self._read() or Standing(self._clock(), granted=self._granted)))
            finally:
                fcntl.flock(self._handle, fcntl.LOCK_UN)
        except OSError as error:
            raise trouble(self._path, error) from None

    def _with_our_hold(self, known: Standing) -> Standing:
        return known if known.held_until >= self._wants_held else replace(known, held_until=self._wants_held)

    def _seize(self, milliseconds: int) -> bool:
        """Take the lock of the file; return False when another process has it all the while."""
        for left in range(milliseconds, -1, -1):
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if left:
                    time.sleep(_MILLISECOND)
            else:
                return True
        return False

    def _read(self) -> Standing | None:
        """Return what the file says; None if it is new, torn, of another boot, or makes no sense."""
        data = os.pread(self._handle, _SIZE, 0)
        if len(data) != _SIZE or _SUM.unpack_from(data, _STATE.size)[0] != crc32(data[: _STATE.size]):
            return None
        boot, due, held_until, granted, joined = _STATE.unpack_from(data)
        if boot != self._boot:
            return None
        return Standing(due, held_until, granted, joined)

    def _write(self, standing: Standing) -> None:
        data = _STATE.pack(self._boot, standing.due, standing.held_until, standing.granted, standing.joined)
        os.pwrite(self._handle, data + _SUM.pack(crc32(data)), 0)

    def _note_joining(self) -> None:
        known = self._read()
        if known is not None:
            self._write(Standing(known.due, known.held_until, known.granted, known.joined + 1))

    def _look(self, now: float, known: Standing) -> None:
        """Count the runs that are alive, and clear away what the others have left."""
        self._looked_at, self._joined = now, known.joined
        # Where this process has no file left to look with, what was seen last holds.
        with suppress(OSError):
            runs = sum(path == self._member_path or _is_held(path) for path in self._folder.glob("run-*"))
            self._runs = max(1, runs)

    def _close(self) -> None:
        for handle in (self._handle, self._member):
            if handle >= 0:
                os.close(handle)
        self._handle = self._member = -1


def _is_held(path: Path) -> bool:
    """Whether the process of the member file *path* lives; the file of a dead one is deleted."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        # Who can't look does not know: it may live.
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


def _boot() -> bytes:
    """Return what tells this boot of the machine from all others: its monotonic clock began with it."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))[:16].ljust(16)
    except (OSError, ValueError):
        return b"unknown boot".ljust(16)
