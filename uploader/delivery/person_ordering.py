"""Decide whose turn it is: rows of one person go one after another, in the order of the file."""

from collections import deque
from dataclasses import dataclass

from uploader.model import Person, Work, members_of, person_of


@dataclass(slots=True, eq=False)
class Turn:
    """One row's place in the order: its *work*, its *person*, how many turns it waits for, and who waits for it."""

    work: Work
    person: Person
    waits_for: int = 0
    followers: "tuple[Turn, ...]" = ()


class Turns:
    """Let a row go when every earlier row that shares an identity value with it is settled.

    Rows that must wait are parked here and hold no worker, at most *room* of them, so that a file sorted by person
    still keeps all workers busy.
    """

    def __init__(self, room: int) -> None:
        """Make an empty lot with place for *room* waiting rows."""
        self._room = room
        self._parked = 0
        self._ready: deque[Turn] = deque()
        self._last: dict[str, Turn] = {}

    @property
    def has_room(self) -> bool:
        """Whether another row may be admitted."""
        return self._parked < self._room

    @property
    def parked(self) -> int:
        """How many rows wait for an earlier row of their person."""
        return self._parked

    def admit(self, work: Work) -> Turn | None:
        """Return the turn of *work* if it may go now; otherwise park it and return None."""
        person = person_of(work)
        turn = Turn(work, person)
        last = self._last
        if last.keys().isdisjoint(person):
            last.update(dict.fromkeys(person, turn))
            return turn
        for value in person:
            earlier = last.get(value)
            last[value] = turn
            if earlier is not None and earlier is not turn and turn not in earlier.followers[-1:]:
                earlier.followers += (turn,)
                turn.waits_for += 1
        self._parked += rows_of(work)
        return None

    def next_ready(self) -> Turn | None:
        """Return the turn of a parked row whose person is free again, or None."""
        if not self._ready:
            return None
        turn = self._ready.popleft()
        self._parked -= rows_of(turn.work)
        return turn

    def settle(self, turn: Turn) -> bool:
        """Take note that the row of *turn* is settled; return whether that freed a parked row."""
        last = self._last
        if not turn.followers:
            # Nobody came after it, so that it is still the last of its person.
            for value in turn.person:
                last.pop(value, None)
            return False
        for value in turn.person:
            if last.get(value) is turn:
                del last[value]
        freed = False
        for follower in turn.followers:
            follower.waits_for -= 1
            if not follower.waits_for:
                self._ready.append(follower)
                freed = True
        return freed


def rows_of(work: Work) -> int:
    """Return how many rows *work* is about."""
    return 1 + len(members_of(work))
