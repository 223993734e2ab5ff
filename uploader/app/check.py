"""Read and map a whole source before anything of it is sent."""

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

from uploader.app.check_report import Finding
from uploader.changes.unchanged_rows import Recall, library_of
from uploader.check.column_profile import Census
from uploader.check.source_summary import Survey
from uploader.config import Settings, load
from uploader.counts import Books
from uploader.errors import ChangedError, ConfigError, InputError
from uploader.mapping import Plan, compile_plan
from uploader.mapping.required_columns import check_columns
from uploader.model import Record, Rejected, Request
from uploader.rate import Pace, pace
from uploader.run.drift_check import compared, refuse_if_unlike
from uploader.run.fingerprints import key_of, mapping_of, service_of
from uploader.run.options import Options, World
from uploader.run.proxy_and_certificates import route_of
from uploader.run.results import Accounts, new_accounts
from uploader.run.safe_callbacks import dropped, dropping
from uploader.source import Fingerprint, Reading, Source, Trail, descriptor, open_source
from uploader.state import PastTotals
from uploader.state.state_folder import refuse_foreign

_SOME_TIME: Final = "2000-01-01T00:00:00.000Z"
"""Stands for `now` in bodies that are built only to see whether they can be."""


@dataclass(frozen=True, slots=True)
class Job:
    """One source that is ready to be sent: its plan, what the survey found, and the file's fingerprint.

    *fingerprint* is None where only the first *limit* rows were read. *trail* is what was read: nothing else is sent.
    """

    source: Source
    plan: Plan
    survey: Survey
    fingerprint: Fingerprint | None
    limit: int | None
    trail: Trail | None

    def records(self) -> tuple[Reading, Iterator[Record]]:
        """Return a new reading of the source, and the records of it that the job is about: those that were checked.

        Raises ChangedError before the first record of a block that is not what the check has read.
        """
        reading = self.source.read(follows=self.trail)
        if self.limit is not None:
            return reading, islice(reading, min(self.limit, self.survey.read))
        # Counted as well, though the trail has it that there are no more.
        return reading, chain(islice(reading, self.survey.read), self._none_of(reading))

    def _none_of(self, records: Iterator[Record]) -> Iterator[Record]:
        for _ in records:
            raise ChangedError(f"{self.source.name} has more rows than when it was checked. Run again.")
        yield from ()

    def is_swapped(self) -> bool:
        """Return whether the file is not any more the one that was checked, as far as its size, time and inode tell."""
        path, checked = self.source.path, self.fingerprint
        if path is None or checked is None:
            return False
        try:
            found = path.stat()
        except OSError:
            return True
        now = (found.st_size, found.st_mtime_ns, found.st_ino)
        return now != (checked.size, checked.mtime_ns, checked.inode)


def check(
    options: Options, world: World, told: Callable[[Job, Pace], None], findings: list[Finding] | None = None
) -> int:
    """Read and map every source of *options*, send nothing, and return the exit status; *told* hears of each.

    *findings* gets what is found of each source, and holds what is known also when this raises.

    Raises:
        UploaderError: a source is wrong as a whole, or the flags or the configuration are.
    """
    world, told = dropping(world), dropped(told)
    refuse_double_use(options)
    settings = settings_of(options, world, credentials=False)
    refuse_foreign(settings.state_dir)
    route = route_of(settings, world.environ)
    if world.on_route is not None:
        world.on_route(route)
    accounts, pace = new_accounts(options), pace_of(settings)
    findings = [] if findings is None else findings
    findings.extend(Finding(account, Survey(), pace) for account in accounts)
    with Accounts(accounts, summary=options.summary, clock=time.monotonic) as whole, ExitStack() as stack:
        recall = _recall(settings, stack)
        for finding in findings:
            account, survey = finding.account, finding.survey
            try:
                source = finding.source = stack.enter_context(opened(account.source, settings, world))
                hears = [*_problems(source, world), *([] if recall is None else [recall.comparing(survey)])]
                job = prepare(source, settings, limit=options.limit, survey=survey, hears=hears)
                account.blank_lines, account.repairs = source.blank_lines, survey.repairs
            finally:
                account.books = Books(survey.read, rejected=survey.rejected, not_attempted=survey.sendable)
            told(job, pace)
            refuse_if_too_bad(job, settings)
            if survey.census is not None and not options.full:
                past = PastTotals(settings.state_dir)
                finding.comparison = compared(source.name, key_of(settings, source), survey, settings, past)
                refuse_if_unlike([finding.comparison])
            account.finish()
    return whole.exit_status


def settings_of(options: Options, world: World, *, credentials: bool) -> Settings:
    """Return the settings that *options* and the environment give, and warn unless quiet; raises ConfigError."""
    settings = load(options.config, overrides=options.overrides, environ=world.environ, credentials=credentials)
    for warning in () if world.quiet else settings.warnings:
        world.say(f"Warning: {warning}")
    return settings


def pace_of(settings: Settings) -> Pace:
    """Return how fast *settings* let a run go."""
    rate = settings.rate
    return pace(requests=rate.requests, per=rate.per, share=rate.share, burst=rate.burst, concurrency=rate.concurrency)


def opened(name: str, settings: Settings, world: World) -> Source:
    """Open the source called *name*; raises InputError, or ConfigError for an unknown encoding."""
    wanted = settings.source
    return open_source(
        name,
        format=wanted.format,
        encoding=wanted.encoding,
        delimiter=wanted.delimiter,
        stdin=world.stdin,
        unpacking=settings.limits.max_unpacked,
    )


