"""Break the program in one way each, so that it can be seen whether the driver finds it.

A variant is applied in the forked process, before the command begins. Each has a seed whose scenario ends well with the
program as it is, and in a violation with the variant; `python -m tests.nights --variant NAME 0 300` finds such seeds.
Whoever builds a mechanism adds the variant that lacks it here.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from uploader.app.late import Late
from uploader.followup import FollowUp, Kind
from uploader.memory import Memory
from uploader.model import Outcome, Request, Sent
from uploader.turns import Turn, Turns


def _at_once() -> None:
    """Send the rows of one person at the same time."""
    Turns.admit = lambda _, work: Turn(work, ())  # type: ignore[method-assign, assignment]  # it is what is broken


def _nothing_follows() -> None:
    """Let no accepted row follow one of its person that was not."""
    kind = FollowUp.kind

    def without_again(followup: FollowUp, outcome: Outcome) -> Kind | None:
        return None if isinstance(outcome, Sent) else kind(followup, outcome)

    FollowUp.kind = without_again  # type: ignore[method-assign, assignment]  # as above


def _nothing_is_late() -> None:
    """Send every row of a retry file, whatever was sent since."""

    def as_it_is(_: Late, request: Request) -> Request:
        return request

    Late._trimmed = as_it_is  # type: ignore[method-assign, assignment]  # noqa: SLF001 — it is broken where it is made


def _never_forgets() -> None:
    """Remember of a person what was accepted before, though another request is on its way."""
    Memory.forget = lambda *_: None  # type: ignore[method-assign]  # as above


VARIANTS: Final[Mapping[str, Callable[[], None]]] = MappingProxyType(
    {
        "rows of one person at once": _at_once,
        "nothing follows": _nothing_follows,
        "nothing is late": _nothing_is_late,
        "never forgets": _never_forgets,
    }
)

SEEDS: Final[Mapping[str, int]] = MappingProxyType({})
"""The seed with which each variant is caught."""
