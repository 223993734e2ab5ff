"""Remove older retry files of a job whose rows all stand in its current one."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from uploader.config import Settings
from uploader.errors import UploaderError
from uploader.model import OWN_COLUMNS, Damaged, Record
from uploader.run.environment import Environment
from uploader.run.events import Remark
from uploader.run.fingerprints import key_of_path
from uploader.run.preflight import opened
from uploader.run.results import SourceResult
from uploader.state import RunStore, StoredRun


def remove_settled_retries(
    results: Sequence[SourceResult], settings: Settings, run_store: RunStore, env: Environment
) -> None:
    """Delete the retry files of earlier runs of the jobs of *results* that say nothing more than the current ones.

    The same bad rows of every night so leave one file, with the newest origin of each row. A file with a row that is
    not in the current one, or that anyone has changed, or that a process is sending, stays. Nothing is raised: what
    can't be removed now is removed another night.
    """
    run_ids = {result.run_id for result in results if result.retry_file is not None}
    if not run_ids:
        return
    with suppress(UploaderError, OSError):
        stored_runs = list(run_store.runs())
        for current in (one for one in stored_runs if one.state.header and one.state.header.run_id in run_ids):
            path = _retry_file(current)
            older = [] if path is None else list(_older(current, path, stored_runs))
            if path is not None and older:
                _remove_repeated(path, older, settings, run_store, env)


def _older(current: StoredRun, path: Path, stored_runs: Sequence[StoredRun]) -> Iterator[Path]:
    """Yield the retry files that earlier finished runs of the job of *current* have left beside *path*, its own."""
    header = current.state.header
    if header is None or header.rows.limit is not None or not current.state.is_finished:
        return
    seen = {path.resolve()}
    for run in stored_runs:
        other, left = run.state.header, _retry_file(run)
        is_earlier = other is not None and other.history_key == header.history_key and other.order < header.order
        if is_earlier and run.state.is_finished and left is not None and left.resolve() not in seen:
            seen.add(left.resolve())
            yield left


def _retry_file(run: StoredRun) -> Path | None:
    """Return the retry file of *run*, if it is there and has something in it."""
    path = None if run.state.retry_file is None else Path(run.state.retry_file)
    return path if path is not None and path.is_file() and path.stat().st_size > 0 else None


def _remove_repeated(
    current: Path, older: Sequence[Path], settings: Settings, run_store: RunStore, env: Environment
) -> None:
    key = os.urandom(16)
    kept = _digests(current, key, settings, env)
    for path in older:
        is_sent_now = run_store.lock(key_of_path(settings, path), since="").holder() is not None
        if not is_sent_now and _digests(path, key, settings, env) <= kept:
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