def prepare(
    source: Source,
    settings: Settings,
    *,
    limit: int | None,
    survey: Survey,
    hears: Sequence[Callable[[Record, Request | Rejected], None]] = (),
) -> Job:
    """Compile the plan for *source* and read it whole, counting into *survey*; *hears* get each record and its work.

    Raises:
        InputError: the source is unreadable, lacks a mapped column, or is otherwise wrong as a whole.
        ConfigError: the mapping does not suit the source.
    """
    plan = compile_plan(
        settings.rules(),
        source=source.name,
        config=str(settings.file),
        columns=source.columns,
        kinds=source.kinds,
        null_is_empty=source.format == "parquet",
        only_texts=source.format == "csv",
    )
    if source.columns is None:
        survey.unseen.update(plan.columns)
    if settings.guarded is not None and _is_comparable(source, limit):
        survey.census = Census(source.columns, mapped=plan.columns, null_values=settings.source.null_values)
    with source.read() as reading:
        for record, work in survey.take(islice(reading, limit), plan, _SOME_TIME):
            for hear in hears:
                hear(record, work)
        fingerprint, trail = reading.fingerprint if limit is None else None, reading.trail
    _refuse_unseen(source, plan, settings, survey, limit)
    return Job(source, plan, survey, fingerprint, limit, trail)


def refuse_if_too_bad(job: Job, settings: Settings) -> None:
    """Raise InputError when more rows are rejected than `limits.max_rejected` lets pass; retry files always pass."""
    survey, share = job.survey, settings.limits.max_rejected
    if job.source.is_retry or not survey.exceeds(share):
        return
    reason, problem = survey.problems.most_frequent()[0]
    raise InputError(
        f"{job.source.name}: {survey.rejected:,} of {survey.read:,} rows can't be sent, more than limits.max_rejected "
        f"({share:.0%}); most often: {reason.phrase} ({problem.count:,} rows, first row {problem.places[0][0]}). "
        "Nothing was sent. Mend the file or the mapping, or raise limits.max_rejected."
    )


def refuse_double_use(options: Options) -> None:
    """Raise ConfigError when the flags of *options* can't go together, InputError for a SOURCE that leads nowhere."""
    _refuse_loops(options)
    standard_inputs = [name for name in options.sources if descriptor(name) == 0]
    if len(standard_inputs) > 1:
        raise ConfigError(f"SOURCE '{standard_inputs[1]}' is given twice; standard input can be read once.")
    if options.retry_file is not None and len(options.sources) > 1:
        raise ConfigError("--retry-file goes with one SOURCE; with several, set output.retry_file to a template.")
    seen: set[Path] = set()
    for name in options.sources:
        try:
            path = Path(name).resolve()
        except PermissionError as error:
            raise InputError(f"{name} can't be read: {error.strerror}. Fix that, then run again.") from None
        if name != "-" and (path in seen or any(_is_same(path, other) for other in seen)):
            raise ConfigError(f"SOURCE '{name}' is given twice. Name it once.")
        seen.add(path)
    if options.summary is not None and options.summary.resolve() in {*seen, options.config.resolve()}:
        raise ConfigError(f"--summary {options.summary} would replace a file that this run reads. Name another one.")


def _is_same(path: Path, other: Path) -> bool:
    """Whether two paths are names of one file (hard links, or a mount in another place)."""
    try:
        return path.is_file() and path.samefile(other)
    except OSError:
        return False


def _refuse_loops(options: Options) -> None:
    for name in options.sources:
        if _is_loop(Path(name)):
            raise InputError(f"{name} is a link that leads back to itself. Name a file.")
    for flag, path in (("summary", options.summary), ("retry-file", options.retry_file), ("config", options.config)):
        if path is not None and _is_loop(path):
            raise ConfigError(f"--{flag} {path} is a link that leads back to itself. Name another file.")


def _is_loop(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _is_comparable(source: Source, limit: int | None) -> bool:
    """Whether the next run is of the same source, whole: one of a retry file or of standard input is not."""
    return limit is None and not source.is_retry and source.path is not None


def _recall(settings: Settings, stack: ExitStack) -> Recall | None:
    """Return what is remembered of people, only to be looked at; None where nothing is, or nothing asks for it."""
    service = service_of(settings.api.base_url, settings.api.service_id)
    library = library_of(settings.state_dir)
    if not settings.changed_only or not library.has(service):
        return None
    recall = stack.enter_context(Recall(library, service, settings, mapping=mapping_of(settings), read_only=True))
    return recall if recall.is_kept else None


def _problems(source: Source, world: World) -> Iterator[Callable[[Record, Request | Rejected], None]]:
    tell = world.on_problem
    if tell is None:
        return

    def hear(_: Record, work: Request | Rejected) -> None:
        if isinstance(work, Rejected):
            tell(source.name, work)

    yield hear


def _refuse_unseen(source: Source, plan: Plan, settings: Settings, survey: Survey, limit: int | None) -> None:
    """Refuse JSONL of which not one object has a key that the mapping reads; a few rows alone say nothing."""
    if source.columns is not None or source.is_retry or limit is not None or survey.read == survey.damaged:
        return
    if survey.unseen:
        check_columns(plan.columns, sorted(survey.names), source=source.name, config=str(settings.file))
