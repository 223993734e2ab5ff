"""Remove the retry files of a job whose rows are all settled: accepted, or in a newer retry file."""

import hashlib
import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from uploader.config import Settings
from uploader.errors import UploaderError
from uploader.model import OWN_COLUMNS, Damaged, Record
from uploader.run.environment import Environment
from uploader.run.events import Remark
from uploader.run.fingerprints import key_of_retry_file
from uploader.run.preflight import opened
from uploader.run.results import SourceResult
from uploader.run.retry_files import LeftRetryFile, RetryFiles, run_id_of
from uploader.state import RunStore, StoredRun


def remove_settled_retries(
    results: Sequence[SourceResult], settings: Settings, run_store: RunStore, env: Environment
) -> None:
    """Delete the retry files of the jobs of *results* that no row is open in.

    These are files that were sent and have no row left, and files that say nothing more than the current one of their
    job: the same bad rows of every night so leave one file, with the newest origin of each row. A file with an open
    row, or that anyone has changed, or that a process is sending, stays. Nothing is raised: what can't be removed now
    is removed another night.
    """
    run_ids = {result.run_id for result in results}
    with suppress(UploaderError, OSError):
        files = RetryFiles(run_store)
        left = [one for one in files.left_by_jobs_of(run_ids) if not _is_sent_now(one, run_store)]
        interrupted = {header.command_id for header in run_store.unfinished()}
        _remove_sent(left, interrupted, files, settings, env)
        for current in left:
            if run_id_of(current.maker) in run_ids and current.sent_by is None:
                # What this command itself has just made, it names when it ends: another night removes that.
                before = [one for one in left if run_id_of(one.maker) not in run_ids]
                _remove_repeated(current.path, _older(current, before), settings, env)


def _is_sent_now(one: LeftRetryFile, run_store: RunStore) -> bool:
    header = one.maker.state.header
    key = "" if header is None else key_of_retry_file(header, one.path)
    return run_store.lock(key, since="").holder() is not None


def _remove_sent(
    left: Sequence[LeftRetryFile],
    interrupted: AbstractSet[str],
    files: RetryFiles,
    settings: Settings,
    env: Environment,
) -> None:
    """Remove those of *left* that a finished run has sent as they are, and of which no row is open any more.

    None goes that one of the *interrupted* commands has sent: to resume it, all its SOURCEs are named.
    """
    for one in left:
        sender = one.sent_by
        if sender is None or not interrupted.isdisjoint(sender.state.sessions.commands):
            continue
        if (
            _is_settled(sender, files)
            and one.path.exists()
            and _content(one.path, settings, env) == _content_sent(sender)
        ):
            one.path.unlink(missing_ok=True)
            env.events.remark(Remark(f"{one.path} is removed: its rows were sent.", "detail"))


def _is_settled(sender: StoredRun, files: RetryFiles) -> bool:
    """Whether *sender* has left no row, or what it has left was sent in turn and is settled."""
    if not sender.state.to_resend:
        return True
    later = files.sent_by(sender)
    return later is not None and _is_settled(later, files)


def _content(path: Path, settings: Settings, env: Environment) -> str:
    """Return the digest of the file at *path*, as a run records it."""
    with opened(str(path), settings, env) as source:
        return source.digest()


def _content_sent(sender: StoredRun) -> str | None:
    return None if sender.state.header is None else sender.state.header.basis.content


def _older(current: LeftRetryFile, left: Sequence[LeftRetryFile]) -> list[Path]:
    """Return the retry files that earlier finished runs of the job of *current*, or of its retry files, have left."""
    header, older = current.maker.state.header, list[Path]()
    if header is None or not current.maker.state.is_finished:
        return older
    for one in left:
        other = one.maker.state.header
        is_earlier = other is not None and other.order < header.order
        is_of_job = other is not None and header.history_key in {other.history_key, one.root.history_key}
        if is_earlier and is_of_job and one.maker.state.is_finished:
            older.append(one.path)
    return older


def _remove_repeated(current: Path, older: Sequence[Path], settings: Settings, env: Environment) -> None:
    key = os.urandom(16)
    kept = _digests(current, key, settings, env) if older else frozenset()
    for path in older:
        if path.exists() and _digests(path, key, settings, env) <= kept:
            path.unlink(missing_ok=True)
            env.events.remark(Remark(f"{path} is removed: all its rows stand in {current}, too.", "detail"))


def _digests(path: Path, key: bytes, settings: Settings, env: Environment) -> AbstractSet[bytes]:
    """Return keyed digests of the records of the retry file at *path*, as their source had them."""
    with opened(str(path), settings, env) as source, source.read() as reading:
        return {_digest(record, key) for record in reading}


def _digest(record: Record, key: bytes) -> bytes:
    if isinstance(record, Damaged):
        raw = f"damaged {record.text}"
    else:
        raw = repr(sorted((name, value) for name, value in record.fields.items() if name not in OWN_COLUMNS))
    return hashlib.blake2b(raw.encode(errors="surrogatepass"), key=key, digest_size=16).digest()
