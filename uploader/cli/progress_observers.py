"""Show the progress of a run: as a bar on a terminal, or as a line a minute."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, TextIO

from uploader.cli.signals import signals_stop
from uploader.cli.standard_streams import say
from uploader.outputs.progress import Bar, plain_line
from uploader.run.events import Events, Progressed, Started
from uploader.run.results import RunResult, SourceResult
from uploader.stop import Stop

_LINE_SECONDS: Final = 60.0


class StopOnSignals(Events):
    """Makes signals stop a run in order as soon as it sends."""

    def stoppable(self, stop: Stop) -> None:
        """Pass signals to *stop* from now on."""
        signals_stop(stop)


class ProgressBar(Events):
    """Draws the progress of each source as a bar on a terminal."""

    def __init__(self, terminal: TextIO, clock: Callable[[], float], *, colour: bool = False) -> None:
        """Draw on *terminal*; *clock* is monotonic."""
        self._terminal = terminal
        self._colour = colour
        self._clock = clock
        self._bar: Bar | None = None
        self._stack = ExitStack()

    def started(self, started: Started) -> None:
        """Draw a new bar."""
        self._stack.close()
        self._bar = self._stack.enter_context(
            Bar(
                started.run.source,
                total=started.rows,
                limit=started.requests_per_second,
                stream=self._terminal,
                clock=self._clock,
                began=started.progress,
                colour=self._colour,
            )
        )

    def progressed(self, progress: Progressed) -> None:
        """Update the bar."""
        if self._bar is not None:
            self._bar.show(progress.progress)

    def source_finished(self, _: SourceResult) -> None:
        """Remove the bar."""
        self._bar = None
        self._stack.close()

    def finished(self, _: RunResult) -> None:
        """Remove a bar that is left."""
        self._stack.close()


class ProgressLines(Events):
    """Prints the progress of each source once a minute, where there is no terminal."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Print the first line a minute after the start; *clock* is monotonic."""
        self._clock = clock
        self._since = clock()

    def started(self, _: Started) -> None:
        """Count the minute from now on."""
        self._since = self._clock()

    def progressed(self, progress: Progressed) -> None:
        """Print a line if the minute is over."""
        now = self._clock()
        if now - self._since >= _LINE_SECONDS:
            self._since = now
            say(plain_line(progress.run.source, progress.progress, rows_per_second=progress.rows_per_second))
