"""Hold what is outside of a run: environment variables, the clock, the input, and the user's terminal."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, BinaryIO, TextIO

from uploader.check.source_summary import CheckSummary
from uploader.clock import Clock, real_clock
from uploader.model import Reason, Record, Rejected
from uploader.stop import Stop

if TYPE_CHECKING:
    # It loads what the configuration needs, and not every command has one.
    from uploader.run.proxy_and_certificates import Route


@dataclass(frozen=True, slots=True)
class Environment:
    """What is outside of a run: environment variables, the clock, the input, and the user's terminal.

    *stdin* is None where it is closed. *say* prints one line for the user. *terminal* is where a bar may be drawn; None
    where there is no terminal. *lines* is whether to print a plain line a minute instead, *quiet* whether to print only
    what went wrong. *on_problem* gets each row that the check rejects, with the source's name. *on_reason* gets each
    reason why the check or the service rejects a row, or the check omits a value or warns of it: with the source's
    name, the record, and the service's own message. *on_checked* gets what the check of a run found in each source,
    with its name, before anything is sent. *on_route* gets how the service is reached. *on_row_by_row* gets why a
    source is read row by row though it is large, with its name. *on_stop* gets the `Stop` of a run when it starts to
    send. *raise_if_stopped* raises what the run was asked to stop with, also while the event loop is too busy to
    handle it. *on_start* gets the ID of the start before anything is said. *seconds_left* returns how long the process
    may still take: no limit before a signal came.

    It has no states.
    """

    environ: Mapping[str, str]
    stdin: BinaryIO | None
    say: Callable[[str], None]
    terminal: TextIO | None = None
    lines: bool = False
    quiet: bool = False
    on_problem: Callable[[str, Rejected], None] | None = None
    on_reason: Callable[[str, Record, Reason, str], None] | None = None
    on_checked: Callable[[str, CheckSummary], None] | None = None
    on_route: "Callable[[Route], None] | None" = None
    on_row_by_row: Callable[[str, str], None] | None = None
    on_stop: Callable[[Stop], None] | None = None
    raise_if_stopped: Callable[[], None] = lambda: None
    on_start: Callable[[str], None] | None = None
    seconds_left: Callable[[], float] = lambda: math.inf
    clock: Clock = field(default_factory=real_clock)

    def today(self) -> date:
        """Return the date of the clock in the zone of this machine."""
        return datetime.fromtimestamp(self.clock.wall(), UTC).astimezone().date()
