"""Share one service's quota among all runs of this machine, so that together they are one client."""

import errno
import fcntl
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from struct import Struct
from typing import Final, Self
from zlib import crc32

from uploader.clock import Clock
from uploader.errors import StorageError
from uploader.model import frozen
from uploader.private_files import open_private, private_folder, trouble
from uploader.rate.token_bucket import reserve

_STATE: Final = Struct("<16sddQQ")
_SUM: Final = Struct("<I")
_SIZE: Final = _STATE.size + _SUM.size
_EXTRAS: Final = Struct("<dd8sd")
_EXTRAS_SIZE: Final = _EXTRAS.size + _SUM.size
"""The size of what follows the state in the file: an older version neither reads nor writes it."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_RECOUNT_SECONDS: Final = 1.0
"""Seconds between two looks whether other runs were killed."""

_STALL_SECONDS: Final = 1.0
"""A process that has kept the lock for this long is taken to be suspended."""


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


@frozen
class QuotaGrant:
    """How many places were *taken*, and how many seconds to wait: until they come, or before asking again."""

    wait: float
    taken: int


_MILLISECOND: Final = 0.001
_PATIENCE: Final = 5
"""Milliseconds to wait for the lock: a process holds it for some microseconds, unless it is suspended."""

_TRIES: Final = 100
_BUSY: Final = QuotaGrant(_MILLISECOND, 0)
_ASK_SOON: Final = QuotaGrant(0.05, 0)
"""Ask again soon: another run's request is in flight, or no part of the quota is safe."""


