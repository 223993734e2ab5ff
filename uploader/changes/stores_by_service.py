"""Find the digest stores of a state folder, one for each service."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from uploader.changes.digest_store import DigestStore, delete
from uploader.changes.digests import Digests, private_key
from uploader.changes.registered_people import RegisteredPeople
from uploader.changes.store_locks import pause, shared
from uploader.errors import StorageError
from uploader.private_files import private_folder, trouble

_SUFFIX: Final = ".memory"
_REGISTERED: Final = "-registered.people"
_KEY: Final = "key"


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """One service's digest store on disk: sizes in bytes, ages in seconds."""

    base_url: str
    service_id: str
    people: int
    size: int
    age: float
    used: float


class DigestStores:
    """The digest stores of a state folder, and the key of their digests."""

    def __init__(
        self, state: Path, *, wall: Callable[[], float], raise_if_stopped: Callable[[], None] = lambda: None
    ) -> None:
        """Use the state folder *state*, and create nothing yet; *wall* gives seconds since 1970.

        *raise_if_stopped* is called while another process keeps a store locked.
        """
        self._raise_if_stopped = raise_if_stopped
        self._wall = wall
        self._folder = state / "memory"

    def key(self) -> bytes:
        """Return the key of all digests here, created before the first store; raises StorageError."""
        self._make_folder()
        path = self._folder / _KEY
        # Stores are listed first: a process that creates a store has created the key before.
        if any(self._folder.glob(f"*{_SUFFIX}")) and not path.exists():
            # With another key no person would be known, and stale retries would be sent.
            raise StorageError(f"{path} is gone. Run `uploader changes --forget`; the next run sends everything.")
        return private_key(path)

    def exists(self, service: str) -> bool:
        """Whether there is a store of *service* (a digest); raises StorageError."""
        self._refuse_foreign_folder()
        return self._path(service).exists()

    @contextmanager
    def announced(self, service: str) -> Iterator[None]:
        """Hold a shared lock of the store of *service*, so that no run starts to record now; raises StorageError."""
        self._make_folder()
        try:
            lock = shared(self._path(service), self._pause)
        except OSError as error:
            raise StorageError(f"{self._folder}: {error.strerror}. Allow access there, then run again.") from None
        try:
            yield
        finally:
            os.close(lock)

    def open(
        self, service: str, facts: dict[str, str], *, record_from_now: bool = False, read_only: bool = False
    ) -> DigestStore:
        """Return the store of *service*, to be entered; *facts* are written to a new one. Raises StorageError.

        With *record_from_now*, digests of accepted rows are stored from now on, unless another run has the store open.
        """
        if not read_only:
            self.key()
        return DigestStore(
            self._path(service),
            facts=facts,
            now=self._wall(),
            record_from_now=record_from_now,
            read_only=read_only,
            pause=self._pause,
            raise_if_stopped=self._raise_if_stopped,
        )

    def registered_people(self, service: str) -> RegisteredPeople:
        """Return the people whom *service* (a digest) has registered, to be entered; raises StorageError."""
        # No mapping: only people are asked for.
        return RegisteredPeople(self._folder / f"{service}{_REGISTERED}", Digests(self.key(), ""), self._pause)

    def summaries(self) -> Iterator[StoreSummary]:
        """Yield a summary of each store; raises StorageError."""
        self._refuse_foreign_folder()
        now = self._wall()
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            # Sizes are read first: SQLite creates files beside the store while it reads.
            beside = [path, *(part for part in path.parent.glob(f"{path.name}-*") if not part.name.endswith("-shm"))]
            found = [part.stat() for part in beside]
            with DigestStore(path, facts={}, read_only=True, pause=self._pause) as store:
                facts = store.facts()
            yield StoreSummary(
                base_url=facts.get("base_url", ""),
                service_id=facts.get("service_id", ""),
                people=int(facts["people"]),
                size=sum(part.st_size for part in found),
                age=max(0.0, now - float(facts.get("made", now))),
                used=max(0.0, now - max(part.st_mtime for part in found)),
            )

    def forget(self) -> int:
        """Delete every store here, and the key; return how many there were. Raises LockedError, StorageError."""
        self._refuse_foreign_folder()
        paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        registered = sorted(self._folder.glob(f"*{_REGISTERED}"))
        for path in (*paths, *registered):
            delete(path)
        try:
            (self._folder / _KEY).unlink(missing_ok=True)
        except OSError as error:
            raise trouble(self._folder / _KEY, error) from None
        services = {path.name.removesuffix(_SUFFIX) for path in paths}
        return len(services | {path.name.removesuffix(_REGISTERED) for path in registered})

    def _pause(self) -> None:
        self._raise_if_stopped()
        pause()

    def _path(self, service: str) -> Path:
        return self._folder / f"{service}{_SUFFIX}"

    def _make_folder(self) -> None:
        private_folder(self._folder)

    def _refuse_foreign_folder(self) -> None:
        """Raise StorageError for a link or another user's folder in place of the folder; do not create it."""
        if os.path.lexists(self._folder):
            private_folder(self._folder)
