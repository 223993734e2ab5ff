"""Read and map a source whole, before anything of it is sent."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import chain, islice
from types import TracebackType
from typing import Final, Protocol, Self

from uploader.batch import Batch, has_cells
from uploader.check.batch_observers import MapBatch, NotGoodObserver, RowObserver
from uploader.check.column_profile import ColumnProfile
from uploader.check.joined_identities import JoinedIdentities, JoinedValue
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings, load
from uploader.endpoints import ENDPOINTS
from uploader.errors import ChangedError, InputError, JoinedError, UnsuitedError
from uploader.mapping import Plan, compile_plan
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
from uploader.model import MAX_JOINED, MaxJoined, Reason, Record, Rejected, Request, Row, alike, is_mappable
from uploader.outputs.shown_values import quoted
from uploader.rate import Pace, pace
from uploader.run.environment import Environment
from uploader.run.options import Options
from uploader.run.retry_identities import RetryIdentities, earlier_identities
from uploader.source import Fingerprint, Reading, ReadTrace, Source, open_source, refuse_unmappable

_SOME_TIME: Final = "2000-01-01T00:00:00.000Z"
"""Stands for `now` in bodies that are built only to see whether they can be."""


class BatchReading(Protocol):
    """A pass over the batches of a source, which is like a `Reading` of its records."""

    def __enter__(self) -> Self:
        """Return the pass."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches that are left."""

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the file, at the end."""

    @property
    def trace(self) -> ReadTrace | None:
        """What was read so far."""


@dataclass(frozen=True, slots=True)
class BatchReader:
    """How a source is read and mapped in batches.

    *read* returns a new pass over its batches, which must repeat the pass of a trace. *mapper* returns what maps the
    tables as a plan maps rows, or why nothing does. *say_why_not* gets why the source is read row by row after all.
    """

    read: Callable[[ReadTrace | None], BatchReading]
    mapper: Callable[[Plan], MapBatch | str]
    say_why_not: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class MappedBatches:
    """The batches of a source, which *read* reads as in `BatchReader`, and what maps their tables."""

    read: Callable[[ReadTrace | None], BatchReading]
    map_batch: MapBatch


@dataclass(frozen=True, slots=True)
class Job:
    """One source that is ready to be sent: its plan, what the check found, and the file's fingerprint.

    *fingerprint* is None where only the first *limit* rows were read. *trace* is what was read: nothing else is sent.
    *earlier_identities* are those of the rows of a retry file when it was written. *batches* is how it was read in
    batches; None where it was read row by row.
    """

    source: Source
    plan: Plan
    summary: CheckSummary
    fingerprint: Fingerprint | None
    limit: int | None
    trace: ReadTrace | None
    earlier_identities: RetryIdentities | None = None
    batches: MappedBatches | None = None

    def records(self) -> tuple[Reading, Iterator[Record]]:
        """Return a new reading of the source, and its records that were checked.

        Raises ChangedError before the first record of a block that is not what the check has read.
        """
        reading = self.source.read(follows=self.trace)
        if self.limit is not None:
            return reading, islice(reading, min(self.limit, self.summary.read))
        # The count is checked as well, though the trace allows no further records.
        return reading, chain(islice(reading, self.summary.read), self._none_of(reading))

    @contextmanager
    def records_again(self) -> Iterator[Iterator[Record]]:
        """Read the records that the job is about once more; raises ChangedError if they are others by now."""
        reading, records = self.records()
        with reading:
            yield records

    def checked(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield *batches*, which are of the source; raises ChangedError where they have more rows than were checked."""
        for batch in batches:
            if batch.first + batch.count - 1 > self.summary.read:
                raise self._has_more()
            yield batch

    def _none_of(self, records: Iterator[Record]) -> Iterator[Record]:
        for _ in records:
            raise self._has_more()
        yield from ()

    def _has_more(self) -> ChangedError:
        return ChangedError(f"{self.source.name} has more rows than when it was checked. Run again.")

    def is_swapped(self) -> bool:
        """Return whether the file is no longer the one that was checked, by its size, time and inode."""
        path, checked = self.source.path, self.fingerprint
        if path is None or checked is None:
            return False
        try:
            found = path.stat()
        except OSError:
            return True
        now = (found.st_size, found.st_mtime_ns, found.st_ino)
        return now != (checked.size, checked.mtime_ns, checked.inode)


