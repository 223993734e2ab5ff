"""Bring one request to its outcome: attempt after attempt, each through the limiter."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, assert_never

from uploader.errors import OutageError, RefusedError, StorageError
from uploader.halt import Halt, Halted
from uploader.health import Health
from uploader.model import (
    Answer,
    Failed,
    Outcome,
    Rejected,
    Reply,
    Request,
    Sent,
    Superseded,
    Unsettled,
    WindowState,
)
from uploader.pacing import Departure, hold_for, local_time
from uploader.policy import (
    SUCCESS,
    Accept,
    Again,
    Blocked,
    Crowded,
    GiveUp,
    Limited,
    Policy,
    Refuse,
    Stop,
    Unreachable,
    Verdict,
    accepts,
    proves,
)
from uploader.sender.limiter import Limiter
from uploader.streak import Block, Streak
from uploader.tally import Traffic

_LOG: Final = logging.getLogger("uploader.sender")

_LONGEST_HOLD: Final = 60.0
"""Seconds between two tries to reach a service that can't be reached; they begin at one and double."""

_LEAST_HOLD: Final = 0.05
"""Seconds to hold when the window is all but over."""

_CROWDED_SECONDS: Final = 1.0
"""So long, at most, a row waits for a socket or file to become free."""

_LIMITED: Final = "the service limits us (too many requests)"

_ROUNDING: Final = 0.001
"""Seconds by which a hold that lasts as long as the patience may miss its end."""

_LOST_BEHIND_A_PROXY: Final = frozenset({200, 502, 504, 520, 524})
"""The HTTP statuses with which something in front of the API, that has lost its answer, speaks in its place."""


