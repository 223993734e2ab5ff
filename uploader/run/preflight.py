"""Read and map a source whole, before anything of it is sent."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from typing import Final

from uploader.check.batch_observers import MapBatch, NotGoodObserver, PeopleObserver, RowObserver
from uploader.check.column_profile import ColumnProfile
from uploader.check.joined_identities import JoinedIdentities, JoinedValue
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings, load
from uploader.endpoints import ENDPOINTS
from uploader.mapping import Plan, compile_plan
from uploader.model import Reason, Record, Rejected, Request, is_mappable
from uploader.rate import Pace, pace
from uploader.run.environment import Environment
from uploader.run.events import Checked, Events, Reading, ReasonKind, Remark, RowReason, SourceRun
from uploader.run.job import BatchReader, Job, MappedBatches
from uploader.run.observers import wants
from uploader.run.options import Options
from uploader.run.refusals import refuse_unseen, refuse_wrong_header
from uploader.run.retry_identities import RetryIdentities, earlier_identities
from uploader.source import Fingerprint, ReadTrace, Source, open_source

_SOME_TIME: Final = "2000-01-01T00:00:00.000Z"
"""Stands for `now` in bodies that are built only to see whether they can be."""


def settings_of(options: Options, environment: Environment, *, credentials: bool) -> Settings:
    """Return the settings that *options* and the environment give, and report their warnings; raises ConfigError.

    With *credentials*, they have the token: that of a program may still be in a file, or come from a command.
    """
    if environment.settings is not None:
        return environment.settings.with_credentials() if credentials else environment.settings
    settings = load(options.config, overrides=options.overrides, environ=environment.environ, credentials=credentials)
    for warning in settings.warnings:
        environment.events.remark(Remark(f"Warning: {warning}"))
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
    events: Events | None = None,
    batches: BatchReader | None = None,
) -> Job:
    """Compile the plan for *source* and read it whole into *summary*; *observers* get each record and its work.

    Birth dates are compared with *today* (None: they are not). *events* get the reasons that are found in the records.
    With *batches*, the source is read in batches, unless only its first rows are read, or each row is needed; the
    results are the same.

    Raises:
        InputError: the source is unreadable, lacks a mapped column, or is otherwise wrong as a whole.
        ConfigError: the mapping does not suit the source.
    """
    rules = settings.rules()
    refuse_wrong_header(source, rules)
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
    if events is not None and wants(events, "reason_found"):
        observers = [NotGoodObserver(_reporting_reasons(source.name, plan, events)), *observers]
    if source.columns is None:
        summary.columns.unseen.update(plan.columns)
    if settings.guard is not None and _is_comparable(source, limit):
        summary.column_profile = ColumnProfile(
            None if source.columns is None else [*filter(is_mappable, source.columns)],
            mapped=plan.columns,
            null_values=settings.source.null_values,
            endpoint=ENDPOINTS[settings.api.endpoint],
        )
    mapped = None if batches is None else _mapped(batches, plan, source, limit)
    with _reported(source, summary, events):
        if mapped is None:
            read = _count_rows(source, limit, plan, settings, summary, observers)
        else:
            read = _count_batches(mapped, plan, settings, summary, observers)
    if limit is None and source.suspicion is not None:
        summary.warnings.add(source.suspicion.reason, source.suspicion.row, source.suspicion.line)
    refuse_unseen(source, plan, settings, summary, limit)
    job = Job(source, plan, summary, read.fingerprint, limit, read.trace, earlier, mapped)
    summary.joined = read.find_joined(job)
    return job


@contextmanager
def _reported(source: Source, summary: CheckSummary, events: Events | None) -> Iterator[None]:
    """Report to *events* that *source* is read into *summary*, as long as the context lasts."""
    if events is None:
        yield
        return
    run = SourceRun(source.name)
    events.reading(Reading(run, lambda: summary.read))
    try:
        yield
    finally:
        events.read(run)


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
    add_people = [observer.add_people for observer in observers if isinstance(observer, PeopleObserver)]
    of_rows = [observer for observer in observers if not isinstance(observer, PeopleObserver)]
    with source.read() as reading:
        for record, work in summary.count_rows(islice(reading, limit), plan, _SOME_TIME, add_people=add_people):
            for observe in of_rows:
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


def _reporting_reasons(name: str, plan: Plan, events: Events) -> RowObserver:
    """Return an observer that reports what the check finds in each record of the source called *name*."""
    run = SourceRun(name)

    def report(kind: ReasonKind, record: Record, reasons: Iterable[Reason]) -> None:
        for reason in reasons:
            events.reason_found(RowReason(run, kind, record, reason))

    def report_reasons(record: Record, work: Request | Rejected) -> None:
        if isinstance(work, Rejected):
            report("rejected", record, [work.reason])
        else:
            report("omitted", record, plan.omitted_from(work))
            report("suspect", record, plan.suspect(work))

    return report_reasons


def checked_event(job: Job, pace: Pace, *, at: float, seconds: float) -> Checked:
    """Return what is reported of *job* when it is checked: *at* that time (since 1970), after so many *seconds*."""
    return Checked(
        SourceRun(job.source.name),
        at,
        seconds,
        job.summary,
        job.source.blank_lines,
        job.plan.identity_columns,
        pace.rate,
    )


def _is_comparable(source: Source, limit: int | None) -> bool:
    """Whether the next run may be compared with this one: a retry file, standard input or a part of a file may not."""
    return limit is None and not source.is_retry and source.path is not None
