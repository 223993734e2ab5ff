"""Share one service's quota among all runs of this machine, so that together they are one client."""

import fcntl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from uploader.clock import Clock
from uploader.errors import StorageError
from uploader.private_files import private_folder, trouble
from uploader.rate.quota_files import QuotaExtras, QuotaFile, QuotaMembers, QuotaState
from uploader.rate.quota_lease import Lease
from uploader.rate.token_bucket import reserve

_STALL_SECONDS: Final = 1.0
"""A process that has kept the lock for this long is taken to be suspended."""

_PATIENCE: Final = 5
"""Milliseconds to wait for the lock: a process holds it for some microseconds, unless it is suspended."""

_BUSY: Final = Lease(0.001, 0)
_ASK_SOON: Final = Lease(0.05, 0)
"""Ask again soon: another run's request is in flight, or no part of the quota is safe."""


class SharedQuota:
    """The quota of one service, shared by all runs of this machine: a few bytes in a file, under a lock.

    The kernel frees the lock of a process that dies, and no step leaves the file half written. So a killed run blocks
    no other, and its part is free again as soon as its process is gone. It is a context manager.

    States: sharing; busy, where another process has the lock just now; and stalled, where that process is suspended,
    and this run uses only its own part.
    """

    def __init__(self, folder: Path, *, clock: Clock, window: float, alone: float = 0.0, rest: float = 0.0) -> None:
        """Use *folder*, made if need be; *clock* is the machine's, and *window* the service's in seconds.

        The wall clock makes a pause outlast a restart of the machine. If *alone* is not 0, all runs together have one
        request in flight, for that many seconds at most; the next is sent *rest* seconds after its reply.
        """
        self._file = QuotaFile(folder / "standing")
        self._members = QuotaMembers(folder)
        self._clock = clock
        self._window = window
        self._alone = alone
        self._rest = rest
        self._granted = 0
        # Granted from this run's own part, and not in the file yet.
        self._unwritten = 0
        self._wants_paused_until = self._wants_rest_until = float("-inf")
        # When the lock was first found busy; once stalled, when the bucket of this run's own part is due.
        self._busy_since: float | None = None
        self._own_due: float | None = None

    def __enter__(self) -> Self:
        """Join the runs that share the quota; raises StorageError."""
        private_folder(self._file.path.parent)
        self._file.open()
        try:
            self._members.join()
            if self._file.lock(_PATIENCE):
                try:
                    self._count_joining()
                finally:
                    fcntl.flock(self._file.handle, fcntl.LOCK_UN)
        except StorageError:
            self._close()
            raise
        except OSError as error:
            self._close()
            raise trouble(self._file.path, error) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the runs that share the quota; what was used stays in the file."""
        self._members.leave()
        with suppress(OSError):
            if self._file.lock(_PATIENCE):
                if max(self._wants_paused_until, self._wants_rest_until) > self._clock.monotonic():
                    self._file.write(self._with_own_wishes(self._known()))
                self._count_joining()
                self._free_permit()
        self._close()

    def _close(self) -> None:
        self._file.close()
        self._members.close()

    @property
    def runs(self) -> int:
        """How many runs share the quota, this one included, by the last count."""
        return self._members.count

    @property
    def is_stalled(self) -> bool:
        """Whether a suspended process keeps the lock, so that this run uses only its own part."""
        return self._own_due is not None

    @property
    def granted(self) -> int:
        """How many requests of all runs were granted so far; it never falls."""
        if self._members.count > 1:
            # An error of the file is reported when the file is next needed.
            with suppress(OSError):
                known = self._file.read()
                self._granted = max(self._granted, known.granted + self._unwritten if known is not None else 0)
        return self._granted

    def lease(self, *, rate: float, burst: int, most: int = 1) -> Lease:
        """Take the next place of a bucket that lets *burst* go at once, and *rate* a second after that.

        If no other run shares the quota, take up to *most* places that are free now. During a pause, or while another
        run has the lock, take no place: ask again after the lease's wait.

        Raises:
            StorageError: the file can't be read or written.
        """
        try:
            fcntl.flock(self._file.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._take_own_part(rate, burst)
        except OSError as error:
            raise trouble(self._file.path, error) from None
        try:
            return self._take(rate, burst, most)
        except OSError as error:
            raise trouble(self._file.path, error) from None
        finally:
            fcntl.flock(self._file.handle, fcntl.LOCK_UN)

    def _take(self, rate: float, burst: int, most: int) -> Lease:
        now, members = self._clock.monotonic(), self._members
        credit = (burst - 1) / rate
        known = self._file.read()
        if known is None or known.due - now > credit + 2 * (self._window + self._rest):
            # What was used a moment ago is not known: no burst, then.
            known = self._unknown(now + credit)
        if self._own_due is not None:
            # What the runs sent meanwhile is not in the file: no burst here either.
            known = replace(known, due=max(known.due, now + credit))
        self._busy_since = self._own_due = None
        members.recount(now, known.joined)
        if not members.is_announced:
            known = replace(known, joined=known.joined + 1)
            members.is_announced = True
        known = self._with_own_wishes(known)
        self._granted = max(self._granted, known.granted + self._unwritten)
        if known.paused_until > now:
            return Lease(known.paused_until - now, 0)
        due = known.due
        if self._alone:
            free_from = self._free_from(now)
            if free_from is None:
                return _ASK_SOON
            due = max(due, free_from)
        due, wait, places = reserve(due, now=now, rate=rate, burst=burst, most=most if members.count == 1 else 1)
        if self._alone:
            busy_until = now + wait + self._alone
            self._file.write_extras(replace(self._extras(), owner=members.token.encode(), busy_until=busy_until))
        self._granted += places
        self._unwritten = 0
        self._file.write(QuotaState(due, known.paused_until, self._granted, known.joined))
        return Lease(wait, places)

    def _take_own_part(self, rate: float, burst: int) -> Lease:
        """Take a place though another process has the lock: once that one is suspended, from this run's own part.

        The parts of all runs, the suspended one included, are safe together. Where the quota is too small to be
        divided, nothing is sent.
        """
        now = self._clock.monotonic()
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since < _STALL_SECONDS:
            return _BUSY
        known = None
        with suppress(OSError):
            known = self._file.read()
        if self._own_due is None:
            self._own_due = now if known is None else max(now, min(known.due, now + self._window))
        self._members.recount(now)
        wishes = max(self._wants_paused_until, self._wants_rest_until)
        paused_until = wishes if known is None else max(wishes, known.paused_until)
        if paused_until > now:
            return Lease(paused_until - now, 0)
        budget, runs = burst + rate * self._window, self._members.count
        # Besides the one request that is sent at its start; alone, each run may have another one in flight.
        part = (budget + 1) / runs - 2 if self._alone else budget / runs - 1
        if part <= 0:
            return _ASK_SOON
        self._own_due, wait, places = reserve(self._own_due, now=now, rate=part / self._window, burst=1)
        self._granted += places
        self._unwritten += places
        return Lease(wait, places)

    def pause(self, until: float) -> None:
        """Let no run send before *until*; raises StorageError."""
        self._wants_paused_until = max(self._wants_paused_until, until)
        self._write_wishes()

    def mark_answered(self) -> None:
        """Record that the request in flight has its reply; raises StorageError."""
        if self._alone:
            self._wants_rest_until = self._clock.monotonic() + self._rest
            self._write_wishes()

    def _write_wishes(self) -> None:
        """Write the pause and the rest that this run wants, unless another process has the lock."""
        try:
            if not self._file.lock(0 if self.is_stalled else _PATIENCE):
                # The process that has the lock seems to be suspended: our next request writes them.
                return
            try:
                self._file.write(self._with_own_wishes(self._known()))
                self._free_permit()
            finally:
                fcntl.flock(self._file.handle, fcntl.LOCK_UN)
        except OSError as error:
            raise trouble(self._file.path, error) from None

    def _known(self) -> QuotaState:
        return self._file.read() or self._unknown(self._clock.monotonic())

    def _unknown(self, due: float) -> QuotaState:
        """Return the state where the file holds none of this boot: only a pause, by the wall clock."""
        extras, wall = self._extras(), self._clock.wall()
        # A clock that was set back makes no pause longer.
        left = extras.paused_until - max(wall, extras.paused_at)
        paused_until = self._clock.monotonic() + left if left > 0 else 0.0
        return QuotaState(due, paused_until, granted=self._granted - self._unwritten)

    def _with_own_wishes(self, known: QuotaState) -> QuotaState:
        """Return what is *known*, with the pause and the rest that this run wants."""
        if self._rest:
            known = replace(known, due=max(known.due, self._wants_rest_until))
        wanted = self._wants_paused_until
        if known.paused_until >= wanted:
            return known
        wall = self._clock.wall()
        until = wall + wanted - self._clock.monotonic()
        self._file.write_extras(replace(self._extras(), paused_at=wall, paused_until=until))
        return replace(known, paused_until=wanted)

    def _extras(self) -> QuotaExtras:
        return self._file.extras(self._clock.monotonic() + 2 * (self._window + self._rest + self._alone))

    def _free_from(self, now: float) -> float | None:
        """Return from when on a request may be sent, by what is in flight; None while another run has one in flight."""
        extras = self._extras()
        owner = extras.owner.decode(errors="replace")
        if extras.busy_until <= now or owner == self._members.token:
            return now
        # A run that was killed may have a request that arrives just now.
        return None if self._members.is_alive(owner) else now + self._rest

    def _free_permit(self) -> None:
        if self._alone and (extras := self._extras()).owner == self._members.token.encode():
            self._file.write_extras(replace(extras, owner=b"", busy_until=0.0))

    def _count_joining(self) -> None:
        """Count in the file that this run has joined, or left."""
        known = self._file.read()
        if known is not None:
            self._file.write(replace(known, joined=known.joined + 1))
        self._members.is_announced = True
