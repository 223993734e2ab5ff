"""Word what the check found in a source, for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from uploader.check.joined_identities import JoinedValue
from uploader.check.source_summary import CheckSummary
from uploader.cli.found_values import ShownValues, no_values
from uploader.counts import Problem, Problems
from uploader.mapping import Repairs
from uploader.mapping.cleaning import StepName
from uploader.mapping.identity_values import ODD_CODES
from uploader.model import Reason
from uploader.outputs.duration_text import spell_seconds
from uploader.outputs.shown_values import quoted
from uploader.run.events import Checked
from uploader.run.refusals import joined_phrase
from uploader.run.remarks import display_name

_SHOWN: Final = 12
"""How many different problems a summary lists."""

_DONE: Final[Mapping[StepName, str]] = {
    "trim": "trimmed (trim: true)",
    "strip": "freed of texts at the ends (strip)",
    "case": "put into one case (case)",
    "values": "replaced by what is sent for them (values)",
    "phone": "written as the API writes phone numbers (phone)",
    "thousands": "freed of separators (thousands)",
    "decimal": "given a decimal point (decimal)",
    "hash": "hashed (hash)",
}
"""What each cleaning step does to a value."""

_FIRST: Final = 3
"""How many different problems a run prints before it sends; all of them are printed when it has ended."""


def check_lines(checked: Checked, values: ShownValues = no_values) -> Iterator[str]:
    """Yield what the check of one source found, with the *values* that were asked for."""
    summary, name = checked.summary, display_name(checked.run.source)
    if not summary.read:
        yield f"{name}: no rows, nothing to do."
        return
    yield f"{name}: {count(summary.read, 'row')}, {_sendable(summary)}."
    if checked.blank_lines:
        skipped = "is skipped" if checked.blank_lines == 1 else "are skipped"
        yield f"  {count(checked.blank_lines, 'blank line')} {skipped}."
    yield from problem_lines(summary.problems, shown=None, values=values)
    yield from _odd_identity_lines(summary.problems)
    yield from _joined_lines(checked, shows_values=values is not no_values)
    yield from duplicate_lines(summary)
    yield from repair_lines(summary.repairs, values)
    yield from _warning_lines(summary.warnings, shown=None, values=values)
    if summary.changes is not None:
        yield f"  About {summary.to_send:,} changed since the service accepted them last; the others need no request."
    if summary.to_send:
        seconds = summary.to_send / checked.rows_per_second
        takes = "less than a second" if seconds < 1 else f"about {spell_seconds(seconds)}"
        yield f"  At {checked.rows_per_second * 60:,.0f} requests a minute, sending takes {takes}."


def first_lines(name: str, summary: CheckSummary, values: ShownValues = no_values) -> Iterator[str]:
    """Yield the first problems and warnings that the check of a run found in the source called *name*."""
    if summary.rejected:
        yield f"{display_name(name)}: {summary.rejected:,} of {count(summary.read, 'row')} can't be sent."
        yield from problem_lines(summary.problems, shown=_FIRST, values=values)
        yield from _odd_identity_lines(summary.problems)
    elif summary.warnings:
        yield f"{display_name(name)}: {count(summary.read, 'row')}, {_sendable(summary)}."
    yield from _warning_lines(summary.warnings, shown=_SHOWN, values=values)
    if values is not no_values:
        yield from map(_joined_line, summary.joined[:_FIRST])


def warnings_alone(name: str, summary: CheckSummary) -> Iterator[str]:
    """Yield the first warnings about the source called *name*, for a run that nobody watches."""
    if summary.warnings:
        yield f"{display_name(name)}: {count(summary.read, 'row')}."
        yield from _warning_lines(summary.warnings, shown=_SHOWN, values=no_values)


def _sendable(summary: CheckSummary) -> str:
    """Return how many rows can be sent, as far as each row alone can show it."""
    can = f"{summary.sendable:,} can be sent, {summary.rejected:,} can't" if summary.rejected else "all can be sent"
    return f"{can}, but none before the values that join people are cleaned or accepted" if summary.joined else can


def problem_lines(problems: Problems, shown: int | None = _SHOWN, *, values: ShownValues = no_values) -> Iterator[str]:
    """Yield each problem with how many rows have it and the first of them, the most frequent first.

    At most *shown* problems are listed; None lists all. A problem has a line for each of its *values*.
    """
    found = problems.most_frequent()
    shown = len(found) if shown is None else shown
    for reason, problem in found[:shown]:
        yield from _reason_lines(reason, problem, values(reason))
    if len(found) > shown:
        yield f"  … and {count(len(found) - shown, 'other problem')}"


def _reason_lines(reason: Reason, problem: Problem, values: Sequence[tuple[str, Problem]]) -> Iterator[str]:
    if not values:
        yield f"  {reason.phrase}{_rows(problem)}"
    for phrase, with_value in values:
        yield f"  {phrase}{_rows(with_value)}"
    others = problem.count - sum(with_value.count for _, with_value in values)
    if values and others > 0:
        yield f"  {reason.phrase} ({count(others, 'other row')})"


def duplicate_lines(summary: CheckSummary) -> Iterator[str]:
    """Yield how many identity values are duplicates, if any; "About" marks an estimate."""
    if summary.duplicates.count:
        about = "" if summary.duplicates.is_exact else "About "
        each = "it" if summary.duplicates.count == 1 else "each"
        yield f"  {about}{count(summary.duplicates.count, 'duplicate identity value')}: {each} is in more than one row."


def place(number: int, line: int) -> str:
    """Return the row's number, and its line where the file has lines."""
    return f"row {number:,} (line {line:,})" if line else f"row {number:,}"


