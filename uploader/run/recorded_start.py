"""Record each start of a command in the history and in the summary, however it ends."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from uploader import __version__
from uploader.config.readable_parts import readable_job, readable_parts, readable_state_dir
from uploader.errors import (
    SignalledError,
    StorageError,
    SummaryInTheWayError,
    UploaderError,
    place_of_bug,
    refused_by_machine,
)
from uploader.outputs.summary import summary_facts, try_summary, write_summary
from uploader.run.environment import Environment
from uploader.run.flag_conflicts import summary_is_apart
from uploader.run.options import Options
from uploader.run.results import Ending, ResultsSoFar, SourceResult, ended, new_source_results, status_of
from uploader.run_record import RunRecord, SourceRecord
from uploader.state import History, OpenRecord, RunStore
from uploader.state.journal_results import completed, sources_of
from uploader.state.state_folder import is_state_folder


class RecordedStart:
    """One start of `run` or `check`; leaving it records its end, also where it failed before it had read anything.

    Leaving `ending` writes the summary and then the history, before the run's end is marked in its journal: what could
    not write one of them can be resumed. What fails outside of it, before or after, is written when the start is left.

    States: without a history, until `open` (and for good, where the command keeps none); open; and ended. An ended
    start whose status changes after all is written once more.
    """

    def __init__(
        self, options: Options, environment: Environment, results: ResultsSoFar, *, keeps_history: bool = True
    ) -> None:
        """Watch over *results*, which get one for each source; a dry run is in no history."""
        self._options = options
        self._unread = new_source_results(options)
        self._environment = environment
        self.results = results
        self._keeps_history = keeps_history and not options.sandbox
        self._stack = ExitStack()
        self._open: OpenRecord | None = None
        self._history: History | None = None
        self.ended: RunRecord | None = None
        """The record with its end, once that was written, or could not be."""

        self._has_tried = False
        self._began = environment.clock.monotonic()
        moment = datetime.fromtimestamp(environment.clock.wall(), UTC)
        self._first = RunRecord(
            f"{moment:%Y%m%dT%H%M%SZ}-{moment.microsecond:06x}{secrets.token_hex(1)}",
            moment.isoformat(timespec="seconds"),
            is_trial=options.sandbox or options.limit is not None,
            # Later, what is found tonight and what is added to it stand in their place.
            named=(*options.sources, *options.newest),
        )

    def __enter__(self) -> Self:
        """Return the start; nothing is written before `open`."""
        return self

    @property
    def start_id(self) -> str:
        """The ID of this start alone."""
        return self._first.start_id

    @property
    def is_trial(self) -> bool:
        """Whether it is not reported: a dry run, or one of only the first rows."""
        return self._first.is_trial

    @property
    def running(self) -> RunRecord:
        """The record of the start while it has no end."""
        return self._record()

    def newly_killed(self) -> list[RunRecord]:
        """Return the starts of the same job that were killed, and that no start before this one has found.

        What they had done, their journals say, before this start resumes their runs. Where the starts can't be read or
        marked, there are none.
        """
        if self._history is None:
            return []
        running, state = self.running, self._history.state
        try:
            return self._history.newly_killed(
                lambda record: not record.is_trial and record.is_same_job(running),
                lambda record: _completed(record, state),
            )
        except StorageError:
            return []

    def open(self, state: Path, job: str) -> None:
        """Record in the state folder *state* that *job* ("": it has no name) has started; raises StorageError."""
        self._first = replace(self._first, job=job)
        if self._keeps_history:
            self._history = history = History(state)
            # A signal may come while it is written first: it is this start's record by then, and gets its end.
            self._open = history.open(self._record())
            self._stack.push(self._open)
            self._open.__enter__()
            with suppress(StorageError):
                history.delete_older(now=datetime.fromtimestamp(self._environment.clock.wall(), UTC))

    def update(self, options: Options) -> None:
        """Record which runs it starts or resumes, for what *options* have become; raises StorageError."""
        self._options, self._unread = options, new_source_results(options)
        if self._open is not None:
            self._open.write(self._record())

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Try whether the summary can be written; at the end write it, and then the history.

        Raises:
            StorageError: one of them can't be written. What ended the run before is raised instead.
        """
        self._has_tried = True
        if self._options.summary is not None:
            try_summary(self._options.summary)
        try:
            yield
        except BaseException as error:
            with suppress(StorageError):
                self._write(error)
            raise
        try:
            self._write(None)
        except StorageError as trouble:
            failed = Ending(trouble.exit_status)
            self.results.begin([replace(result, ending=failed) for result in self.results.results])
            with suppress(StorageError):
                self._write(trouble)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what `ending` has not written, or with another status; raises StorageError only where nothing else."""
        with self._closing():
            if self.ended is not None and self.ended.exit_status == self._status(error):
                return
            if self._open is None and self._keeps_history:
                with suppress(StorageError, UploaderError, OSError):
                    self._open_readable()
            try:
                self._write(error)
            except StorageError:
                # What ended the run is reported first.
                if error is None:
                    raise

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Free the record at the end. A signal that comes then changes nothing: the run is over, and has its end."""
        try:
            yield
        finally:
            with suppress(SignalledError):
                self._stack.close()

    @property
    def _all(self) -> Sequence[SourceResult]:
        """The results of all sources; of those that the command names, as long as there are no others."""
        return (*self.results.skipped, *self.results.results) or self._unread

    def _status(self, error: BaseException | None) -> int:
        return self.results.exit_status if error is None else status_of(error)

    def _open_readable(self) -> None:
        """Open the history where the configuration, which may be wrong, has its state folder, if that exists."""
        options, settings = self._options, self._environment.settings
        if settings is not None:
            self._first = replace(self._first, job=options.retries_of or options.job or settings.source.name)
            if is_state_folder(settings.state_dir):
                self.open(settings.state_dir, self._first.job)
            return
        parts = readable_parts(options.config, overrides=options.overrides, environ=self._environment.environ)
        state = readable_state_dir(parts, options.config)
        self._first = replace(self._first, job=options.retries_of or options.job or readable_job(parts))
        if state is not None and is_state_folder(state):
            self.open(state, self._first.job)

    def _write(self, error: BaseException | None) -> None:
        """Close all results, and write the summary and the history; raises StorageError."""
        seconds = self._environment.clock.monotonic() - self._began
        self.results.begin(list(ended(self.results.results, error, seconds)))
        sources = list(ended(self._all, error, seconds))
        record = self._ended(error, sources)
        is_first, self.ended = self.ended is None, record
        path = self._options.summary
        try:
            # Nothing is written twice into a pipe.
            if path is not None and self._may_write_summary(error) and (is_first or path.is_file()):
                if not self._has_tried:
                    try_summary(path)
                write_summary(path, summary_facts(record, [source.summary() for source in sources], _blank().summary()))
        finally:
            if self._open is not None:
                self._open.write(record)

    def _may_write_summary(self, error: BaseException | None) -> bool:
        return not isinstance(error, SummaryInTheWayError) and summary_is_apart(self._options)

    def _ended(self, error: BaseException | None, sources: Sequence[SourceResult]) -> RunRecord:
        clock = self._environment.clock
        moment = datetime.fromtimestamp(clock.wall(), UTC)
        return replace(
            self._record(),
            sources=tuple(source.record() for source in sources),
            consents_left=sum(0 if source.ending is None else source.ending.consents_left for source in sources),
            ended=moment.isoformat(timespec="seconds"),
            seconds=round(clock.monotonic() - self._began, 3),
            exit_status=self._status(error),
            error=self._message(error),
        )

    def _message(self, error: BaseException | None) -> str | None:
        message = _message(error)
        return None if message is None else self._environment.complete(message)

    def _record(self) -> RunRecord:
        """Return the record of the start while it runs."""
        return replace(self._first, sources=tuple(result.record() for result in self._all))


def _completed(killed: RunRecord, state: Path) -> RunRecord:
    """Return the record of a *killed* start with what it had done; without any counts where that can't be read."""
    try:
        return completed(killed, sources_of(RunStore(state), {source.run_id for source in killed.sources}))
    except UploaderError:
        return replace(killed, sources=tuple(SourceRecord(source.source, source.run_id) for source in killed.sources))


def _blank() -> SourceResult:
    """Return the result of a source of which nothing is known."""
    return SourceResult("", "", "")


def _message(error: BaseException | None) -> str | None:
    """Return why a run ended early, in words without a value of any row; None if it did not."""
    match error:
        case None:
            return None
        case UploaderError():
            return str(error)
        case OSError() | MemoryError():
            return str(refused_by_machine(error))
        case KeyboardInterrupt():
            return "Stopped by SIGINT. Run again to resume."
        case _:
            return f"A bug in uploader {__version__}: {place_of_bug(error)}."