@dataclass(slots=True)
class _Charges:
    """What a row's attempts have met: the *times* that are charged to it, and whether one of them *crossed* already."""

    times: list[float] = field(default_factory=list)
    crossed: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to hold: *per* is the configured window, *outage_timeout* ends the run; both in seconds."""

    per: float
    outage_timeout: float


class Airfield(Protocol):
    """Where it is noted which rows are in flight, for whoever goes on when this process is killed."""

    def take_off(self, row: int) -> None:
        """Note that a request for *row* goes now; once noted, it stays so until it turns back or has an outcome."""
        ...

    def turn_back(self, row: int) -> None:
        """Note that no request for *row* can be applied any more."""
        ...


class Delivery:
    """Deliver requests for one run: the policy judges each reply, this waits, retries, holds or stops.

    What holds everybody (the limit, an unreachable service) is no row's trouble: it is not charged as an attempt.
    """

    def __init__(  # noqa: PLR0913 — the collaborators of an attempt, each asked for by name
        self,
        post: Callable[[Request], Awaitable[Reply]],
        *,
        policy: Policy,
        limiter: Limiter,
        airfield: Airfield,
        patience: Patience,
        traffic: Traffic,
        halt: Halt,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
        wall: Callable[[], float],
        dice: Callable[[], float],
        note_held: Callable[[float], None],
        most_rows: int,
        on_suspicion: Callable[[], None] = lambda: None,
        streak: Streak | None = None,
        newest: Callable[[Request], Request | Superseded | Rejected] = lambda request: request,
    ) -> None:
        """Keep the collaborators; *clock* is monotonic, *wall* since 1970 (seconds), *dice* gives 0 to 1.

        *most_rows* is how many rows may be delivered at once. *note_held* hears for how many seconds more a limit reply
        holds everybody. *on_suspicion* is called when bad replies may be the service's trouble: the more rows are in
        delivery, the sooner that is known. *streak* counts the rows that are blocked, for all sources of the command.
        *newest* is asked before each attempt for what of the request is still the newest, or what becomes of it.
        """
        self._newest = newest
        self._post = post
        self._policy = policy
        self._limiter = limiter
        self._airfield = airfield
        self._patience = patience
        self._traffic = traffic
        self._halt = halt
        self._sleep = sleep
        self._clock = clock
        self._wall = wall
        self._dice = dice
        self._note_held = note_held
        self._health = Health(most_rows)
        self._on_suspicion = on_suspicion
        self._streak = streak or Streak()
        # Whether the latest reply was a good one, and tells of no trouble that is still to be over. The delivery of an
        # earlier source may have left some to the limiter.
        self._is_well = False
        self._trouble_since: float | None = None
        self._held_at = float("-inf")
        self._next_hold = 1.0

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        """Return what became of *request*; Unsettled when the run was told to stop before it had an outcome.

        The halt is given here, with its reason: RefusedError when the service refuses every request of this run,
        OutageError when nobody could send for longer than the outage timeout, StorageError when the quota can't take
        note of a reply that is there.

        Raises:
            StorageError: the quota, or which rows are in flight, can't be noted.
        """
        row = request.row.number
        charges = _Charges()
        posted, unsure = 0, False
        block: Block | None = None  # once it was blocked, it goes alone
        try:
            while True:
                departure = (
                    await self._limiter.pass_alone()
                    if block is not None
                    else self._limiter.pass_at_once() or await self._limiter.pass_through()
                )
                left = self._still_newest(request, departure)
                if not isinstance(left, Request):
                    return replace(left, attempts=posted, unsure=unsure)
                request = left
                posted += 1
                self._traffic.requests += 1
                self._traffic.retries += posted > 1
                doubt, unsure = unsure, True  # until the reply says otherwise, it may be applied
                reply: Reply | None = None
                try:
                    self._airfield.take_off(row)
                    reply = await self._post(request)
                finally:
                    # Whoever abandons it, or breaks off, has nothing in flight any more either.
                    self._land(departure, reply)
                if accepts(reply):
                    self._streak.note_served(departure.at)
                    if not self._is_well or self._limiter.in_doubt:
                        self._streak.note_good()
                        self._recover(departure.at)
                    return Sent(request, posted, doubt)
                self._is_well = False
                unsure = doubt or _may_be_applied(reply)
                verdict = self._judged(reply, request, departure, charges)
                self._heed(verdict, departure)
                if not unsure:
                    self._airfield.turn_back(row)
                match verdict:
                    case Refuse() | GiveUp():
                        return _given_up(verdict, request, posted, unsure=unsure)
                    case Blocked(reason, what):
                        if block is not None and self._is_rows_own(row, what, block):
                            return Rejected(request.row, request.person, reason, posted, unsure)
                        block = block or self._first_block(departure)
                    case _:
                        await self._wait_after(verdict)
        except Halted:
            return Unsettled(request, posted, unsure)

    def _still_newest(self, request: Request, departure: Departure) -> Request | Superseded | Rejected:
        """Return what of *request* is still the newest, or what becomes of it, and let go of *departure*."""
        left: Request | Superseded | Rejected | None = None
        try:
            left = self._newest(request)
        finally:
            if not isinstance(left, Request):
                self._land(departure, None)
        return left

    def _land(self, departure: Departure, reply: Reply | None) -> None:
        """Let the limiter know; what its file fails to keep ends the run, and leaves the reply what it is."""
        try:
            self._limiter.land(departure, reply)
        except StorageError as error:
            self._halt.give(error)

    async def _wait_after(self, verdict: Verdict) -> None:
        """Wait as long as *verdict* asks of its row; raise Halted when the run is told to stop before that."""
        match verdict:
            case Again(seconds):
                await self._halt.wait(self._sleep(seconds))
            case Crowded():
                await self._halt.wait(self._sleep(_CROWDED_SECONDS * self._dice()))
            case _:
                pass

    def _judged(self, reply: Reply, request: Request, departure: Departure, charges: _Charges) -> Verdict:
        """Judge *reply*: a row's trouble is charged to it, everybody's is not, nor that of a connection, once."""
        if charges.times:
            charges.times = [at for at in charges.times if not self._health.excuses(at)]
        if proves(reply):
            self._streak.note_served(departure.at)
            self._streak.note_good()
        proven = self._streak.is_proven
        verdict = self._policy.judge(reply, attempt=len(charges.times) + 1, dice=self._dice(), proven=proven)
        _LOG.debug("row %d: %s", request.row.number, _told(reply))
        if isinstance(reply, Answer) and reply.crossed and not charges.crossed:
            # A second one is the row's: it may take too long itself.
            charges.crossed = True
            return Again(0.0)
        if isinstance(verdict, Again | GiveUp) or (isinstance(verdict, Blocked) and verdict.outage):
            now = self._clock()
            self._health.note_bad(request.row.number, now)
            if self._health.is_suspect:
                self._limiter.be_wary()
                self._on_suspicion()
            if self._health.is_out:
                return Unreachable(verdict.outage if isinstance(verdict, Blocked) else verdict.why)
            charges.times.append(now)
        return verdict

    def _heed(self, verdict: Verdict, departure: Departure) -> None:
        """Do what *verdict* on the attempt of *departure* asks of everybody: hold, stop, or go on as before."""
        match verdict:
            case Accept() | Refuse():
                self._recover(departure.at)
            case Limited(window):
                self._traffic.limited += 1
                self._note_held(self._hold(self._until_reset(window), _LIMITED, everybody=True))
            case Unreachable(why, advice):
                # Who was in flight when the hold began meets the trouble that everybody waits for already.
                if not self._limiter.is_held:
                    self._hold(self._growing(), why, advice=advice)
            case Crowded(why):
                if not self._limiter.thin_out(departure) and not self._limiter.is_held:
                    self._hold(self._growing(), why)
            case Stop(why):
                self._halt.give(RefusedError(f"Stopped: {why} Then run again."))
            case Again() | GiveUp() | Blocked():
                pass
            case _ as never:
                assert_never(never)

    def _first_block(self, departure: Departure) -> Block:
        """Take note that the attempt of *departure* was blocked, for the first time of its row."""
        block = Block(departure.at, self._clock())
        self._streak.note_first(block)
        return block

    def _is_rows_own(self, row: int, what: str, block: Block) -> bool:
        """Whether it may be the trouble of *row* that *what* blocks it, also alone; stop the run if it is the run's.

        *block* is when it was blocked first.
        """
        if self._streak.clears(block):
            return True
        self._streak.note_blocked(row, what, block)
        # Until a good reply one goes at a time, so that few requests tell whose trouble it is.
        self._limiter.in_doubt = True
        if self._streak.is_too_long:
            self._halt.give(
                RefusedError(
                    f"Stopped: {self._streak.told}, although the service answered rows of this run before. Correct "
                    "api.access_token if it is no longer valid; else ask who runs the service, or a firewall or proxy "
                    f"before it, what is wrong with these rows. {self._streak.told_outcome} Then run again to continue."
                )
            )
        return not self._streak.is_too_long

    def _until_reset(self, window: WindowState) -> float:
        """Return how long to hold after a limit reply: as a proxy asks, else until the window is over."""
        known = self._limiter.until_reset()
        if window.retry_after is not None or known is None:
            return hold_for(window, per=self._patience.per, now=self._wall())
        return max(known, _LEAST_HOLD)

    def _recover(self, began: float) -> None:
        """Take note that the service was there for an attempt that *began* then."""
        if began > self._held_at:
            self._is_well = not self._streak.is_open
            self._trouble_since = None
            self._next_hold = 1.0
            self._health.note_good(self._clock())
            if not self._streak.is_open:
                # Else whatever answered need not be the service: one goes at a time until a reply proves that it is.
                self._limiter.trust()
        elif self._trouble_since is not None:
            # It was in flight when the last hold began, and says nothing of what came after.
            self._trouble_since = max(self._trouble_since, began)

    def _growing(self) -> float:
        """Return how long to hold this time: twice as long as the last, but no longer than the patience lasts."""
        seconds = self._next_hold
        self._next_hold = min(_LONGEST_HOLD, seconds * 2)
        if self._trouble_since is None:
            return seconds
        left = self._trouble_since + self._patience.outage_timeout - self._clock()
        return min(seconds, left) if left > _ROUNDING else seconds

    def _hold(self, seconds: float, why: str, *, advice: str = "", everybody: bool = False) -> float:
        """Hold everybody for *seconds*, and return how many more that is; stop the run if it lasts too long."""
        now = self._clock()
        if self._trouble_since is None:
            self._trouble_since = now
        if now + seconds - self._trouble_since > self._patience.outage_timeout + _ROUNDING:
            then = "Run again to continue"
            if everybody:
                # The next run knows of it, and makes no request before it is over.
                self._limiter.lock_out(seconds)
                then += f", from {local_time(seconds, now=self._wall())} on"
            longest = self._patience.outage_timeout
            self._halt.give(
                OutageError(
                    f"Stopped: {why}, for longer than retry.outage_timeout ({longest:g} s). "
                    f"{advice}{' ' if advice else ''}{then}."
                )
            )
            return 0.0
        if not self._limiter.is_held:
            _LOG.info("everybody waits %.1f s: %s", seconds, why)
        self._held_at = now
        return self._limiter.hold(seconds, everybody=everybody)


def _given_up(verdict: Refuse | GiveUp, request: Request, attempts: int, *, unsure: bool) -> Rejected | Failed:
    if isinstance(verdict, Refuse):
        return Rejected(request.row, request.person, verdict.reason, attempts, unsure)
    return Failed(request, verdict.reason, attempts, unsure)


def _told(reply: Reply) -> str:
    """Return what *reply* says, in words that hold nothing of the server's own text."""
    if isinstance(reply, Answer):
        return f"HTTP {reply.status}{f', code {reply.code}' if reply.code else ''}"
    return reply.why


def _may_be_applied(reply: Reply) -> bool:
    """Whether the request may have been stored although *reply* does not say so."""
    if isinstance(reply, Answer):
        return reply.code == SUCCESS or reply.crossed or (not reply.code and reply.status in _LOST_BEHIND_A_PROXY)
    return reply.applied
