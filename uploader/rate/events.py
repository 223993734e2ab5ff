"""Report what the rate limit makes a run do."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from uploader.observations import RequestObservations
from uploader.rate.other_clients import OtherClients

_LONG_PAUSE_SECONDS: Final = 30.0
"""A pause of at least this many seconds is reported."""

PauseReason: TypeAlias = Literal["limit", "another run", "window", "pace"]
"""The service throttles us; another run was throttled; the window is used up; the configured pace allows no more."""


@dataclass(frozen=True, slots=True)
class Paused:
    """No request is sent for *seconds* from now on; *why* is the reason."""

    seconds: float
    why: PauseReason


@dataclass(frozen=True, slots=True)
class Stalled:
    """A suspended process keeps the lock of the file by which the runs share the quota."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """The service accepts fewer requests than the configuration allows: about *requests* in each window."""

    requests: int


Notice: TypeAlias = Paused | Stalled | Lowered | OtherClients


class RateReport:
    """Reports each kind of notice once, and a long pause again only if it lasts longer than reported."""

    def __init__(self, on_notice: Callable[[Notice], None]) -> None:
        """Give each notice to *on_notice*; an error in it is dropped, since no request may be lost for a message."""
        self._on_notice = on_notice
        self._reported: set[object] = set()
        self._paused_until = float("-inf")
        self.paused_seconds = 0.0
        """How long sending was or will be paused, in seconds."""
        self.observations = RequestObservations()

    def once(self, notice: Notice) -> bool:
        """Report *notice*, unless one of its kind was reported; return whether it is the first."""
        if type(notice) in self._reported:
            return False
        self._reported.add(type(notice))
        self._report(notice)
        return True

    def add_pause(self, pause: Paused, now: float) -> None:
        """Report *pause* if it is long; one for the pace only the first time."""
        until = now + pause.seconds
        if pause.seconds < _LONG_PAUSE_SECONDS or (pause.why == "pace" and pause.why in self._reported):
            return
        self._reported.add(pause.why)
        if until > self._paused_until + 1:
            self._paused_until = until
            self._report(pause)

    def _report(self, notice: Notice) -> None:
        with suppress(Exception):
            self._on_notice(notice)
