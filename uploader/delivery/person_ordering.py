"""Keep the rows of one person in the order of the file: each waits until the earlier ones are settled."""

from collections import deque
from dataclasses import dataclass

from uploader.model import Person, Request, Work, merged_rows_of, person_of


@dataclass(slots=True, eq=False)
class QueuedWork:
    """One row in the queue: its *work*, its *person*, how many earlier rows it waits for, and which rows follow it."""

    work: Work
    person: Person
    waits_for: int = 0
    followers: "tuple[QueuedWork, ...]" = ()


class PersonQueue:
    """Release a row when every earlier row that shares an identity value with it is settled.

    Rows that must wait are parked here, at most *room* of them, and hold no worker. So a file sorted by person still
    keeps all workers busy.
    """

    def __init__(self, room: int) -> None:
        """Create an empty queue with room for *room* waiting rows."""
        self._room = room
        self.waiting = 0
        """How many rows wait for an earlier row of their person."""
        self.ready: deque[QueuedWork] = deque()
        """The parked rows whose person is free again."""
        self._last: dict[str, QueuedWork] = {}

    @property
    def has_room(self) -> bool:
        """Whether another row may be admitted."""
        return self.waiting < self._room

    def admit(self, work: Work) -> QueuedWork | None:
        """Return *work* as queued if it may be sent now; otherwise park it and return None."""
        person = work.person if isinstance(work, Request) else person_of(work)
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
        self.waiting += rows_of(work)
        return None

    def next_ready(self) -> QueuedWork | None:
        """Return a parked row whose person is free again, or None."""
        if not self.ready:
            return None
        queued = self.ready.popleft()
        self.waiting -= rows_of(queued.work)
        return queued

    def settle(self, queued: QueuedWork) -> bool:
        """Record that the row of *queued* is settled; return whether that freed a parked row."""
        last = self._last
        if not queued.followers:
            # No row follows it, so it is still the last of its person.
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
                self.ready.append(follower)
                freed = True
        return freed


def rows_of(work: Work) -> int:
    """Return how many rows *work* is about."""
    return 1 + len(merged_rows_of(work))
