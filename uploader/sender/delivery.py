"""Bring one request to its outcome: attempt after attempt, each through the limiter."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, assert_never

from uploader.errors import OutageError, RefusedError
from uploader.halt import Halt, Halted
from uploader.model import Answer, Failed, Outcome, Rejected, Reply, Request, Sent, Unsettled
from uploader.pacing import hold_for
from uploader.policy import Accept, Again, GiveUp, Limited, Policy, Refuse, Stop, Unreachable, Verdict
from uploader.sender.limiter import Limiter
from uploader.tally import Traffic

_LOG: Final = logging.getLogger("uploader.sender")

_LONGEST_HOLD: Final = 60.0
"""Seconds between two tries to reach a service that can't be reached; they begin at one and double."""

_ROUNDING: Final = 0.001
"""Seconds by which a hold that lasts as long as the patience may miss its end."""

_LOST_BEHIND_A_PROXY: Final = frozenset({200, 502, 504})
"""The HTTP statuses with which something in front of the API, that has lost its answer, speaks in its place."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to hold: *per* is the configured window, *outage_timeout* ends the run; both in seconds."""

    per: float
    outage_timeout: float


class Delivery:
    """Deliver requests for one run: the policy judges each reply, this waits, retries, holds or stops.

    What holds everybody (the limit, an unreachable service) is no row's trouble: it is not charged as an attempt.
    """

    def __init__(  # noqa: PLR0913 — the collaborators of an attempt, each asked for by name
        self,
        post: Callable[[bytes], Awaitable[Reply]],
        *,
        policy: Policy,
        limiter: Limiter,
        patience: Patience,
        traffic: Traffic,
        halt: Halt,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
        wall: Callable[[], float],
        dice: Callable[[], float],
    ) -> None:
        """Keep the collaborators; *clock* is monotonic, *wall* since 1970 (seconds), *dice* gives 0 to 1."""
        self._post = post
        self._policy = policy
        self._limiter = limiter
        self._patience = patience
        self._traffic = traffic
        self._halt = halt
        self._sleep = sleep
        self._clock = clock
        self._wall = wall
        self._dice = dice
        self._trouble_since: float | None = None
        self._held_at = float("-inf")
        self._next_hold = 1.0

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        """Return what became of *request*; Unsettled when the run was told to stop before it had an outcome.

        Raises:
            RefusedError: the service refuses every request of this run.
            OutageError: nobody could send for longer than the outage timeout.
        """
        attempt, unsure, posted = 1, False, 0
        try:
            while True:
                await self._limiter.pass_through()
                began = self._clock()
                reply = await self._attempt(request, again=posted > 0)
                posted += 1
                unsure = unsure or _may_be_applied(reply)
                verdict = self._policy.judge(reply, attempt=attempt, dice=self._dice())
                if not isinstance(verdict, Accept):
                    _LOG.debug("row %d, request %d: %s", request.row.number, posted, _told(reply))
                self._heed(verdict, began)
                match verdict:
                    case Accept():
                        return Sent(request, attempt, unsure)
                    case Refuse(reason):
                        return Rejected(request.row, request.person, reason, attempt, unsure)
                    case GiveUp(reason):
                        return Failed(request, reason, attempt, unsure)
                    case Again(seconds):
                        attempt += 1
                        await self._halt.wait(self._sleep(seconds))
                    case _:
                        pass
        except Halted:
            return Unsettled(request, posted, unsure)

    async def _attempt(self, request: Request, *, again: bool) -> Reply:
        self._traffic.requests += 1
        self._traffic.retries += again
        return await self._post(request.body)

    def _heed(self, verdict: Verdict, began: float) -> None:
        """Do what *verdict* on an attempt that *began* then asks of everybody: hold, stop, or go on as before."""
        match verdict:
            case Limited(window):
                self._traffic.limited += 1
                seconds = hold_for(window, per=self._patience.per, now=self._wall())
                self._hold(seconds, "the service limits us (too many requests)")
            case Unreachable(why):
                # Who was in flight when the hold began meets the trouble that everybody waits for already.
                if not self._limiter.is_held:
                    self._hold(self._growing(), why)
            case Stop(why):
                raise RefusedError(f"Stopped: {why} Then run again.")
            case Accept() | Refuse() | GiveUp() | Again():
                self._recover(began)
            case _ as never:
                assert_never(never)

    def _recover(self, began: float) -> None:
        """Take note that the service was there for an attempt that *began* then."""
        if began > self._held_at:
            self._trouble_since = None
            self._next_hold = 1.0
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

    def _hold(self, seconds: float, why: str) -> None:
        now = self._clock()
        if self._trouble_since is None:
            self._trouble_since = now
        if now + seconds - self._trouble_since > self._patience.outage_timeout + _ROUNDING:
            raise OutageError(
                f"Stopped: {why}, for longer than retry.outage_timeout ({self._patience.outage_timeout:g} s). "
                "Run again to continue."
            )
        if not self._limiter.is_held:
            _LOG.info("everybody waits %.1f s: %s", seconds, why)
        self._limiter.hold(seconds)
        self._held_at = now


def _told(reply: Reply) -> str:
    """Return what *reply* says, in words that hold nothing of the server's own text."""
    if isinstance(reply, Answer):
        return f"HTTP {reply.status}{f', code {reply.code}' if reply.code else ''}"
    return reply.why


def _may_be_applied(reply: Reply) -> bool:
    """Whether the request may have been stored although *reply* does not say so."""
    if isinstance(reply, Answer):
        return not reply.code and reply.status in _LOST_BEHIND_A_PROXY
    return reply.applied
