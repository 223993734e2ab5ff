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
from uploader.model import frozen
from uploader.private_files import open_private, private_folder, trouble
from uploader.rate.token_bucket import reserve

_STATE: Final = Struct("<16sddQQ")
_SUM: Final = Struct("<I")
_SIZE: Final = _STATE.size + _SUM.size
_EXTRAS: Final = Struct("<dd8sd")
_EXTRAS_SIZE: Final = _EXTRAS.size + _SUM.size
"""What stands behind the state: an older version neither reads nor writes it."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_RECOUNT_SECONDS: Final = 1.0
"""So often it is looked whether other runs were killed."""

_STALL_SECONDS: Final = 1.0
"""A process that has had the file for so long was stopped with it."""


@frozen
class QuotaState:
    """What the file says: when the bucket is *due* to be empty, until when nobody may go, how many went.

    Times are seconds of this machine's monotonic clock. *joined* counts how often a run came or went.
    """

    due: float
    paused_until: float = 0.0
    granted: int = 0
    joined: int = 0


@frozen
class QuotaExtras:
    """What the file says besides: the hold by the clock on the wall, and who alone may have a request in flight.

    The hold was *paused_at* and lasts until *paused_until*, both since 1970: so it is known when the machine was
    started anew. *owner* has a request in flight, or will have, until *busy_until* (monotonic) at most.
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
"""So many milliseconds to wait for a process that has the file: it lets go within some microseconds, unless stopped."""

_TRIES: Final = 100
_BUSY: Final = QuotaGrant(_MILLISECOND, 0)
_ASK_SOON: Final = QuotaGrant(0.05, 0)
"""Ask again soon: another run's request is in flight, or no part of the quota is safe."""


