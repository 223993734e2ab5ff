"""Refuse a source that is wrong as a whole, before anything is sent."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from uploader.batch import Batch, has_cells
from uploader.check.batch_observers import RowObserver
from uploader.check.joined_identities import JoinedValue
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings
from uploader.errors import InputError, JoinedError, UnsuitedError
from uploader.mapping import Plan
from uploader.mapping.good_rows import GoodRows
from uploader.mapping.identity_values import column_of_field
from uploader.mapping.registered_properties import unregistered
from uploader.mapping.required_columns import (
    check_columns,
    missing_columns,
    needed_columns,
    refuse_binary_texts,
    within_structs,
)
from uploader.mapping.rules import MappingRules
from uploader.model import MAX_JOINED, MaxJoined, Record, Rejected, Request, Row, alike
from uploader.outputs.shown_values import quoted
from uploader.run.job import Job
from uploader.source import Source, refuse_unmappable


def refuse_wrong_header(source: Source, rules: MappingRules) -> None:
    """Raise InputError when a column that *rules* read is text written as bytes, or not named by the header alone."""
    if source.columns is None:
        return
    needed = needed_columns(rules)
    refuse_binary_texts(needed, source.kinds, source=source.name)
    refuse_unmappable(source.name, source.columns, None if rules.other_columns == "send" else needed)
    if needed.keys() <= set(source.columns):
        return
    known = {*map(alike, source.columns)}
    above = source.lines_above_header(needed)
    if above is None or any(alike(column) in known for column in needed):
        return
    lines = "1 other line" if above == 1 else f"{above} other lines"
    raise InputError(
        f"{source.name}: its header is on line {above + 1}, below {lines}, such as a title. "
        f"Set source.skip_lines: {above}."
    )


def refuse_unseen(source: Source, plan: Plan, settings: Settings, summary: CheckSummary, limit: int | None) -> None:
    """Refuse JSONL of which not one object has a key that the mapping reads; a few rows alone say nothing."""
    if source.columns is not None or source.is_retry or limit is not None or summary.read == summary.damaged:
        return
    if summary.columns.unseen:
        check_columns(plan.columns, sorted(summary.names), source=source.name, config=str(settings.file))


def registered_names(source: Source, settings: Settings) -> Iterator[RowObserver]:
    """Yield what refuses a row of *source* with a property that is not registered, where only its rows show the names.

    Raises InputError at once for what the mapping and the columns show: names and types that the service would drop,
    and beside them the columns that are missing.
    """
    registered, rules = settings.registered, settings.rules()
    if registered is None:
        return
    fault_with = partial(
        unregistered,
        rules,
        registered,
        kinds=source.kinds,
        short_form="string" if source.format == "csv" else None,
        config=str(settings.file),
    )
    if (fault := fault_with(columns=source.columns or ())) is not None:
        refuse_wrong_header(source, rules)
        missing = _missing_columns(source, rules, settings)
        raise InputError(fault) if missing is None else UnsuitedError(f"{missing}\n{fault}")
    if source.columns is not None or rules.other_columns != "send":
        return
    yield _RegisteredKeys(lambda columns: fault_with(columns=columns))


class _RegisteredKeys:
    """Raises InputError for what *fault_with* finds wrong with the keys of a row that can be sent and has a new one."""

    def __init__(self, fault_with: Callable[[tuple[str, ...]], str | None]) -> None:
        self._fault_with = fault_with
        self._known: set[str] = set()

    def __call__(self, record: Record, work: Request | Rejected) -> None:
        if isinstance(record, Row) and isinstance(work, Request) and not record.fields.keys() <= self._known:
            if (fault := self._fault_with(tuple(record.fields))) is not None:
                raise InputError(fault)
            self._known.update(record.fields)

    def wants_rows(self, batch: Batch) -> bool:
        return has_cells(batch, set(batch.table.columns) - self._known)

    def add_good(self, _good: GoodRows) -> None:
        """Do nothing: all keys are known."""


def _missing_columns(source: Source, rules: MappingRules, settings: Settings) -> str | None:
    if source.columns is None:
        return None
    columns = [*source.columns, *within_structs(source.columns, source.kinds)]
    return missing_columns(needed_columns(rules), columns, source=source.name, config=str(settings.file))


def refuse_if_too_bad(job: Job, settings: Settings) -> None:
    """Raise InputError when more rows are rejected than `limits.max_rejected` allows; retry files always pass."""
    summary, share = job.summary, settings.limits.max_rejected
    if job.source.is_retry or not summary.exceeds(share):
        return
    reason, problem = summary.problems.most_frequent()[0]
    raise InputError(
        f"{job.source.name}: {summary.rejected:,} of {summary.read:,} rows can't be sent, more than "
        f"limits.max_rejected ({share:.0%}); most often: {reason.phrase} "
        f"({problem.count:,} rows, first row {problem.places[0][0]}). "
        "Nothing was sent. Fix the file or the mapping, or raise limits.max_rejected."
    )


def refuse_joined(job: Job, settings: Settings) -> None:
    """Raise JoinedError when an identity value would join more people than `limits.max_joined` lets pass."""
    worst: dict[str, JoinedValue] = {}
    for joined in job.summary.joined:
        worst.setdefault(joined.name, joined)
    if not worst:
        return
    others = len(job.summary.joined) - len(worst)
    more = f"; and {others:,} other value{'s' if others > 1 else ''}" if others else ""
    accepted = _accepted(settings.limits.max_joined, worst, job)

    def message(*, shows_values: bool) -> str:
        columns = job.plan.identity_columns
        found = "; ".join(joined_phrase(joined, columns, shows_value=shows_values) for joined in worst.values())
        return (
            f"{job.source.name}: {found}{more}. Nothing was sent: the service joins people for good. If the value "
            "stands for nobody, add it to source.null_values, or clean the column; if it is right, type "
            f"--set 'limits.max_joined={accepted}'."
        )

    raise JoinedError(message(shows_values=False), message(shows_values=True))


def joined_phrase(joined: JoinedValue, columns: Mapping[str, str], *, shows_value: bool = False) -> str:
    """Return what *joined* would do, without its value unless *shows_value*.

    *columns* are those of the identity fields.
    """
    value = quoted(joined.value) if shows_value else "one value"
    places = ", ".join(f"{number:,}" for number, _ in joined.places)
    more = "more than " if joined.is_at_least else ""
    return (
        f"{column_of_field(columns[joined.name], joined.name)}: {value} joins {more}{joined.people:,} people, each "
        f"with another value of {column_of_field(columns[joined.beside], joined.beside)} "
        f"(in {joined.rows:,} rows: {places}, …)"
    )


def _accepted(limits: MaxJoined, worst: Mapping[str, JoinedValue], job: Job) -> str:
    """Return the limits that would let pass what is in *worst*."""
    of_field = {name: limits.of(name) for name in job.plan.identity_columns if limits.of(name) != MAX_JOINED}
    of_field |= {name: None if joined.is_at_least else joined.people for name, joined in worst.items()}
    return "{" + ", ".join(f"{name}: {'off' if most is None else most}" for name, most in of_field.items()) + "}"
