"""Hold what is decided for the sources of a run before any is sent."""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from uploader.changes.change_detection import ChangeDetection
from uploader.changes.stale_retries import Origins
from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.same_person import SamePerson
from uploader.config import Settings
from uploader.outputs.retry_file import RetryFile
from uploader.outputs.rows_to_resend import RowsToResend
from uploader.run.environment import Environment
from uploader.run.events import SourceRun
from uploader.run.finished_sources import CommandSource
from uploader.run.job import Job
from uploader.run.mark_finished import RunEndings
from uploader.run.options import Options
from uploader.run.results import ResultsSoFar, SourceResult
from uploader.run.resume import FinishedRun, NewRun, ResumedRun, RunChoice
from uploader.state import RunHeader, RunPlace, RunStore, StoredRun


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What all sources of a run share, before any is sent and while they are.

    *folder* is the temporary one of a dry run. *stack* closes what the sources open. All share *rows_to_resend*: a row
    must also follow one of an earlier source that was not accepted. All share *same_person* too; None where a row has
    at most one identity value, which all rows of its person share. *results* and *endings* get what each has become.

    It has no states.
    """

    options: Options
    settings: Settings
    environment: Environment
    run_store: RunStore
    folder: Path | None
    stack: ExitStack
    rows_to_resend: RowsToResend
    changes: ChangeDetection
    same_person: SamePerson | None
    results: ResultsSoFar
    endings: RunEndings

    def origins(self, header: RunHeader) -> Origins:
        """Return the origins of the rows of the run that has *header*; raises StorageError, LockedError."""
        return Origins(header, self.run_store.state_id, self.run_store.last_number)


@dataclass(frozen=True, slots=True)
class EarlierRuns:
    """The earlier runs of one source: its *last* one, interrupted or not, and what that one left to be retried.

    *of_whole_file* is the interrupted run of the same file where only its first rows are sent. *left_to_resend* are the
    people with rows that the last run left to be retried.
    """

    last: StoredRun | None = None
    of_whole_file: StoredRun | None = None
    left_to_resend: RowsToResend = field(default_factory=RowsToResend)

    @property
    def interrupted(self) -> StoredRun | None:
        """The last run, if it was interrupted."""
        return self.last if self.last is not None and self.last.state.is_interrupted else None


@dataclass(frozen=True, slots=True)
class SessionName:
    """What a session is recorded by: the *command* that opens it, and the *number* that was drawn for it.

    The number is drawn also where the session resumes a run of another command.
    """

    command: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """One source that is about to be sent: its job, its result, its retry file, and the run that it continues.

    *header* is that of a new run of it. *before* is how many rows the sources before it have. *rebuilt* are its rows
    that its retry file has already. *groups* are its rows that become one request; None where each row becomes one.

    States: those of its *choice*, which is made once: a new run; the interrupted one, resumed; or none, as an
    interrupted command has finished it.
    """

    run_plan: RunPlan
    job: Job
    result: SourceResult
    header: RunHeader
    retry: RetryFile
    earlier: EarlierRuns
    before: int = 0
    rebuilt: Collection[int] = ()
    groups: PersonGroups | None = None
    choice: RunChoice = field(default_factory=NewRun)
    session: SessionName = field(default_factory=SessionName)

    @property
    def resumes(self) -> bool:
        """Whether it resumes an interrupted run."""
        return isinstance(self.choice, ResumedRun)

    @property
    def is_already_finished(self) -> bool:
        """Whether an interrupted command has finished it."""
        return isinstance(self.choice, FinishedRun)

    @property
    def continued(self) -> StoredRun | None:
        """The run that it resumes, or that has finished it; None where it starts a new one."""
        return None if isinstance(self.choice, NewRun) else self.choice.stored_run

    @property
    def may_be_stale(self) -> bool:
        """Whether its rows may be older than what other runs have sent."""
        return self.job.source.is_retry or self.resumes or self.earlier.of_whole_file is not None

    @property
    def has_sent_rows(self) -> bool:
        """Whether it resumes a run that has sent or settled rows already."""
        if not isinstance(self.choice, ResumedRun):
            return False
        state = self.choice.stored_run.state
        return state.traffic.requests > 0 or state.counts.not_attempted < state.counts.read

    @property
    def run_header(self) -> RunHeader:
        """The header of the run that it resumes or starts, or that has finished it."""
        before = None if self.continued is None else self.continued.state.header
        return before or self.header

    @property
    def source_run(self) -> SourceRun:
        """The run of its source, as it is named in events."""
        return SourceRun(self.result.source, self.result.run_id, self.result.number)

    def command_source(self) -> CommandSource:
        """Return it as one SOURCE of its command."""
        options = self.run_plan.options
        last = None if self.earlier.last is None else self.earlier.last.state
        # Flags that ask for every row ask also for those that the interrupted run has skipped.
        is_left_out = last is not None and (last.is_finished or last.outcomes.unchanged > 0)
        return CommandSource(self.header, last, is_started_over=options.fresh or (options.full and is_left_out))

    def numbered(self, session: SessionName, state: str, next_key: str) -> "SourcePlan":
        """Return it as a new run of the state folder *state*, numbered as *session*; see `RunHeader` for the others."""
        number, command = session.number, session.command
        header = replace(self.header, place=RunPlace(number, state, command, next_key))
        return replace(self, result=replace(self.result, number=number), header=header, session=session)

    def open_run(self) -> StoredRun:
        """Return the run whose journal it writes: the interrupted one that it resumes, or a new one.

        Raises:
            StorageError: the journal can't be written.
        """
        run_store = self.run_plan.run_store
        if isinstance(self.choice, ResumedRun):
            return self.choice.stored_run
        if isinstance(self.choice, NewRun) and self.choice.replaced is not None:
            run_store.abandon(self.choice.replaced)
        return run_store.create(self.header)
