"""Keep where all runs of this machine stand in the quota of one service, so that together they are one sender."""

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
from uploader.files import open_private, private_folder, trouble
from uploader.model import fact
from uploader.rate.token_bucket import reserve

_STATE: Final = Struct("<16sddQQ")
_SUM: Final = Struct("<I")
_SIZE: Final = _STATE.size + _SUM.size
_MORE: Final = Struct("<dd8sd")
_MORE_SIZE: Final = _MORE.size + _SUM.size
"""What stands behind the state: an older version neither reads nor writes it."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_LOOK_SECONDS: Final = 1.0
"""So often it is looked whether other runs were killed."""

_STALL_SECONDS: Final = 1.0
"""A process that has had the file for so long was stopped with it."""


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
class More:
    """What the file says besides: the hold by the clock on the wall, and who alone may have a request in flight.

    The hold was *noted* and lasts until *held_until*, both since 1970: so it is known when the machine was started
    anew. *owner* has a request in flight, or will have, until *busy_until* (monotonic) at most.
    """

    noted: float = 0.0
    held_until: float = 0.0
    owner: bytes = b""
    busy_until: float = 0.0


@fact
class Place:
    """How many places were *taken*, and how many seconds to wait: until they come, or before asking again."""

    wait: float
    taken: int


_MILLISECOND: Final = 0.001
_PATIENCE: Final = 5
"""So many milliseconds to wait for a process that has the file: it lets go within some microseconds, unless stopped."""

_TRIES: Final = 100
_BUSY: Final = Place(_MILLISECOND, 0)
_AGAIN: Final = Place(0.05, 0)
"""Ask again soon: another run's request is in flight, or no part of the quota is safe."""