class SharedQuota:
    """The quota of one service as all runs of this machine share it: a few bytes in a file, under a lock.

    The kernel frees the lock of a process that dies, and no step leaves the file half written, so a killed run stops
    nobody. Another run's place is free again as soon as its process is gone. It is a context manager.

    States: sharing, with the file; busy, where another process has its lock just now; and stalled, where that one was
    stopped with it, so that this run goes on with its own part.
    """

    def __init__(  # noqa: PLR0913 — the clocks and what the pace says, each asked for by name
        self,
        folder: Path,
        *,
        clock: Callable[[], float],
        window: float,
        wall: Callable[[], float] | None = None,
        alone: float = 0.0,
        rest: float = 0.0,
    ) -> None:
        """Use *folder*, made if need be; *clock* is the machine's monotonic one, *window* the service's, in seconds.

        With *wall* (seconds since 1970) a hold outlasts the machine's next start. With *alone* only one request of all
        runs is in flight at a time, for so many seconds at most; *rest* is how long after its reply the next may go.
        """
        self._folder = folder
        self._path = folder / "standing"
        self._clock = clock
        self._wall = wall
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
        """Whether a stopped process has had the file for long, so that this run goes on with its own part."""

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
            # Two containers of one machine may have processes of the same number.
            self._token = token_hex(4)
            self._run_path = self._folder / f"run-{os.getpid()}-{self._token}"
            self._run_handle = open_private(self._run_path, os.O_RDWR | os.O_CREAT)
            # Another run may have taken the new file for a dead one's, just now, and deleted it.
            with suppress(BlockingIOError):
                fcntl.flock(self._run_handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(self._run_handle).st_nlink:
                    return
            os.close(self._run_handle)
            self._run_handle = -1
        raise trouble(self._path, OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))

    def __exit__(self, *_: object) -> None:
        """Leave; what was used stays known."""
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
        """How many runs share the quota, this one included, when it was last looked."""
        return self._runs

    @property
    def granted(self) -> int:
        """How many requests of all runs went so far; it never falls."""
        if self._runs > 1:
            # What is wrong with the file is told when it is next needed.
            with suppress(OSError):
                known = self._read()
                self._granted = max(self._granted, known.granted + self._unwritten if known is not None else 0)
        return self._granted

    def take(self, *, rate: float, burst: int, most: int = 1) -> QuotaGrant:
        """Take the next place of a bucket that lets *burst* go at once, and *rate* a second after that.

        Where several may go at once, and no other run has a part in them, take up to *most* of them. While a hold
        lasts, or another run has the file just now, no place is taken: ask again after its wait.

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
            # Nobody knows what was used a moment ago: no burst, then.
            known = self._unknown(now + credit)
        if self._busy_since is not None:
            self._busy_since = None
            if self.is_stalled:
                # What went meanwhile stands nowhere but in each run's own part: no burst here either.
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
        """Take a place though another process has the file: once it is stopped with it, of this run's part alone.

        The parts of all runs that are there, the stopped one included, are safe together. Where the quota is too small
        to be divided, nobody goes.
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
        """Return this run's part of the *budget* of a window, beside the one that goes at its begin."""
        if self._alone:
            # Each run has one in flight then, where all together were to have one.
            return (budget + 1) / self._runs - 2
        return budget / self._runs - 1

    def pause(self, until: float) -> None:
        """Let no run go before *until*; raises StorageError."""
        self._wants_paused_until = max(self._wants_paused_until, until)
        self._write_wishes()

    def mark_answered(self) -> None:
        """Take note that the request in flight has its reply; raises StorageError."""
        if self._alone:
            self._wants_rest_until = self._clock() + self._rest
            self._write_wishes()

    def _write_wishes(self) -> None:
        """Write down what this run wants, where nobody else has the file."""
        try:
            if not self._seize(0 if self.is_stalled else _PATIENCE):
                # Whoever has the file was stopped with it: our next request tells the others.
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
        """Return what is known where the file says nothing of this boot: a hold, by the clock on the wall."""
        return QuotaState(due, self._paused_before_boot(), granted=self._granted - self._unwritten)

    def _paused_before_boot(self) -> float:
        """Return until when (monotonic) a hold lasts that was noted before the machine was started anew."""
        if self._wall is None:
            return 0.0
        extras, wall = self._extras(), self._wall()
        # A clock that was set back makes no hold longer than it was.
        left = extras.paused_until - max(wall, extras.paused_at)
        return self._clock() + left if left > 0 else 0.0

    def _with_own_wishes(self, known: QuotaState) -> QuotaState:
        """Return what is *known* with the hold and the rest that this run wants."""
        known = replace(known, due=max(known.due, self._wants_rest_until)) if self._rest else known
        if known.paused_until >= self._wants_paused_until:
            return known
        if self._wall is not None:
            wall = self._wall()
            self._write_extras(
                replace(self._extras(), paused_at=wall, paused_until=wall + self._wants_paused_until - self._clock())
            )
        return replace(known, paused_until=self._wants_paused_until)

    def _free_from(self, now: float) -> float | None:
        """Return from when on one may go, by what is in flight; None while another run has a request in flight."""
        extras = self._extras()
        owner = extras.owner.decode(errors="replace")
        if extras.busy_until <= now or owner == self._token:
            return now
        if any(_is_locked(path) for path in self._folder.glob("run-*") if path.name.endswith(owner)):
            return None
        # It was killed, and what it had in flight may have arrived just now.
        return now + self._rest

    def _free_permit(self) -> None:
        if self._alone and (extras := self._extras()).owner == self._token.encode():
            self._write_extras(replace(extras, owner=b"", busy_until=0.0))

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

    def _read(self) -> QuotaState | None:
        """Return what the file says; None if it is new, torn, of another boot, or makes no sense."""
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
        """Return what stands behind the state; nothing if it is missing or torn, and no permit of another boot."""
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
        """Count the runs that are alive, and clear away what the others have left."""
        self._counted_at, self._joined = now, joined
        # Where this process has no file left to look with, what was seen last holds.
        with suppress(OSError):
            runs = sum(path == self._run_path or _is_locked(path) for path in self._folder.glob("run-*"))
            self._runs = max(1, runs)

    def _close(self) -> None:
        for handle in (self._handle, self._run_handle):
            if handle >= 0:
                os.close(handle)
        self._handle = self._run_handle = -1


def _is_locked(path: Path) -> bool:
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


def _boot_id() -> bytes:
    """Return what tells this boot of the machine from all others: its monotonic clock began with it."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))[:16].ljust(16)
    except (OSError, ValueError):
        return b"unknown boot".ljust(16)
