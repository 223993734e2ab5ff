"""Find the retry files that earlier runs of the same sources have left, and that were not sent yet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from uploader.config import Settings
from uploader.model import UNKNOWN_RUN
from uploader.run.environment import Environment
from uploader.run.events import Remark
from uploader.run.fingerprints import key_of_job, key_of_path
from uploader.run.job_names import job_of
from uploader.run.options import Options
from uploader.run.retry_files import RetryFiles, has_rows, retry_file_of_run
from uploader.source import descriptor
from uploader.state import RunStore, StoredRun


def with_pending_retries(
    options: Options, settings: Settings, run_store: RunStore, environment: Environment
) -> Options:
    """Return *options* with each source after the retry files that are to be sent before it, oldest first.

    These are the retry file of its last finished run; those of interrupted runs since the finished run before that one,
    if they were never resumed; and those that such files have left in turn. Of the last, only those count that hold
    rows that a retry can help: rows that were rejected again wait for the user to fix them. A retry file that the user
    has named as well is sent once, before its source. That files found by a pattern belong to no job, so that nothing
    is known of the files before them, is reported.
    """
    stored_runs = list(run_store.runs())
    ended = [stored_run for stored_run in stored_runs if stored_run.state.is_finished or stored_run.state.is_abandoned]
    whole = [(one, one.state.header) for one in ended if one.state.header and one.state.header.rows.limit is None]
    files = RetryFiles(run_store)
    being_made = _retry_files(stored_run for stored_run in stored_runs if stored_run.state.is_interrupted)
    names = {Path(name).resolve(): name for name in options.sources if descriptor(name) is None}
    sources: dict[str, None] = {}

    job = job_of(options, settings)
    for name in () if job else options.patterned:
        text = "the job has no name, so that retry files of earlier files are not sent. Set source.name, or give --job."
        environment.events.remark(Remark(f"{name}: {text}", source=name))

    def runs_of(name: str) -> list[StoredRun]:
        path = key_of_path(settings, Path(name))
        if not job or any(_is_retry_of(name, one) for one in stored_runs):
            return [one for one, header in whole if header.key == path]
        # What the job sends each night is known by the job, and by its path before the job had a name.
        return [one for one, header in whole if header.history_key in {key_of_job(settings, job), path}]

    def add(name: str) -> None:
        for path in [] if descriptor(name) is not None else _left_by(runs_of(name), files):
            if path.resolve() in being_made:
                # A run that can be resumed writes its own file there; the other one was moved away.
                continue
            found = names.setdefault(path.resolve(), str(path))
            if found not in options.sources:
                sources.setdefault(found)
            elif found not in sources and found != name:
                # It is named as well: it is sent where it would have been added.
                add(found)
        sources.setdefault(name)

    for name in options.sources:
        add(name)
    return replace(
        options,
        sources=tuple(sources),
        added_retry_files=tuple(name for name in sources if name not in options.sources),
    )


def _retry_files(stored_runs: Iterable[StoredRun]) -> set[Path]:
    """Return the paths of the retry files of *stored_runs*."""
    return {Path(path).resolve() for stored_run in stored_runs if (path := stored_run.state.retry_file) is not None}


def _is_retry_of(name: str, stored_run: StoredRun) -> bool:
    path = stored_run.state.retry_file
    return path is not None and Path(path).resolve() == Path(name).resolve()


def _left_by(runs: Sequence[StoredRun], files: RetryFiles) -> Iterator[Path]:
    """Yield the retry files that *runs* of one source or job (the newest first) have left."""
    waiting = _latest(runs)
    sent = [sender for stored_run in runs if (sender := files.sent_by(stored_run)) is not None]
    while sent:
        stored_run = sent.pop()
        if stored_run.state.outcomes.failed:
            waiting.append(stored_run)
        sender = files.sent_by(stored_run)
        sent += [] if sender is None else [sender]
    for stored_run in sorted(waiting, key=_from_order):
        path = retry_file_of_run(stored_run)
        if path is not None and has_rows(path) and files.sent_by(stored_run) is None:
            yield path


def _latest(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Return those of *runs* (the newest first) that came after the last but one that was finished."""
    latest: list[StoredRun] = []
    for run in runs:
        # One command may have sent several files of one job.
        earlier = [other for other in latest if _command(other) != _command(run)]
        if run.state.is_finished and any(other.state.is_finished for other in earlier):
            break
        latest.append(run)
    return latest


def _command(stored_run: StoredRun) -> str:
    return "" if stored_run.state.header is None else stored_run.state.header.command_id


def _from_order(stored_run: StoredRun) -> int:
    return UNKNOWN_RUN if stored_run.state.header is None else stored_run.state.header.from_order