def settings_of(options: Options, environment: Environment, *, credentials: bool) -> Settings:
    """Return the settings that *options* and the environment give, and warn unless quiet; raises ConfigError."""
    settings = load(options.config, overrides=options.overrides, environ=environment.environ, credentials=credentials)
    for warning in () if environment.quiet else settings.warnings:
        environment.say(f"Warning: {warning}")
    return settings


def pace_of(settings: Settings) -> Pace:
    """Return how fast *settings* let a run send."""
    rate = settings.rate
    return pace(requests=rate.requests, per=rate.per, share=rate.share, burst=rate.burst, concurrency=rate.concurrency)


def opened(name: str, settings: Settings, environment: Environment) -> Source:
    """Open the source called *name*; raises InputError, or ConfigError for an unknown encoding."""
    wanted = settings.source
    return open_source(
        name,
        format=wanted.format,
        encoding=wanted.encoding,
        delimiter=wanted.delimiter,
        skip_lines=wanted.skip_lines,
        stdin=environment.stdin,
        unpacking=settings.limits.max_unpacked,
    )


def prepare(  # noqa: PLR0913 — the parts of one check: what is read, by which rules, up to where, and who is to hear
    source: Source,
    settings: Settings,
    *,
    limit: int | None,
    summary: CheckSummary,
    today: date | None = None,
    observers: Sequence[RowObserver] = (),
    on_reason: Callable[[str, Record, Reason, str], None] | None = None,
    batches: BatchReader | None = None,
) -> Job:
    """Compile the plan for *source* and read it whole into *summary*; *observers* get each record and its work.

    Birth dates are compared with *today* (None: they are not). *on_reason* is that of `Environment`. With *batches*,
    the source is read in batches, unless only its first rows are read, or each row is needed; the results are the same.

    Raises:
        InputError: the source is unreadable, lacks a mapped column, or is otherwise wrong as a whole.
        ConfigError: the mapping does not suit the source.
    """
    rules = settings.rules()
    _refuse_wrong_header(source, rules)
    plan = compile_plan(
        rules,
        endpoint=ENDPOINTS[settings.api.endpoint],
        source=source.name,
        config=str(settings.file),
        columns=source.columns,
        kinds=source.kinds,
        null_is_empty=source.format == "parquet",
        today=today,
    )
    earlier = earlier_identities(source, plan, settings)
    if earlier is not None:
        plan = replace(plan, refuse=earlier.refuse)
        observers = [*observers, _warning_of_changed(earlier, summary)]
    if on_reason is not None:
        observers = [NotGoodObserver(_giving_reasons(source.name, plan, on_reason)), *observers]
    if source.columns is None:
        summary.unseen.update(plan.columns)
    if settings.guarded is not None and _is_comparable(source, limit):
        summary.column_profile = ColumnProfile(
            None if source.columns is None else [*filter(is_mappable, source.columns)],
            mapped=plan.columns,
            null_values=settings.source.null_values,
            endpoint=ENDPOINTS[settings.api.endpoint],
        )
    mapped = None if batches is None else _mapped(batches, plan, source, limit)
    if mapped is None:
        read = _count_rows(source, limit, plan, settings, summary, observers)
    else:
        read = _count_batches(mapped, plan, settings, summary, observers)
    if limit is None and source.suspicion is not None:
        summary.warnings.add(source.suspicion.reason, source.suspicion.row, source.suspicion.line)
    _refuse_unseen(source, plan, settings, summary, limit)
    job = Job(source, plan, summary, read.fingerprint, limit, read.trace, earlier, mapped)
    summary.joined = read.find_joined(job)
    return job


