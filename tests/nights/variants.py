"""Break the program in one way each, so that it can be seen whether the driver finds it.

A variant is applied in the forked process, before the command begins. Each has a scenario that ends well with the
program as it is, and in a violation with the variant; `python -m tests.nights --variant NAME 0 300` finds such seeds.
Whoever builds a mechanism adds the variant that lacks it here.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from tests.nights.scenario import Scenario, drawn
from tests.nights.stories import STORIES
from uploader.changes import DigestStore, digest_store
from uploader.changes.newer_properties import NewerProperties
from uploader.changes.stale_retries import Origins, StaleRetries
from uploader.coalesce.same_person import SamePerson
from uploader.delivery.person_ordering import PersonQueue, QueuedWork
from uploader.endpoints.user_profile import UserProfile
from uploader.model import Outcome, Request, RetryKind, Sent
from uploader.outputs.rows_to_resend import RowsToResend
from uploader.state import RunStore


def _at_once() -> None:
    """Send the rows of one person at the same time."""
    PersonQueue.admit = lambda _, work: QueuedWork(work, ())  # type: ignore[method-assign, assignment]  # it is what is broken


def _nothing_follows() -> None:
    """Let no accepted row follow one of its person that was not."""
    kind = RowsToResend.kind

    def without_again(followup: RowsToResend, outcome: Outcome) -> RetryKind | None:
        return None if isinstance(outcome, Sent) else kind(followup, outcome)

    RowsToResend.kind = without_again  # type: ignore[method-assign, assignment]  # as above


def _nothing_is_late() -> None:
    """Send every row of a retry file, whatever was sent since."""

    def as_it_is(_: StaleRetries, request: Request) -> Request:
        return request

    StaleRetries.newest = as_it_is  # type: ignore[method-assign, assignment]  # it is what is broken


def _never_forgets() -> None:
    """Remember of a person what was accepted before, though another request is on its way."""
    forget = DigestStore.forget

    def forget_the_unknown(memory: DigestStore, people: Iterable[int]) -> None:
        forget(memory, [person for person in people if memory.body([person]) is None])

    DigestStore.forget = forget_the_unknown  # type: ignore[method-assign, assignment]  # as above


def _whole_rows() -> None:
    """Supersede a whole row if anything of it was set since."""

    def all_or_nothing(_: UserProfile, body: bytes, names: Collection[str]) -> bytes | None:
        return None if names else body

    UserProfile.without = all_or_nothing  # type: ignore[method-assign, assignment]  # as above


def _by_the_clock() -> None:
    """Number runs by the time of day."""

    def of_the_clock(_: RunStore, count: int) -> range:
        first = int(time.time() * 1000)
        return range(first, first + count)

    RunStore.next_numbers = of_the_clock  # type: ignore[method-assign, assignment]  # as above


def _by_the_path() -> None:
    """Believe that the rows of a retry file are from the run that last wrote a file at its path."""
    Origins._number = lambda origins, _: origins._run  # type: ignore[method-assign, assignment]  # noqa: SLF001 — as above


def _doubts_itself_alone() -> None:
    """Keep in memory alone of whom a request may still be on its way: a later run takes them for settled."""
    digest_store._FORGET = digest_store._FORGET.replace("THEN :doubt", "THEN :token")  # type: ignore[misc]  # noqa: SLF001 — as above


def _forgets_ties() -> None:
    """Take rows for one person's only where they share a value."""
    SamePerson.person_key = lambda *_: None  # type: ignore[method-assign]  # as above
    NewerProperties._with_same_person = lambda _, people: set(people)  # type: ignore[method-assign, assignment]  # noqa: SLF001 — as above


VARIANTS: Final[Mapping[str, Callable[[], None]]] = MappingProxyType(
    {
        "rows of one person at once": _at_once,
        "nothing follows": _nothing_follows,
        "nothing is late": _nothing_is_late,
        "never forgets": _never_forgets,
        "whole rows superseded": _whole_rows,
        "clock order": _by_the_clock,
        "path origin": _by_the_path,
        "doubt in memory only": _doubts_itself_alone,
        "ties forgotten": _forgets_ties,
    }
)

CAUGHT: Final[Mapping[str, Scenario]] = MappingProxyType(
    {
        "rows of one person at once": STORIES["0: a newer row waits while the one before it is tried again"],
        "nothing follows": STORIES["4: rows that only a later row joins"],
        "nothing is late": drawn(2),
        "never forgets": STORIES["6: what was accepted first comes back after a run was killed with another value"],
        "whole rows superseded": drawn(13),
        "clock order": drawn(2),
        "path origin": STORIES["7: a retry file is put back under a name that another one had"],
        "doubt in memory only": STORIES["6: a request of a killed run comes late"],
        "ties forgotten": drawn(58),
    }
)
"""The scenario in which each variant is caught: a random one by its seed, or a story."""
