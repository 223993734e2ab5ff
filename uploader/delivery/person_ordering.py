"""Decide whose turn it is: rows of one person go one after another, in the order of the file."""

from collections import deque
from dataclasses import dataclass

from uploader.model import Person, Work, merged_rows_of, person_of


@dataclass(slots=True, eq=False)
class QueuedWork:
    """One row's place in the order: its *work*, its *person*, how many turns it waits for, and who waits for it."""

    work: Work
    person: Person
    waits_for: int = 0
    followers: "tuple[QueuedWork, ...]" = ()


class PersonQueue:
    """Let a row go when every earlier row that shares an identity value with it is settled.

    Rows that must wait are parked here and hold no worker, at most *room* of them, so that a file sorted by person
    still keeps all workers busy.
    """

    def __init__(self, room: int) -> None:
        """Make an empty lot with place for *room* waiting rows."""
        self._room = room
        self._waiting = 0
        self._ready: deque[QueuedWork] = deque()
        self._last: dict[str, QueuedWork] = {}

    @property
    def has_room(self) -> bool:
        """Whether another row may be admitted."""
        return self._waiting < self._room

    @property
    def waiting(self) -> int:
        """How many rows wait for an earlier row of their person."""
        return self._waiting

    def admit(self, work: Work) -> QueuedWork | None:
        """Return the turn of *work* if it may go now; otherwise park it and return None."""
        person = person_of(work)
        queued = QueuedWork(work, person)
        last = self._last
        if last.keys().isdisjoint(person):
            last.update(dict.fromkeys(person, queued))
            return queued
        for value in person:
            earlier = last.get(value)
            last[value] = queued
            if earlier is not None and earlier is not queued and queued not in earlier.followers[-1:]:
                earlier.followers += (queued,)
                queued.waits_for += 1
        self._waiting += rows_of(work)
        return None

    def next_ready(self) -> QueuedWork | None:
        """Return the turn of a parked row whose person is free again, or None."""
        if not self._ready:
            return None
        queued = self._ready.popleft()
        self._waiting -= rows_of(queued.work)
        return queued

    def settle(self, queued: QueuedWork) -> bool:
        """Take note that the row of *queued* is settled; return whether that freed a parked row."""
        last = self._last
        if not queued.followers:
            # Nobody came after it, so that it is still the last of its person.
            for value in queued.person:
                last.pop(value, None)
            return False
        for value in queued.person:
            if last.get(value) is queued:
                del last[value]
        freed = False
        for follower in queued.followers:
            follower.waits_for -= 1
            if not follower.waits_for:
                self._ready.append(follower)
                freed = True
        return freed


def rows_of(work: Work) -> int:
    """Return how many rows *work* is about."""
    return 1 + len(merged_rows_of(work))
