"""Hold what is outside of a run: the environment, the input, and the user who may be watching."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, BinaryIO, TextIO

from uploader.check.source_summary import CheckSummary
from uploader.clock import Clock, real_clock
from uploader.model import Rejected
from uploader.stop import Stop

if TYPE_CHECKING:
    # It loads what the configuration needs, and not every command has one.
    from uploader.run.proxy_and_certificates import Route


@dataclass(frozen=True, slots=True)
class Environment:
    """What is outside: the environment, the clock, the input, and the user who may be watching.

    *stdin* is None where it is closed. *say* prints one line for people. *terminal* is where a bar may be drawn (None:
    nobody watches). *lines* is whether a plain line a minute is wanted in its place, *quiet* whether nothing is to be
    said but what went wrong. *on_problem* hears of each row that the check rejects, with the source's name.
    *on_checked* hears what the check of a run found of each source, with its name, before anything is sent. *on_route*
    hears how the service is reached. *on_stop* is handed the stop order of a run when it begins to send.
    *raise_if_stopped* raises what the run was told to stop with, also while the loop is kept from hearing of it.

    It has no states.
    """

    environ: Mapping[str, str]
    stdin: BinaryIO | None
    say: Callable[[str], None]
    terminal: TextIO | None = None
    lines: bool = False
    quiet: bool = False
    on_problem: Callable[[str, Rejected], None] | None = None
    on_checked: Callable[[str, CheckSummary], None] | None = None
    on_route: "Callable[[Route], None] | None" = None
    on_stop: Callable[[Stop], None] | None = None
    raise_if_stopped: Callable[[], None] = lambda: None
    clock: Clock = field(default_factory=real_clock)

    def today(self) -> date:
        """Return the date of the clock in the zone of this machine."""
        return datetime.fromtimestamp(self.clock.wall(), UTC).astimezone().date()
