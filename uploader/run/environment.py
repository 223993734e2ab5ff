"""Hold what is outside of a run: environment variables, the clock, the input, and the observers of its events."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, BinaryIO

from uploader.clock import Clock, real_clock
from uploader.run.events import Events

if TYPE_CHECKING:
    # It loads pydantic, and not every command has a configuration.
    from uploader.config import Settings


@dataclass(frozen=True, slots=True)
class Environment:
    """What is outside of a run: environment variables, the clock, the input, and the observers of its events.

    *settings* are those of a program; None where a configuration is to be read. *stdin* is None where it is closed.
    *raise_if_stopped* raises what the run was asked to stop with, also while the event loop is too busy to handle it.
    *seconds_left* returns how long the process may still take: no limit before a signal came.
    *complete* returns a message whose commands have the flags that the user gave, for the summary and the history.
    """

    environ: Mapping[str, str]
    stdin: BinaryIO | None
    events: Events = field(default_factory=Events)
    raise_if_stopped: Callable[[], None] = lambda: None
    seconds_left: Callable[[], float] = lambda: math.inf
    clock: Clock = field(default_factory=real_clock)
    settings: "Settings | None" = None
    complete: Callable[[str], str] = str

    def today(self) -> date:
        """Return the date of the clock in the zone of this machine."""
        return datetime.fromtimestamp(self.clock.wall(), UTC).astimezone().date()
