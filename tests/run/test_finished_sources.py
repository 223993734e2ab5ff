"""Know which SOURCEs of a command were finished before it was broken off."""

from typing import Final, Literal

import pytest

from tests.make import begun_with
from uploader.run.finished_sources import CommandSource, InterruptedCommand, interrupted_command
from uploader.state import RunState
from uploader.state.replay import JournalEnd, Sessions

NOTHING: Final = InterruptedCommand()


def member(  # noqa: PLR0913 — what a story tells of a source
    key: str,
    state: Literal["finished", "interrupted", "abandoned", "never begun"] = "finished",
    *commands: str,
    number: int = 1,
    next_key: str = "",
    changed: bool = False,
    renewed: bool = False,
    late: bool = False,
) -> CommandSource:
    """Return the source known by *key*, whose last run, the *number*-th, is of *commands*."""
    begun = begun_with(key=key, number=number, command=(commands or ("1",))[0], next_key=next_key)
    end = JournalEnd(is_finished=state == "finished", is_abandoned=state == "abandoned")
    last = RunState(begun, sessions=Sessions(commands=set(commands or ("1",))), end=end)
    new = begun_with(begun, number=0, content="other" if changed else "content", from_number=1 if late else 0)
    return CommandSource(new, None if state == "never begun" else last, renewed)


A: Final = member("a", number=1, next_key="b")
B: Final = member("b", "interrupted", number=2, next_key="c")
C: Final = member("c", "never begun")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], NOTHING),
        ([A], NOTHING),
        ([A, B], InterruptedCommand(frozenset({0}))),
        ([A, B, C], InterruptedCommand(frozenset({0}))),
        ([B, A], NOTHING),
        ([A, member("b", number=2)], NOTHING),
        ([A, member("b", "abandoned", number=2)], NOTHING),
        # In the same command, at other times.
        ([A, member("b", "interrupted", "2", "1", number=2)], InterruptedCommand(frozenset({0}))),
        ([A, member("b", "interrupted", "2", number=2)], NOTHING),
        # Never begun, or not since.
        ([A, member("b", "never begun")], InterruptedCommand(frozenset({0}))),
        (
            [member("a", "finished", "3", number=3, next_key="b"), member("b", number=2)],
            InterruptedCommand(frozenset({0})),
        ),
        # Begun anew, beside one that went on.
        (
            [member("a", "finished", "3", number=3, next_key="b"), member("b", "finished", "1", "3", number=2)],
            NOTHING,
        ),
        ([A, C], NOTHING),
        (
            [member("a", number=1, next_key="b"), member("b", number=2, next_key="c"), C],
            InterruptedCommand(frozenset({0, 1})),
        ),
        # What was a part of it and can't stand.
        ([member("a", next_key="b", changed=True), B], InterruptedCommand(not_resumable=frozenset({1}))),
        ([member("a", next_key="b", renewed=True), B], InterruptedCommand(not_resumable=frozenset({1}))),
        ([member("a", "interrupted", changed=True), B], InterruptedCommand(not_resumable=frozenset({1}))),
        ([member("a", "interrupted"), B], NOTHING),
        ([A, member("x", changed=True), B], InterruptedCommand(not_resumable=frozenset({2}))),
        ([A, member("b", "interrupted", number=2, changed=True)], NOTHING),
        ([A, member("b", "interrupted", number=2, renewed=True)], NOTHING),
        # A retry file goes over nothing.
        ([member("r", changed=True, late=True), A, B], InterruptedCommand(frozenset({1}))),
        ([member("r", late=True), A, B], InterruptedCommand(frozenset({0, 1}))),
    ],
)
def test_what_is_finished_of_a_command_stands_if_all_of_it_can(
    members: list[CommandSource], expected: InterruptedCommand
) -> None:
    assert interrupted_command(members) == expected
