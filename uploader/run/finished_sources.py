"""Know which SOURCEs of a command were finished before it was broken off."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from uploader.state import Begun, Ledger


@dataclass(frozen=True, slots=True)
class Member:
    """One SOURCE of a command: how it would begin *new*, and what the *last* run of it says (None: there is none).

    *is_renewed* is whether the flags ask for all of it to be sent, whatever that run did.
    """

    new: Begun
    last: Ledger | None
    is_renewed: bool

    @property
    def is_interrupted(self) -> bool:
        """Whether its last run was interrupted."""
        return self.last is not None and self.last.is_interrupted

    @property
    def is_finished(self) -> bool:
        """Whether its last run came to its end."""
        return self.last is not None and self.last.is_finished

    @property
    def is_kept(self) -> bool:
        """Whether what its last run did stands: it holds and means the same as then, and is not asked for anew."""
        begun = None if self.last is None else self.last.begun
        return begun is not None and _meaning(begun) == _meaning(self.new) and not self.is_renewed

    @property
    def is_late(self) -> bool:
        """Whether its rows are those of an earlier run, which go over nothing that a later one has set."""
        return self.new.from_number != 0

    def is_of(self, commands: AbstractSet[str]) -> bool:
        """Whether its last run was begun, or gone on with, by one of *commands*, and not abandoned."""
        last = self.last
        return last is not None and not last.is_abandoned and not last.commands.isdisjoint(commands)


@dataclass(frozen=True, slots=True)
class Unit:
    """What a command does of one that was broken off, by the places of its SOURCEs.

    *finished* are passed over. *spoiled* can't be continued, since one before them is not what it was.
    """

    finished: frozenset[int] = frozenset()
    spoiled: frozenset[int] = frozenset()


def unit_of(members: Sequence[Member]) -> Unit:
    """Return what a command over *members* does of the one that was broken off.

    A SOURCE is passed over if one after it is the one at which its command was broken off. Sent again, it would go over
    what that one has set already; so where one of them must be sent again, all of them are.
    """
    finished: set[int] = set()
    spoiled: set[int] = set()
    undone: set[int] = set()
    for place, member in enumerate(members):
        if member.is_interrupted and not member.is_kept:
            continue
        commands = _broken_off_at(place, members)
        mates = [before for before in range(place) if members[before].is_of(commands)]
        if all(members[mate].is_kept or members[mate].is_late for mate in mates):
            finished.update(mate for mate in mates if members[mate].is_finished and members[mate].is_kept)
        else:
            spoiled.add(place)
            undone.update(mates)
    return Unit(frozenset(finished - undone), frozenset(spoiled))


def _broken_off_at(place: int, members: Sequence[Member]) -> AbstractSet[str]:
    """Return the commands that were broken off at the member at *place*: while it was sent, or before it was begun."""
    member = members[place]
    if member.last is not None and member.last.is_interrupted:
        return member.last.commands
    return {
        command
        for before in members[:place]
        if before.last is not None and before.is_finished and _was_to_follow(member, before.last)
        for command in before.last.commands
    }


def _was_to_follow(member: Member, before: Ledger) -> bool:
    """Whether *member* was the next SOURCE after that of *before*, and was not begun since."""
    if before.begun is None or before.begun.next_key != member.new.key:
        return False
    last = member.last
    if last is None or last.begun is None:
        return True
    # A run that went on beside one that began anew has the lower number of the two.
    return last.begun.order < before.begun.order and last.commands.isdisjoint(before.commands)


def _meaning(begun: Begun) -> tuple[object, ...]:
    return begun.content, begun.mapping, begun.format
