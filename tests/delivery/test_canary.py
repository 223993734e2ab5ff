"""Hold the first rows back as long as the service rejects all of them, and let them go in their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.harness import Line, number_of
from tests.make import rejected, request
from uploader.delivery.canary import Canary
from uploader.delivery.pipeline import HeldBackRows, Pipeline
from uploader.errors import RefusedError, SignalledError
from uploader.model import Failed, Outcome, Reason, Rejected, Request, Sent, Unsettled, Work

WRONG = Reason("40001", "refused by the service: VALIDATION_FAILURE (40001)")
BUSY = Reason("503", "not accepted by the service: HTTP 503")
DEAD = (
    "Stopped: the service rejected every one of the first rows, the last of them for this: "
    "refused by the service: VALIDATION_FAILURE (40001). Fix the mapping or the file, then run again; none of these "
    "rows is lost. If they are meant to be rejected, set limits.canary: 0."
)
STOP = SignalledError("stop", 15)


def refused(work: Request) -> Rejected:
    return Rejected(work.row, work.person, WRONG, 1)


def heard(canary: Canary, work: Work, outcome: Outcome | Unsettled) -> list[Outcome | Unsettled]:
    return [told for _, told in canary.filter_outcome(work, outcome)]


class Watched(Line):
    """A line whose service rejects the rows *wrong*, watched by a canary; *stopped_at* is the row that meets a stop."""

    def watch(self, birds: int, wrong: set[int], stopped_at: int = 0) -> None:
        async def deliver(request: Request) -> Outcome | Unsettled:
            if request.row.number == stopped_at:
                self.halt.request(STOP)
            return refused(request) if request.row.number in wrong else Sent(request, 1)

        self.deliver = deliver  # type: ignore[method-assign]  # a test may put another in its place
        self.pipeline = Pipeline(
            iter(self.works),
            deliver=self._deliver,
            settle=self._settle,
            stop=self.halt,
            held_back=HeldBackRows(canary=Canary(birds)),
        )


def people(count: int) -> list[Request | Rejected]:
    return [request(number, f"id={number}") for number in range(1, count + 1)]


def test_what_is_rejected_at_first_is_settled_when_a_row_is_accepted() -> None:
    canary, one, two, three = Canary(3), request(1), request(2), request(3)

    told = [heard(canary, one, refused(one)), heard(canary, two, refused(two)), heard(canary, three, Sent(three, 1))]

    assert told == [[], [], [refused(one), refused(two), Sent(three, 1)]]
    assert (canary.is_over, canary.has_failed) == (True, False)


def test_a_row_that_failed_ends_the_watch_too() -> None:
    canary, one, two = Canary(3), request(1), request(2)

    told = [heard(canary, one, refused(one)), heard(canary, two, Failed(two, BUSY, 5))]

    assert told == [[], [refused(one), Failed(two, BUSY, 5)]]
    assert canary.is_over


def test_as_many_rejections_as_are_watched_are_the_end() -> None:
    canary, works = Canary(3), [request(1), request(2), request(3)]

    told = [heard(canary, work, refused(work)) for work in works]

    assert (told, canary.has_failed, canary.is_over) == ([[], [], []], True, False)
    assert canary.last_rejection == refused(works[2])
    assert canary.release() == [(work, refused(work)) for work in works]


def test_what_the_check_rejected_does_not_count_but_keeps_its_place() -> None:
    canary, bad, one, worse, two = Canary(2), rejected(1), request(2), rejected(3), request(4)

    told = [
        heard(canary, bad, bad),
        heard(canary, one, refused(one)),
        heard(canary, worse, worse),
        heard(canary, two, Sent(two, 1)),
    ]

    assert told == [[bad], [], [], [refused(one), worse, Sent(two, 1)]]


def test_a_row_without_an_outcome_says_nothing() -> None:
    canary, one, two = Canary(2), request(1), request(2)

    told = [heard(canary, one, refused(one)), heard(canary, two, Unsettled(two))]

    assert (told, canary.is_over) == ([[], [Unsettled(two)]], False)


def test_no_canary_watches_nothing() -> None:
    canary, one = Canary(0), request(1)

    assert (canary.is_over, heard(canary, one, refused(one))) == (True, [refused(one)])


async def test_the_watched_rows_go_one_by_one_and_the_rest_together() -> None:
    line = Watched(people(20), delays=lambda _: 3)
    line.watch(5, {1, 2})
    most: dict[int, int] = {}
    deliver = line.deliver

    async def note(request: Request) -> Outcome | Unsettled:
        most[request.row.number] = len(line.in_flight)
        return await deliver(request)

    line.deliver = note  # type: ignore[method-assign]  # a test may put another in its place
    await line.carry(4)

    assert [most[number] for number in (1, 2, 3)] == [1, 1, 1]
    assert line.most_in_flight == 4
    assert [number_of(outcome) for outcome in line.settled[:3]] == [1, 2, 3]


async def test_a_dead_canary_leaves_its_rows_unsettled_and_says_why() -> None:
    line = Watched(people(9))
    line.watch(4, set(range(1, 10)))

    with pytest.raises(RefusedError) as caught:
        await line.carry(4)

    assert str(caught.value) == DEAD
    assert line.begun == [1, 2, 3, 4]
    assert line.settled == [Unsettled(work, 1) for work in people(4) if isinstance(work, Request)]
    assert line.pipeline.without_outcome(9) == 9


async def test_fewer_rows_than_are_watched_are_rejected_rows() -> None:
    line = Watched(people(3))
    line.watch(4, {1, 2, 3})

    await line.carry(4)

    assert line.settled == [refused(work) for work in people(3) if isinstance(work, Request)]
    assert line.pipeline.without_outcome(3) == 0


async def test_a_stop_while_they_are_watched_leaves_them_unsettled() -> None:
    line = Watched([*people(2), rejected(3), *people(9)[3:]])
    line.watch(8, set(range(1, 10)), stopped_at=4)

    with pytest.raises(SignalledError):
        await line.carry(4)

    assert line.begun == [1, 2, 4]
    assert [(number_of(outcome), type(outcome)) for outcome in line.settled] == [
        (number, Unsettled) for number in (1, 2, 4)
    ]
    assert line.pipeline.without_outcome(9) == 9


@given(
    birds=st.integers(0, 6),
    kinds=st.lists(st.sampled_from(["wrong", "right", "unreadable"]), max_size=12),
    person=st.sampled_from([True, False]),
)
async def test_every_row_is_settled_once_in_its_order_or_left_for_the_next_run(
    *, birds: int, kinds: list[str], person: bool
) -> None:
    numbered = list(enumerate(kinds, 1))
    works = [
        (rejected if kind == "unreadable" else request)(number, "id=1" if person else f"id={number}")
        for number, kind in numbered
    ]
    line = Watched(works)
    line.watch(birds, {number for number, kind in numbered if kind == "wrong"})
    sent = [kind for kind in kinds if kind != "unreadable"]
    is_dead = 0 < birds <= len(sent) and set(sent[:birds]) == {"wrong"}

    try:
        await line.carry(1)
    except RefusedError:
        assert is_dead
    else:
        assert not is_dead

    settled = [number_of(outcome) for outcome in line.settled if not isinstance(outcome, Unsettled)]
    assert settled == sorted(set(settled))
    assert len(settled) + line.pipeline.without_outcome(len(works)) == len(works)
    assert is_dead or len(settled) == len(works)