class SharedQuota:
    """The quota of one service, shared by all runs of this machine: a few bytes in a file, under a lock.

    The kernel frees the lock of a process that dies, and no step leaves the file half written. So a killed run blocks
    no other, and its part is free again as soon as its process is gone. It is a context manager.

    States: sharing; busy, where another process has the lock just now; and stalled, where that process is suspended,
    and this run uses only its own part.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        window: float,
        alone: float = 0.0,
        rest: float = 0.0,
    ) -> None:
        """Use *folder*, made if need be; *clock* is the machine's, and *window* the service's in seconds.

        The wall clock makes a pause outlast a restart of the machine. If *alone* is not 0, all runs together have one
        request in flight, for that many seconds at most; the next is sent *rest* seconds after its reply.
        """
        self._folder = folder
        self._path = folder / "standing"
        self._clock = clock.monotonic
        self._wall = clock.wall
        self._window = window
        self._alone = alone
        self._rest = rest
        self._boot = _boot_id()
        self._handle = -1
        self._run_handle = -1
        self._run_path = folder
        self._token = ""
        self._counted_at = float("-inf")
        self._joined = -1
        self._runs = 1
        self._granted = 0
        self._wants_paused_until = float("-inf")
        self._wants_rest_until = float("-inf")
        self._announced = False
        self._busy_since: float | None = None
        self._own_due = 0.0
        self._unwritten = 0
        self.is_stalled = False
        """Whether a suspended process keeps the lock, so that this run uses only its own part."""

    def __enter__(self) -> Self:
        """Join the runs that share the quota; raises StorageError."""
        private_folder(self._folder)
        self._handle = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            self._register()
            if self._seize(_PATIENCE):
                try:
                    self._count_joining()
                finally:
                    fcntl.flock(self._handle, fcntl.LOCK_UN)
        except StorageError:
            self._close()
            raise
        except OSError as error:
            self._close()
            raise trouble(self._path, error) from None
        return self

    def _register(self) -> None:
        for _ in range(_TRIES):
            # Two containers of one machine may have processes of the same ID.
            self._token = token_hex(4)
            self._run_path = self._folder / f"run-{os.getpid()}-{self._token}"
            self._run_handle = open_private(self._run_path, os.O_RDWR | os.O_CREAT)
            # Another run may just now have taken the new file for a dead run's, and deleted it.
            with suppress(BlockingIOError):
                fcntl.flock(self._run_handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(self._run_handle).st_nlink:
                    return
            os.close(self._run_handle)
            self._run_handle = -1
        raise trouble(self._path, OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))

    def __exit__(self, *_: object) -> None:
        """Leave the runs that share the quota; what was used stays in the file."""
        with suppress(OSError):
            self._run_path.unlink()
        with suppress(OSError):
            if self._seize(_PATIENCE):
                if max(self._wants_paused_until, self._wants_rest_until) > self._clock():
                    self._write(self._with_own_wishes(self._known()))
                self._count_joining()
                self._free_permit()
        self._close()

    @property
    def runs(self) -> int:
        """How many runs share the quota, this one included, by the last count."""
        return self._runs

    @property
    def granted(self) -> int:
        """How many requests of all runs were granted so far; it never falls."""
        if self._runs > 1:
            # An error of the file is reported when the file is next needed.
            with suppress(OSError):
                known = self._read()
                self._granted = max(self._granted, known.granted + self._unwritten if known is not None else 0)
        return self._granted

    def take(self, *, rate: float, burst: int, most: int = 1) -> QuotaGrant:
        """Take the next place of a bucket that lets *burst* go at once, and *rate* a second after that.

        If no other run shares the quota, take up to *most* places that are free now. During a pause, or while another
        run has the lock, take no place: ask again after the grant's wait.

        Raises:
            StorageError: the file can't be read or written.
        """
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._take_own_part(rate, burst)
        except OSError as error:
            raise trouble(self._path, error) from None
        try:
            return self._take(rate, burst, most)
        except OSError as error:
            raise trouble(self._path, error) from None
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _take(self, rate: float, burst: int, most: int) -> QuotaGrant:
        now = self._clock()
        credit = (burst - 1) / rate
        known = self._read()
        if known is None or known.due - now > credit + 2 * (self._window + self._rest):
            # What was used a moment ago is not known: no burst, then.
            known = self._unknown(now + credit)
        if self._busy_since is not None:
            self._busy_since = None
            if self.is_stalled:
                # What the runs sent meanwhile is not in the file: no burst here either.
                self.is_stalled = False
                known = replace(known, due=max(known.due, now + credit))
        if known.joined != self._joined or now - self._counted_at >= _RECOUNT_SECONDS:
            self._count_runs(now, known.joined)
        if not self._announced:
            known = replace(known, joined=known.joined + 1)
            self._announced = True
        known = replace(self._with_own_wishes(known), granted=known.granted + self._unwritten)
        self._granted = max(self._granted, known.granted)
        if known.paused_until > now:
            return QuotaGrant(known.paused_until - now, 0)
        if self._alone:
            free_from = self._free_from(now)
            if free_from is None:
                return _ASK_SOON
            known = replace(known, due=max(known.due, free_from))
        most = most if self._runs == 1 else 1
        due, wait, permits = reserve(known.due, now=now, rate=rate, burst=burst, most=most)
        if self._alone:
            self._write_extras(replace(self._extras(), owner=self._token.encode(), busy_until=now + wait + self._alone))
        self._granted += permits
        self._unwritten = 0
        self._write(QuotaState(due, known.paused_until, self._granted, known.joined))
        return QuotaGrant(wait, permits)

    def _take_own_part(self, rate: float, burst: int) -> QuotaGrant:
        """Take a place though another process has the lock: once that one is suspended, from this run's own part.

        The parts of all runs, the suspended one included, are safe together. Where the quota is too small to be
        divided, nothing is sent.
        """
        now = self._clock()
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since < _STALL_SECONDS:
            return _BUSY
        known = None
        with suppress(OSError):
            known = self._read()
        if not self.is_stalled:
            self.is_stalled = True
            self._own_due = now if known is None else max(now, min(known.due, now + self._window))
        if now - self._counted_at >= _RECOUNT_SECONDS:
            self._count_runs(now, self._joined)
        paused_until = max(
            self._wants_paused_until, self._wants_rest_until, 0.0 if known is None else known.paused_until
        )
        if paused_until > now:
            return QuotaGrant(paused_until - now, 0)
        part = self._part(burst + rate * self._window)
        if part <= 0:
            return _ASK_SOON
        self._own_due, wait, permits = reserve(self._own_due, now=now, rate=part / self._window, burst=1)
        self._granted += permits
        self._unwritten += permits
        return QuotaGrant(wait, permits)

    def _part(self, budget: float) -> float:
        """Return this run's part of the *budget* of a window, besides the one request that is sent at its start."""
        if self._alone:
            # Each run may have one in flight then, though all together should have one.
            return (budget + 1) / self._runs - 2
        return budget / self._runs - 1

    def pause(self, until: float) -> None:
        """Let no run send before *until*; raises StorageError."""
        self._wants_paused_until = max(self._wants_paused_until, until)
        self._write_wishes()

    def mark_answered(self) -> None:
        """Record that the request in flight has its reply; raises StorageError."""
        if self._alone:
            self._wants_rest_until = self._clock() + self._rest
            self._write_wishes()

    def _write_wishes(self) -> None:
        """Write the pause and the rest that this run wants, unless another process has the lock."""
        try:
            if not self._seize(0 if self.is_stalled else _PATIENCE):
                # The process that has the lock seems to be suspended: our next request writes them.
                return
            try:
                self._write(self._with_own_wishes(self._known()))
                self._free_permit()
            finally:
                fcntl.flock(self._handle, fcntl.LOCK_UN)
        except OSError as error:
            raise trouble(self._path, error) from None

    def _known(self) -> QuotaState:
        return self._read() or self._unknown(self._clock())

    def _unknown(self, due: float) -> QuotaState:
        """Return the state where the file holds none of this boot: only a pause, by the wall clock."""
        return QuotaState(due, self._paused_before_boot(), granted=self._granted - self._unwritten)

    def _paused_before_boot(self) -> float:
        """Return until when (monotonic) a pause lasts that was recorded before the machine was restarted."""
        extras, wall = self._extras(), self._wall()
        # A clock that was set back makes no pause longer.
        left = extras.paused_until - max(wall, extras.paused_at)
        return self._clock() + left if left > 0 else 0.0

    def _with_own_wishes(self, known: QuotaState) -> QuotaState:
        """Return what is *known*, with the pause and the rest that this run wants."""
        known = replace(known, due=max(known.due, self._wants_rest_until)) if self._rest else known
        if known.paused_until >= self._wants_paused_until:
            return known
        wall = self._wall()
        self._write_extras(
            replace(self._extras(), paused_at=wall, paused_until=wall + self._wants_paused_until - self._clock())
        )
        return replace(known, paused_until=self._wants_paused_until)

    def _free_from(self, now: float) -> float | None:
        """Return from when on a request may be sent, by what is in flight; None while another run has one in flight."""
        extras = self._extras()
        owner = extras.owner.decode(errors="replace")
        if extras.busy_until <= now or owner == self._token:
            return now
        if any(_is_locked(path) for path in self._folder.glob("run-*") if path.name.endswith(owner)):
            return None
        # That run was killed, and its request may have arrived just now.
        return now + self._rest

    def _free_permit(self) -> None:
        if self._alone and (extras := self._extras()).owner == self._token.encode():
            self._write_extras(replace(extras, owner=b"", busy_until=0.0))

    def _seize(self, milliseconds: int) -> bool:
        """Take the lock of the file; return False if another process keeps it for all *milliseconds*."""
        for left in range(milliseconds, -1, -1):
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if left:
                    time.sleep(_MILLISECOND)
            else:
                return True
        return False

    def _read(self) -> QuotaState | None:
        """Return the state in the file; None if it is new, torn, of another boot, or makes no sense."""
        data = os.pread(self._handle, _SIZE, 0)
        if len(data) != _SIZE or _SUM.unpack_from(data, _STATE.size)[0] != crc32(data[: _STATE.size]):
            return None
        boot, due, paused_until, granted, joined = _STATE.unpack_from(data)
        if boot != self._boot:
            return None
        return QuotaState(due, paused_until, granted, joined)

    def _write(self, state: QuotaState) -> None:
        data = _STATE.pack(self._boot, state.due, state.paused_until, state.granted, state.joined)
        os.pwrite(self._handle, data + _SUM.pack(crc32(data)), 0)

    def _extras(self) -> QuotaExtras:
        """Return what follows the state; nothing if it is missing or torn, and no request in flight of another boot."""
        data = os.pread(self._handle, _EXTRAS_SIZE, _SIZE)
        if len(data) != _EXTRAS_SIZE or _SUM.unpack_from(data, _EXTRAS.size)[0] != crc32(data[: _EXTRAS.size]):
            return QuotaExtras()
        extras = QuotaExtras(*_EXTRAS.unpack_from(data))
        return (
            extras
            if extras.busy_until <= self._clock() + 2 * (self._window + self._rest + self._alone)
            else replace(extras, busy_until=0.0)
        )

    def _write_extras(self, extras: QuotaExtras) -> None:
        data = _EXTRAS.pack(extras.paused_at, extras.paused_until, extras.owner, extras.busy_until)
        os.pwrite(self._handle, data + _SUM.pack(crc32(data)), _SIZE)

    def _count_joining(self) -> None:
        known = self._read()
        if known is not None:
            self._write(replace(known, joined=known.joined + 1))
        self._announced = True

    def _count_runs(self, now: float, joined: int) -> None:
        """Count the runs that are alive, and delete the files of those that are not."""
        self._counted_at, self._joined = now, joined
        # Where this process may open no more files, the last count stays.
        with suppress(OSError):
            runs = sum(path == self._run_path or _is_locked(path) for path in self._folder.glob("run-*"))
            self._runs = max(1, runs)

    def _close(self) -> None:
        for handle in (self._handle, self._run_handle):
            if handle >= 0:
                os.close(handle)
        self._handle = self._run_handle = -1


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
