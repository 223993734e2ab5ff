"""Find the memories of a state folder, one for each service."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from uploader.errors import StorageError
from uploader.memory.keys import private_key
from uploader.memory.store import Memory, delete

_SUFFIX: Final = ".memory"
_KEY: Final = "key"
_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Shelved:
    """One service's memory as it lies on disk: sizes in bytes, ages in seconds."""

    base_url: str
    service_id: str
    people: int
    size: int
    age: float
    used: float


class Library:
    """The memories in the folder *memory* of a state folder, and the key of their digests."""

    def __init__(self, state: Path, *, wall: Callable[[], float]) -> None:
        """Use the state folder *state*, where nothing is made yet; *wall* gives seconds since 1970."""
        self._wall = wall
        self._folder = state / "memory"

    def key(self) -> bytes:
        """Return the key of all digests here, made if need be; raises StorageError."""
        self._make_folder()
        return private_key(self._folder / _KEY)

    def has(self, service: str) -> bool:
        """Whether there is a memory of *service* (a digest)."""
        return self._path(service).exists()

    def memory(self, service: str, facts: dict[str, str], *, read_only: bool = False) -> Memory:
        """Return the memory of *service*, to be entered; *facts* are noted in a new one. Raises StorageError."""
        if not read_only:
            self._make_folder()
        return Memory(self._path(service), facts=facts, now=self._wall(), read_only=read_only)

    def shelved(self) -> Iterator[Shelved]:
        """Yield what is known of each memory; raises StorageError."""
        now = self._wall()
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with Memory(path, facts={}, read_only=True) as memory:
                facts = memory.facts()
            beside = [path, *path.parent.glob(f"{path.name}-*")]
            found = [part.stat() for part in beside]
            yield Shelved(
                base_url=facts.get("base_url", ""),
                service_id=facts.get("service_id", ""),
                people=int(facts["people"]),
                size=sum(part.st_size for part in found),
                age=max(0.0, now - float(facts.get("made", now))),
                used=max(0.0, now - max(part.st_mtime for part in found)),
            )

    def forget(self) -> int:
        """Delete every memory here, and the key; return how many there were. Raises LockedError, StorageError."""
        paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        for path in paths:
            delete(path)
        (self._folder / _KEY).unlink(missing_ok=True)
        return len(paths)

    def _path(self, service: str) -> Path:
        return self._folder / f"{service}{_SUFFIX}"

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self._folder}: {error.strerror}. Give way there, then run again.") from None