class Quota:
    """The quota of one service as all runs of this machine share it: a few bytes in a file, under a lock.

    The kernel frees the lock of a process that dies, and no step leaves the file half written, so a killed run stops
    nobody. Another run's place is free again as soon as its process is gone. It is a context manager.
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
        """Use *folder*, made if need be; *clock* is the machine's, *window* the service's, in seconds.

        By the clock on the wall a hold outlasts the machine's next start. With *alone* only one request of all
        runs is in flight at a time, for so many seconds at most; *rest* is how long after its reply the next may go.
        """
        self._folder = folder
        self._path = folder / "standing"
        self._clock = clock.monotonic
        self._wall = clock.wall
        self._window = window
        self._alone = alone
        self._rest = rest
        self._boot = _boot()
        self._handle = -1
        self._member = -1
        self._member_path = folder
        self._token = ""
        self._looked_at = float("-inf")
        self._joined = -1
        self._runs = 1
        self._granted = 0
        self._wants_held = float("-inf")
        self._wants_rest = float("-inf")
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
            self._become_a_member()
            if self._seize(_PATIENCE):
                try:
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

    def _become_a_member(self) -> None:
        for _ in range(_TRIES):
            # Two containers of one machine may have processes of the same number.
            self._token = token_hex(4)
            self._member_path = self._folder / f"run-{os.getpid()}-{self._token}"
            self._member = open_private(self._member_path, os.O_RDWR | os.O_CREAT)
            # Another run may have taken the new file for a dead one's, just now, and deleted it.
            with suppress(BlockingIOError):
                fcntl.flock(self._member, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(self._member).st_nlink:
                    return
            os.close(self._member)
            self._member = -1
        raise trouble(self._path, OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))

    def __exit__(self, *_: object) -> None:
        """Leave; what was used stays known."""
        with suppress(OSError):
            self._member_path.unlink()
        with suppress(OSError):
            if self._seize(_PATIENCE):
                if max(self._wants_held, self._wants_rest) > self._clock():
                    self._write(self._with_ours(self._known()))
                self._note_joining()
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
            return self._take_without(rate, burst)
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
        if known is None or known.due - now > credit + 2 * (self._window + self._rest):
            # Nobody knows what was used a moment ago: no burst, then.
            known = self._unknown(now + credit)
        if self._busy_since is not None:
            self._busy_since = None
            if self.is_stalled:
                # What went meanwhile stands nowhere but in each run's own part: no burst here either.
                self.is_stalled = False
                known = replace(known, due=max(known.due, now + credit))
        if known.joined != self._joined or now - self._looked_at >= _LOOK_SECONDS:
            self._look(now, known.joined)
        if not self._announced:
            known = replace(known, joined=known.joined + 1)
            self._announced = True
        known = replace(self._with_ours(known), granted=known.granted + self._unwritten)
        self._granted = max(self._granted, known.granted)
        if known.held_until > now:
            return Place(known.held_until - now, 0)
        if self._alone:
            freed = self._freed(now)
            if freed is None:
                return _AGAIN
            known = replace(known, due=max(known.due, freed))
        most = most if self._runs == 1 else 1
        due, wait, places = reserve(known.due, now=now, rate=rate, burst=burst, most=most)
        if self._alone:
            self._write_more(replace(self._more(), owner=self._token.encode(), busy_until=now + wait + self._alone))
        self._granted += places
        self._unwritten = 0
        self._write(Standing(due, known.held_until, self._granted, known.joined))
        return Place(wait, places)

    def _take_without(self, rate: float, burst: int) -> Place:
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
        if now - self._looked_at >= _LOOK_SECONDS:
            self._look(now, self._joined)
        held_until = max(self._wants_held, self._wants_rest, 0.0 if known is None else known.held_until)
        if held_until > now:
            return Place(held_until - now, 0)
        part = self._part(burst + rate * self._window)
        if part <= 0:
            return _AGAIN
        self._own_due, wait, places = reserve(self._own_due, now=now, rate=part / self._window, burst=1)
        self._granted += places
        self._unwritten += places
        return Place(wait, places)

    def _part(self, budget: float) -> float:
        """Return this run's part of the *budget* of a window, beside the one that goes at its begin."""
        if self._alone:
            # Each run has one in flight then, where all together were to have one.
            return (budget + 1) / self._runs - 2
        return budget / self._runs - 1

    def hold(self, until: float) -> None:
        """Let no run go before *until*; raises StorageError."""
        self._wants_held = max(self._wants_held, until)
        self._note()

    def land(self) -> None:
        """Take note that the request in flight has its reply; raises StorageError."""
        if self._alone:
            self._wants_rest = self._clock() + self._rest
            self._note()

    def _note(self) -> None:
        """Write down what this run wants, where nobody else has the file."""
        try:
            if not self._seize(0 if self.is_stalled else _PATIENCE):
                # Whoever has the file was stopped with it: our next request tells the others.
                return
            try:
                self._write(self._with_ours(self._known()))
                self._free_permit()
            finally:
                fcntl.flock(self._handle, fcntl.LOCK_UN)
        except OSError as error:
            raise trouble(self._path, error) from None

    def _known(self) -> Standing:
        return self._read() or self._unknown(self._clock())

    def _unknown(self, due: float) -> Standing:
        """Return what is known where the file says nothing of this boot: a hold, by the clock on the wall."""
        return Standing(due, self._held_before(), granted=self._granted - self._unwritten)

    def _held_before(self) -> float:
        """Return until when (monotonic) a hold lasts that was noted before the machine was started anew."""
        more, wall = self._more(), self._wall()
        # A clock that was set back makes no hold longer than it was.
        left = more.held_until - max(wall, more.noted)
        return self._clock() + left if left > 0 else 0.0

    def _with_ours(self, known: Standing) -> Standing:
        """Return what is *known* with the hold and the rest that this run wants."""
        known = replace(known, due=max(known.due, self._wants_rest)) if self._rest else known
        if known.held_until >= self._wants_held:
            return known
        wall = self._wall()
        self._write_more(replace(self._more(), noted=wall, held_until=wall + self._wants_held - self._clock()))
        return replace(known, held_until=self._wants_held)

    def _freed(self, now: float) -> float | None:
        """Return from when on one may go, by what is in flight; None while another run has a request in flight."""
        more = self._more()
        owner = more.owner.decode(errors="replace")
        if more.busy_until <= now or owner == self._token:
            return now
        if any(_is_held(path) for path in self._folder.glob("run-*") if path.name.endswith(owner)):
            return None
        # It was killed, and what it had in flight may have arrived just now.
        return now + self._rest

    def _free_permit(self) -> None:
        if self._alone and (more := self._more()).owner == self._token.encode():
            self._write_more(replace(more, owner=b"", busy_until=0.0))

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

    def _more(self) -> More:
        """Return what stands behind the state; nothing if it is missing or torn, and no permit of another boot."""
        data = os.pread(self._handle, _MORE_SIZE, _SIZE)
        if len(data) != _MORE_SIZE or _SUM.unpack_from(data, _MORE.size)[0] != crc32(data[: _MORE.size]):
            return More()
        more = More(*_MORE.unpack_from(data))
        return (
            more
            if more.busy_until <= self._clock() + 2 * (self._window + self._rest + self._alone)
            else replace(more, busy_until=0.0)
        )

    def _write_more(self, more: More) -> None:
        data = _MORE.pack(more.noted, more.held_until, more.owner, more.busy_until)
        os.pwrite(self._handle, data + _SUM.pack(crc32(data)), _SIZE)

    def _note_joining(self) -> None:
        known = self._read()
        if known is not None:
            self._write(replace(known, joined=known.joined + 1))
        self._announced = True

    def _look(self, now: float, joined: int) -> None:
        """Count the runs that are alive, and clear away what the others have left."""
        self._looked_at, self._joined = now, joined
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