def repair_lines(repairs: Repairs, values: ShownValues = no_values) -> Iterator[str]:
    """Yield how many values were repaired and omitted, if any were; of the omitted, the *values* that are shown."""
    for step, done in _DONE.items():
        if number := repairs.steps.get(step, 0):
            yield f"  {count(number, 'value')} {'was' if number == 1 else 'were'} {done}."
    for omitted, number in repairs.omitted.items():
        shown = values(omitted.reason)
        for phrase, with_value in shown:
            yield f"{_omitted(with_value.count, 'value')}: {phrase}{_rows(with_value)}."
        left = number - sum(with_value.count for _, with_value in shown)
        if left > 0:
            yield f"{_omitted(left, 'other value' if shown else 'value')}: {omitted.reason.phrase}."


def _omitted(number: int, noun: str) -> str:
    return f"  {count(number, noun)} {'was' if number == 1 else 'were'} omitted"


def _odd_identity_lines(problems: Problems) -> Iterator[str]:
    if any(reason.code in ODD_CODES for reason, _ in problems.most_frequent()):
        yield "  To send such identities as they stand, set limits.odd_identities: send."


def _joined_line(joined: JoinedValue) -> str:
    """Return what the error of the run does not say of *joined*: the value itself."""
    more = "more than " if joined.is_at_least else ""
    places = ", ".join(place(number, line) for number, line in joined.places)
    return f"  {joined.name} {quoted(joined.value)} joins {more}{joined.people:,} people: {places}, …"


def _joined_lines(checked: Checked, *, shows_values: bool) -> Iterator[str]:
    joined = checked.summary.joined
    for one in joined[:_SHOWN]:
        yield f"  {joined_phrase(one, checked.identity_columns, shows_value=shows_values)}"
    if len(joined) > _SHOWN:
        yield f"  … and {count(len(joined) - _SHOWN, 'other value')} that would join people"


def _warning_lines(warnings: Problems, *, shown: int | None, values: ShownValues) -> Iterator[str]:
    if warnings:
        yield "  Warnings, of rows that can be sent all the same:"
        yield from (f"  {line}" for line in problem_lines(warnings, shown, values=values))
        if shown is not None and len(warnings.most_frequent()) > shown:
            yield "  `uploader check` shows them all."


def _rows(problem: Problem) -> str:
    places = ", ".join(place(number, line) for number, line in problem.places)
    if problem.count == len(problem.places):
        return f": {places}"
    return f" ({problem.count:,} rows): {places}, …"


def count(number: int, noun: str) -> str:
    """Return *number* and its *noun*, in the singular for 1."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