def _mapped(batches: BatchReader, plan: Plan, source: Source, limit: int | None) -> MappedBatches | None:
    """Return the batches of *source* with what maps them as *plan* does; None where there is none, which is said."""
    if source.is_retry:
        found: MapBatch | str = "it is a retry file"
    elif limit is not None:
        found = "only its first rows are read (--limit)"
    else:
        found = batches.mapper(plan)
    if isinstance(found, str):
        batches.say_why_not(found)
        return None
    return MappedBatches(batches.read, found)


@dataclass(frozen=True, slots=True)
class _WholePass:
    """What is known of a file that was read, and what finds the identity values in it that would join people."""

    fingerprint: Fingerprint | None
    trace: ReadTrace | None
    find_joined: Callable[[Job], list[JoinedValue]]


def _count_rows(  # noqa: PLR0913, PLR0917 — as for `prepare`
    source: Source,
    limit: int | None,
    plan: Plan,
    settings: Settings,
    summary: CheckSummary,
    observers: Sequence[RowObserver],
) -> _WholePass:
    joined = JoinedIdentities(settings.limits.max_joined, plan.identity_columns)
    summary.joined_identities = joined if plan.has_several_identities else None
    with source.read() as reading:
        for record, work in summary.count_rows(islice(reading, limit), plan, _SOME_TIME):
            for observe in observers:
                observe(record, work)
        fingerprint, trace = reading.fingerprint if limit is None else None, reading.trace
    summary.joined_identities = None
    return _WholePass(fingerprint, trace, lambda job: joined.find(plan, job.records_again))


def _count_batches(
    batches: MappedBatches,
    plan: Plan,
    settings: Settings,
    summary: CheckSummary,
    observers: Sequence[RowObserver],
) -> _WholePass:
    from uploader.check.count_batches import count_batches  # noqa: PLC0415 — polars starts slowly
    from uploader.check.joined_in_batches import JoinedInBatches  # noqa: PLC0415 — polars starts slowly

    joined = JoinedInBatches(settings.limits.max_joined, plan.identity_columns)
    map_batch = batches.map_batch
    with batches.read(None) as reading:
        count_batches(summary, reading, plan, _SOME_TIME, map_batch=map_batch, observers=observers, joined=joined)
        fingerprint, trace = reading.fingerprint, reading.trace
    return _WholePass(fingerprint, trace, lambda _: joined.find(plan, map_batch, lambda: batches.read(trace)))


def _warning_of_changed(earlier: RetryIdentities, summary: CheckSummary) -> RowObserver:
    def warn_of_changed(record: Record, work: Request | Rejected) -> None:
        if isinstance(work, Request) and (reason := earlier.warning(record)) is not None:
            summary.warnings.add(reason, record.number, record.line)

    return warn_of_changed


def _giving_reasons(name: str, plan: Plan, on_reason: Callable[[str, Record, Reason, str], None]) -> RowObserver:
    """Return an observer that gives *on_reason* what the check finds in each record of the source called *name*."""

    def give_reasons(record: Record, work: Request | Rejected) -> None:
        found = [work.reason] if isinstance(work, Rejected) else [*plan.omitted_from(work), *plan.suspect(work)]
        for reason in found:
            on_reason(name, record, reason, "")

    return give_reasons


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
        _refuse_wrong_header(source, rules)
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


def _refuse_wrong_header(source: Source, rules: MappingRules) -> None:
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


def _is_comparable(source: Source, limit: int | None) -> bool:
    """Whether the next run may be compared with this one: a retry file, standard input or a part of a file may not."""
    return limit is None and not source.is_retry and source.path is not None


def _refuse_unseen(source: Source, plan: Plan, settings: Settings, summary: CheckSummary, limit: int | None) -> None:
    """Refuse JSONL of which not one object has a key that the mapping reads; a few rows alone say nothing."""
    if source.columns is not None or source.is_retry or limit is not None or summary.read == summary.damaged:
        return
    if summary.unseen:
        check_columns(plan.columns, sorted(summary.names), source=source.name, config=str(settings.file))
