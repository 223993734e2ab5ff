"""Find the retry files that the runs of a job have left, and which of them have been sent since."""

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from uploader.model import UNKNOWN_RUN
from uploader.run.fingerprints import key_of_retry_file
from uploader.state import RunHeader, RunStore, StoredRun


@dataclass(frozen=True, slots=True)
class LeftRetryFile:
    """A retry file with something in it, which the run *maker* has left.

    Its rows came from the SOURCE of *root*, maybe through earlier retry files. *sent_by* is the last finished run that
    has sent the whole file since; None: its rows are open.
    """

    path: Path
    root: RunHeader
    maker: StoredRun
    sent_by: StoredRun | None

    @property
    def rows(self) -> int:
        """The number of its rows when it was written."""
        return len(self.maker.state.to_resend)

    @property
    def written(self) -> datetime:
        """When the run that wrote it started first."""
        header = self.maker.state.header
        return _started(self.root if header is None else header)

    @property
    def order(self) -> int:
        """Where it stands among retry files, by the run that its rows came from."""
        header = self.maker.state.header
        return UNKNOWN_RUN if header is None else header.from_order


class RetryFiles:
    """The retry files of the runs in a state folder, as their journals say; each is read once, when it is needed.

    Runs with `--limit` are left out: the run of their whole SOURCE has the same rows.
    """

    def __init__(self, run_store: RunStore) -> None:
        """Read the headers of all runs; raises StorageError."""
        self._run_store = run_store
        self._newest_first = [header for header in run_store.headers() if header.rows.limit is None]
        self._by_key: dict[str, list[RunHeader]] = defaultdict(list)
        self._runs: dict[str, StoredRun] = {}
        for header in self._newest_first:
            for key in {header.key, header.job.key} - {""}:
                self._by_key[key].append(header)

    def left(self, keys: AbstractSet[str] | None = None, *, before: datetime | None = None) -> list[LeftRetryFile]:
        """Return the retry files of the jobs and SOURCEs with these *keys* (None: of all), oldest rows first.

        Only journals of SOURCEs that were started *before* that time (None: all) are read, and of their retry files.
        The retry files of interrupted runs are left out: the run that is resumed writes its own again. Raises
        StorageError.
        """
        found: dict[Path, LeftRetryFile] = {}
        being_made: set[Path] = set()
        for root, maker in self._descendants(keys, before):
            path = retry_file_of_run(maker)
            if path is None:
                continue
            place = path.resolve()
            if maker.state.is_interrupted:
                being_made.add(place)
            elif has_rows(path) and (place not in found or _order(found[place].maker) < _order(maker)):
                found[place] = LeftRetryFile(path, root, maker, self.sent_by(maker))
        return sorted((one for place, one in found.items() if place not in being_made), key=lambda one: one.order)

    def left_by_jobs_of(self, run_ids: AbstractSet[str]) -> list[LeftRetryFile]:
        """Return those of the jobs and SOURCEs that the runs with the IDs *run_ids* belong to; raises StorageError."""
        headers = [header for header in self._newest_first if header.run_id in run_ids]
        # A retry file is found by the run that made it, whichever that is.
        has_retries = any(header.origin.number for header in headers)
        left = self.left(None if has_retries else {header.history_key for header in headers})
        sent = {one.root.history_key for one in left if one.sent_by is not None and run_id_of(one.sent_by) in run_ids}
        jobs = sent | {header.history_key for header in headers}
        return [one for one in left if one.root.history_key in jobs]

    def sent_by(self, maker: StoredRun) -> StoredRun | None:
        """Return the last finished run of the whole retry file of *maker* that started later; raises StorageError."""
        for header in self._senders(maker):
            # A run that was resumed since has written its retry file again.
            if header.order <= max(_order(maker), maker.state.sessions.last_number or UNKNOWN_RUN):
                return None
            sender = self._read(header)
            if sender.state.is_finished:
                return sender
        return None

    def _descendants(
        self, keys: AbstractSet[str] | None, before: datetime | None
    ) -> Iterator[tuple[RunHeader, StoredRun]]:
        """Yield each run of *keys*, and each that sent a retry file of such a run, with the run it all began with."""
        roots = self._newest_first if keys is None else [one for key in keys for one in self._by_key.get(key, ())]
        seen: set[str] = set()
        for root in sorted(roots, key=lambda header: header.order):
            waiting = [root] if before is None or _started(root) < before else []
            while waiting:
                header = waiting.pop()
                if header.run_id not in seen:
                    seen.add(header.run_id)
                    run = self._read(header)
                    yield root, run
                    waiting += self._senders(run)

    def _senders(self, maker: StoredRun) -> list[RunHeader]:
        """Return the runs of the retry file of *maker*, the newest first."""
        header, path = maker.state.header, retry_file_of_run(maker)
        return [] if header is None or path is None else self._by_key.get(key_of_retry_file(header, path), [])

    def _read(self, header: RunHeader) -> StoredRun:
        if header.run_id not in self._runs:
            self._runs[header.run_id] = self._run_store.read(header)
        return self._runs[header.run_id]


def retry_file_of_run(run: StoredRun) -> Path | None:
    """Return the path of the retry file of *run*; None if it has none."""
    return None if run.state.retry_file is None else Path(run.state.retry_file)


def run_id_of(run: StoredRun) -> str:
    """Return the ID of *run*."""
    return "" if run.state.header is None else run.state.header.run_id


def has_rows(path: Path) -> bool:
    """Whether there is anything in the file at *path*: one that is empty was handled by the user."""
    return path.is_file() and path.stat().st_size > 0


def _started(header: RunHeader) -> datetime:
    moment = datetime.fromisoformat(header.started)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _order(run: StoredRun) -> int:
    return UNKNOWN_RUN if run.state.header is None else run.state.header.order
