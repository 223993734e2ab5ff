"""Print what a run or a check reports, for people."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TextIO

from uploader.cli.check_messages import check_lines, first_lines, place, warnings_alone
from uploader.cli.found_values import FoundValues, ShownValues, no_values
from uploader.cli.line_format import LINES
from uploader.cli.standard_streams import say
from uploader.outputs.shown_values import phrase_with_values
from uploader.outputs.spinner import spinner
from uploader.run.events import (
    Checked,
    Events,
    OthersSeen,
    Reading,
    Remark,
    RemarkLevel,
    RowReason,
    SourceRun,
    ThrottledPause,
)
from uploader.run.rate_messages import others_line, pause_line


class LineIds(Events):
    """Puts the ID of the start into each line that goes to no terminal."""

    def begun(self, start_id: str) -> None:
        """Use the ID from now on."""
        LINES.set_run(start_id)


class Remarks(Events):
    """Prints what a run remarks, down to a level: with *quiet* only warnings, with *verbose* also details."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        """Print nothing yet."""
        self._quiet = quiet
        levels: set[RemarkLevel] = {"warning"} if quiet else {"warning", "note"}
        if verbose and not quiet:
            levels.add("detail")
        self._levels: frozenset[RemarkLevel] = frozenset(levels)

    def remark(self, remark: Remark) -> None:
        """Print *remark*."""
        if remark.level in self._levels:
            say(remark.text, "warning" if remark.level == "warning" else "info")

    def throttled(self, throttled: ThrottledPause) -> None:
        """Print how long all requests pause."""
        if not self._quiet:
            say(pause_line(throttled.seconds, throttled.why, now=throttled.since))

    def other_clients(self, others: OthersSeen) -> None:
        """Print how much other clients use."""
        if not self._quiet:
            say(others_line(others.requests_per_minute))


class Findings(Events):
    """Prints what *lines* makes of the check of each source."""

    def __init__(self, lines: Callable[[Checked], Iterator[str]]) -> None:
        """Print nothing yet."""
        self._lines = lines

    def checked(self, checked: Checked) -> None:
        """Print what was found."""
        for line in self._lines(checked):
            say(line)


def all_findings(found: FoundValues | None) -> Findings:
    """Return what prints all that a check finds, with the values in *found*."""
    return Findings(lambda checked: check_lines(checked, _values(found, checked)))


def first_findings(found: FoundValues | None) -> Findings:
    """Return what prints the first problems that the check of a run finds, with the values in *found*."""
    return Findings(lambda checked: first_lines(checked.run.source, checked.summary, _values(found, checked)))


def only_warnings() -> Findings:
    """Return what prints the warnings of the check of a run that nobody watches."""
    return Findings(lambda checked: warnings_alone(checked.run.source, checked.summary))


def _values(found: FoundValues | None, checked: Checked) -> ShownValues:
    return no_values if found is None else found.in_source(checked.run.source)


class Collecting(Events):
    """Adds the values that rows have where something else was expected to *found*."""

    def __init__(self, found: FoundValues) -> None:
        """Add nothing yet."""
        self._found = found

    def reason_found(self, found: RowReason) -> None:
        """Add the value that a reason is about."""
        self._found.add(found.run.source, found.record, found.reason, found.message)


class RejectedRows(Events):
    """Prints each row that the check rejects."""

    def __init__(self, *, show_values: bool) -> None:
        """Print the values that are wrong as well if *show_values*."""
        self._show_values = show_values

    def reason_found(self, found: RowReason) -> None:
        """Print a row that is rejected."""
        if found.kind == "rejected":
            record, reason = found.record, found.reason
            phrase = phrase_with_values(record, reason) if self._show_values else reason.phrase
            say(f"{found.run.source}: {place(record.number, record.line)}: {phrase}")


class CheckSpinner(Events):
    """Shows on a terminal how far the check of each source is."""

    def __init__(self, terminal: TextIO) -> None:
        """Draw on *terminal*."""
        self._terminal = terminal
        self._stack = ExitStack()

    def reading(self, reading: Reading) -> None:
        """Draw, if the check takes longer than a second."""
        self._stack.enter_context(spinner(reading.rows, self._terminal))

    def read(self, _: SourceRun) -> None:
        """Remove what is drawn."""
        self._stack.close()
