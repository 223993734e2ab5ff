"""Decide whether the service may be asked: by all requests, by a few, by none for a while, or by one as a probe."""

import math
from dataclasses import replace
from typing import Final, TypeAlias

from uploader.model import frozen
from uploader.rate.concurrency import Permit

_LONGEST_BACKOFF: Final = 60.0
"""The longest pause, in seconds, between attempts to reach an unreachable service; pauses start at 1 s and double."""

_ROUNDING: Final = 0.001
"""The tolerance, in seconds, of a pause that ends exactly with the outage timeout."""


@frozen
class Trouble:
    """No good reply *since* a time; the circuit *opened* last at one; and how many seconds the next back-off lasts.

    *outage* is why the service is out; "" while it has only throttled us.
    """

    since: float
    opened: float
    backoff: float = 1.0
    outage: str = ""


@frozen
class Closed:
    """All requests may be sent."""


@frozen
class Wary:
    """A few requests may be in flight: the service may be out."""


@frozen
class Open:
    """No request may be sent *until* a time, for the reason *why*; without a *trouble* of this run, another's pause."""

    until: float
    why: str
    trouble: Trouble | None = None


@frozen
class HalfOpen:
    """One request alone may be in flight: the *probe*, or None before it is sent."""

    probe: Permit | None = None
    trouble: Trouble | None = None


BreakerState: TypeAlias = Closed | Wary | Open | HalfOpen

CLOSED: Final = Closed()
WARY: Final = Wary()


class Breaker:
    """The circuit breaker: one state, and what each event makes of it. Times are monotonic seconds.

    All that is known of the service's trouble is in the state. `docs/architecture.md` has the table of all transitions.
    """

    def __init__(self, outage_timeout: float = math.inf) -> None:
        """Start closed; the run is to end when no request was served for *outage_timeout* seconds."""
        self.outage_timeout = outage_timeout
        self.state: BreakerState = CLOSED

    def seconds(self, now: float) -> float:
        """Return for how many seconds nothing may be sent; infinity: until the probe has its reply.

        When the pause is over, the circuit is half-open.
        """
        match self.state:
            case Open(until, _, trouble):
                if until > now:
                    return until - now
                self.state = HalfOpen(None, trouble)
            case HalfOpen(Permit()):
                return math.inf
            case _:
                pass
        return 0.0

    def open(self, now: float, seconds: float, why: str, *, by_reply: bool = True, backs_off: bool = False) -> float:
        """Open for *seconds* from now on; return how many seconds that adds. Of several pauses the longest counts.

        *by_reply* is whether a reply to this run is the reason: then the outage timeout counts from the first of them.
        If it *backs_off*, the service is out, and the next back-off lasts twice as long.
        """
        state, trouble = self.state, self._trouble
        before = max(state.until, now) if isinstance(state, Open) else now
        until = max(before, now + seconds)
        if by_reply:
            trouble = replace(trouble or Trouble(now, now), opened=now)
            if backs_off:
                trouble = replace(trouble, backoff=min(_LONGEST_BACKOFF, trouble.backoff * 2), outage=why)
        self.state = Open(until, state.why if isinstance(state, Open) and until == state.until else why, trouble)
        return until - before

    def next_backoff(self, now: float) -> float:
        """Return how many seconds the next back-off lasts: no longer than the outage timeout allows."""
        trouble = self._trouble
        if trouble is None:
            return 1.0
        left = trouble.since + self.outage_timeout - now
        return min(trouble.backoff, left) if left > _ROUNDING else trouble.backoff

    def outlasts(self, now: float, seconds: float) -> bool:
        """Whether a pause of *seconds* from now on would last longer than the outage timeout allows."""
        trouble = self._trouble
        since = now if trouble is None else trouble.since
        return now + seconds - since > self.outage_timeout + _ROUNDING

    def suspect(self) -> None:
        """Let only a few requests be in flight: the latest replies were bad, so the service may be out."""
        if self.state is CLOSED:
            self.state = WARY

    def probe(self) -> None:
        """Let one request alone be in flight until a good reply: it may not be the service that answers."""
        if isinstance(self.state, Closed | Wary):
            self.state = HalfOpen()

    def add_sent(self, permit: Permit) -> None:
        """Record that the request of *permit* is sent: while half-open, it is the probe."""
        if isinstance(self.state, HalfOpen):
            self.state = replace(self.state, probe=permit)

    def add_reply(self, permit: Permit) -> None:
        """Record that the request of *permit* is over: the probe's place is free again."""
        if isinstance(self.state, HalfOpen) and self.state.probe is permit:
            self.state = replace(self.state, probe=None)

    def recover(self, sent: float, *, proven: bool = True) -> bool:
        """Record a good reply to a request that was *sent* then; return whether it ends the trouble.

        A request from before the circuit opened last proves nothing about the time since. Unless it is *proven* that
        the service itself has answered, the circuit stays half-open.
        """
        state, trouble = self.state, self._trouble
        if isinstance(state, Open | HalfOpen) and trouble is not None and sent <= trouble.opened:
            self.state = replace(state, trouble=replace(trouble, since=max(trouble.since, sent)))
            return False
        if not isinstance(state, Open):
            self.state = HalfOpen(state.probe) if isinstance(state, HalfOpen) and not proven else CLOSED
        return True

    def is_open(self, now: float) -> bool:
        """Whether nothing may be sent *now*."""
        return isinstance(self.state, Open) and self.state.until > now

    @property
    def outage(self) -> tuple[float, str] | None:
        """Since when the service is out, and why; None while it is not. Throttling is no outage."""
        trouble = self._trouble
        return None if trouble is None or not trouble.outage else (trouble.since, trouble.outage)

    @property
    def _trouble(self) -> Trouble | None:
        return self.state.trouble if isinstance(self.state, Open | HalfOpen) else None
