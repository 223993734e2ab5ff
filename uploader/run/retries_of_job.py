"""Find the pending retry files of a job: to send them, or to name those that have waited too long."""

import shlex
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from uploader.config import Settings
from uploader.errors import InputError, StorageError
from uploader.run.environment import Environment
from uploader.run.events import Remark
from uploader.run.fingerprints import key_of_job, key_of_path
from uploader.run.job_names import job_of
from uploader.run.options import Options
from uploader.run.retry_files import LeftRetryFile, RetryFiles
from uploader.source import descriptor
from uploader.state import RunHeader, RunStore
from uploader.state.state_folder import is_state_folder

_MOST_NAMED: Final = 5
"""How many known jobs a message lists."""

_DAY: Final = 86400


def with_pending_of_job(options: Options, settings: Settings, run_store: RunStore, environment: Environment) -> Options:
    """Return *options* whose sources are the pending retry files of the job that they name, if any; oldest rows first.

    That there is none is reported. Raises InputError where no run of such a job, or of a file of this name, is known.
    """
    job = options.retries_of
    if not job:
        return options
    if options.sandbox and is_state_folder(settings.state_dir):
        # A dry run has a state folder of its own, in which nothing is pending.
        run_store = RunStore(settings.state_dir)
    headers = list(run_store.headers())
    key = _key_of(job, headers, settings)
    is_name = key == key_of_job(settings, job)
    keys = {key, *(header.history_key for header in headers if is_name and header.job.name == job)}
    pending = [one for one in RetryFiles(run_store).left(keys) if one.sent_by is None]
    if not pending:
        environment.events.remark(Remark(f"{job}: no retry file is pending. Nothing is sent."))
    return replace(options, sources=tuple(str(one.path) for one in pending), job=job if is_name else "")


def remark_overdue(options: Options, settings: Settings, run_store: RunStore, environment: Environment) -> None:
    """Report the retry files of the job of *options* that have waited too long, and are not sent now either.

    Nothing is raised: what can't be read now is named another time.
    """
    job, now = job_of(options, settings), environment.clock.wall()
    names = {key_of_path(settings, Path(name)): name for name in options.sources if descriptor(name) is None}
    keys = {*names, *([key_of_job(settings, job)] if job else [])}
    sent_now = {Path(name).resolve() for name in options.sources}
    waiting = list[LeftRetryFile]()
    with suppress(StorageError, OSError):
        waiting += overdue(RetryFiles(run_store), keys, settings, now=now)
    for one in waiting:
        if one.path.resolve() not in sent_now:
            name = job or names.get(one.root.key, one.root.source)
            command = environment.complete(f"`uploader retry {shlex.quote(name)}`")
            environment.events.remark(Remark(overdue_text(one, command, now=now), "warning"))


def overdue(files: RetryFiles, keys: AbstractSet[str] | None, settings: Settings, *, now: float) -> list[LeftRetryFile]:
    """Return those of the jobs with these *keys* that are open for longer than `output.keep_retry_files` by *now*.

    Raises:
        StorageError: a journal can't be read.
    """
    before = datetime.fromtimestamp(max(0.0, now - settings.output.keep_retry_files), UTC)
    return [one for one in files.left(keys, before=before) if one.sent_by is None and one.written < before]


def overdue_text(one: LeftRetryFile, command: str, *, now: float) -> str:
    """Return in words since when the rows of *one* are open, and which *command* sends them."""
    days = int((now - one.written.timestamp()) // _DAY)
    rows = f"{one.rows:,} rows wait" if one.rows != 1 else "1 row waits"
    since = f"{one.written.astimezone():%Y-%m-%d} ({days} {'day' if days == 1 else 'days'})"
    return f"{one.path}: {rows} to be sent again since {since}. Fix what was rejected, then type {command}."


def _key_of(job: str, headers: Sequence[RunHeader], settings: Settings) -> str:
    """Return the key of the runs of *job*, the name of a job, or a file that has none; raises InputError."""
    names = {header.job.name for header in headers if header.job.name}
    if job in names or job == settings.source.name:
        return key_of_job(settings, job)
    key = key_of_path(settings, Path(job))
    if any(header.key == key for header in headers):
        return key
    known = sorted(names | {header.source for header in headers if not header.job.name})
    nearest = get_close_matches(job, known, n=1)
    if nearest:
        advice = f"Did you mean '{nearest[0]}'?"
    elif known:
        more = ", …" if len(known) > _MOST_NAMED else ""
        advice = f"Known are {', '.join(known[:_MOST_NAMED])}{more}."
    else:
        advice = f"No run is known in {settings.state_dir}."
    raise InputError(
        f"No run of a job or file '{job}' is known. Nothing was sent. {advice} `uploader runs` lists them."
    )
