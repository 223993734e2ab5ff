"""Find the SOURCEs of a command that were finished before it was interrupted."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from uploader.state import RunHeader, RunState


@dataclass(frozen=True, slots=True)
class CommandSource:
    """One SOURCE of a command: how it would start *new*, and the state of its *last* run (None: there is none).

    *is_started_over* is whether the flags ask to send all of it, whatever that run did.
    """

    new: RunHeader
    last: RunState | None
    is_started_over: bool

    @property
    def is_interrupted(self) -> bool:
        """Whether its last run was interrupted."""
        return self.last is not None and self.last.is_interrupted

    @property
    def is_finished(self) -> bool:
        """Whether its last run is finished."""
        return self.last is not None and self.last.is_finished

    @property
    def still_stands(self) -> bool:
        """Whether what its last run did stands: content, mapping and format are the same; no flag starts it over."""
        header = None if self.last is None else self.last.header
        return header is not None and header.basis == self.new.basis and not self.is_started_over

    @property
    def is_of_earlier_run(self) -> bool:
        """Whether its rows are those of an earlier run, which overwrite nothing that a later one has set."""
        return self.new.origin.number != 0

    def is_of(self, commands: AbstractSet[str]) -> bool:
        """Whether its last run was started or resumed by one of *commands*, and not abandoned."""
        last = self.last
        return last is not None and not last.is_abandoned and not last.sessions.commands.isdisjoint(commands)


@dataclass(frozen=True, slots=True)
class InterruptedCommand:
    """What a command takes over from an interrupted one, by the places of its SOURCEs.

    *finished* are skipped. *not_resumable* can't be resumed, since a SOURCE before them has changed.
    """

    finished: frozenset[int] = frozenset()
    not_resumable: frozenset[int] = frozenset()


def interrupted_command(sources: Sequence[CommandSource]) -> InterruptedCommand:
    """Return what a command over *sources* takes over from the interrupted one.

    A SOURCE is skipped if its command was interrupted at a later one. Sent again, it would overwrite what that one has
    set already. So where one of the earlier SOURCEs must be sent again, all of them are.
    """
    finished: set[int] = set()
    not_resumable: set[int] = set()
    undone: set[int] = set()
    for place, source in enumerate(sources):
        if source.is_interrupted and not source.still_stands:
            continue
        commands = _interrupted_at(place, sources)
        others = [before for before in range(place) if sources[before].is_of(commands)]
        if all(sources[other].still_stands or sources[other].is_of_earlier_run for other in others):
            finished.update(other for other in others if sources[other].is_finished and sources[other].still_stands)
        else:
            not_resumable.add(place)
            undone.update(others)
    return InterruptedCommand(frozenset(finished - undone), frozenset(not_resumable))


def _interrupted_at(place: int, sources: Sequence[CommandSource]) -> AbstractSet[str]:
    """Return the commands that were interrupted at the SOURCE at *place*: while it was sent, or before it started."""
    source = sources[place]
    if source.last is not None and source.last.is_interrupted:
        return source.last.sessions.commands
    return {
        command
        for before in sources[:place]
        if before.last is not None and before.is_finished and _was_to_follow(source, before.last)
        for command in before.last.sessions.commands
    }


def _was_to_follow(source: CommandSource, before: RunState) -> bool:
    """Whether *source* was the next SOURCE after that of *before*, and was not started since."""
    if before.header is None or before.header.place.next_key != source.new.key:
        return False
    last = source.last
    if last is None or last.header is None:
        return True
    # A run that was resumed beside one that was started over has the lower number of the two.
    return last.header.order < before.header.order and last.sessions.commands.isdisjoint(before.sessions.commands)
