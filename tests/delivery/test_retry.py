import asyncio
from itertools import repeat
from typing import Final

import pytest

from tests.delivery.harness import (
    BAD,
    BUSY,
    CROSSED,
    LOST,
    OK,
    PAGE,
    REFUSED,
    REQUEST,
    UNSENT,
    UNTRUSTED,
    WINDOW,
    limited,
    request,
    stage,
)
from tests.fakes import Leap
from uploader.clock import Clock, local_time
from uploader.counts import Traffic
from uploader.delivery import AttemptRecords, Delivery, ReplyJudge
from uploader.delivery.outage_detection import OutageDetector
from uploader.delivery.retry_policy import RetryPolicy
from uploader.errors import OutageError, RefusedError, StorageError
from uploader.model import (
    Answer,
    Failed,
    Outcome,
    Reason,
    Rejected,
    Reply,
    Request,
    Sent,
    Unsettled,
    WindowState,
)
from uploader.rate import Pace, Permit
from uploader.stop import Stopped

ROUTE: Final = (
    "If it is reached through a proxy, set api.proxy; if the proxy has a certificate authority of its own, set "
    "api.ca_file too. "
)

REFUSAL: Final = Reason("40001", "refused by the service: VALIDATION_FAILURE (40001)")


@pytest.mark.parametrize(
    ("replies", "outcome", "back_offs"),
    [
        ([OK], Sent(REQUEST, 1), []),
        ([BUSY, OK], Sent(REQUEST, 2), [0.5]),
        ([BUSY, Answer(503, ""), OK], Sent(REQUEST, 3), [0.5, 1.0]),
        (
            [BAD],
            Rejected(REQUEST.row, REQUEST.person, REFUSAL, 1),
            [],
        ),
        ([BUSY, BAD], Rejected(REQUEST.row, REQUEST.person, REFUSAL, 2), [0.5]),
        (
            [BUSY, BUSY, BUSY],
            Failed(REQUEST, Reason("50000", "not accepted by the service: INTERNAL_SERVER_ERROR (50000)"), 3),
            [0.5, 1.0],
        ),
        ([LOST, LOST, LOST], Failed(REQUEST, Reason("silence", "no reply in time"), 3, unsure=True), [0.5, 1.0]),
        ([UNSENT, OK], Sent(REQUEST, 2), [0.5]),
        ([LOST, OK], Sent(REQUEST, 2, unsure=True), [0.5]),
        ([LOST, BUSY, OK], Sent(REQUEST, 3, unsure=True), [0.5, 1.0]),
        ([LOST, BAD], Rejected(REQUEST.row, REQUEST.person, REFUSAL, 2, unsure=True), [0.5]),
        ([PAGE, OK], Sent(REQUEST, 2, unsure=True), [0.5]),
        ([Answer(504, ""), OK], Sent(REQUEST, 2, unsure=True), [0.5]),
        # The connection's trouble, once; more of it may be the row's.
        ([CROSSED, OK], Sent(REQUEST, 2, unsure=True), [0.0]),
        ([BUSY, CROSSED, BUSY, OK], Sent(REQUEST, 4, unsure=True), [0.5, 0.0, 1.0]),
        (
            [CROSSED, CROSSED, CROSSED, CROSSED],
            Failed(REQUEST, Reason("408", "not accepted by the service: HTTP 408"), 4, unsure=True),
            [0.0, 0.5, 1.0],
        ),
        ([limited(7), OK], Sent(REQUEST, 2), []),
        ([limited(7), BUSY, limited(7), BUSY, limited(7), OK], Sent(REQUEST, 6), [0.5, 1.0]),
        ([REFUSED, REFUSED, REFUSED, REFUSED, OK], Sent(REQUEST, 5), []),
        ([REFUSED, BUSY, REFUSED, OK], Sent(REQUEST, 4), [0.5]),
        # Three tries are charged to the row; the fourth request was the limit's trouble.
        (
            [BUSY, limited(7), BUSY, BUSY],
            Failed(REQUEST, Reason("50000", "not accepted by the service: INTERNAL_SERVER_ERROR (50000)"), 4),
            [0.5, 1.0],
        ),
    ],
)
def test_a_row_is_tried_as_the_policy_says(
    leap: Leap, replies: list[Reply], outcome: Outcome, back_offs: list[float]
) -> None:
    async def story() -> None:
        play = stage(*replies)

        assert (await play.deliver(), play.back_offs) == (outcome, back_offs)

        again = len(replies) - 1
        limits = sum(isinstance(reply, Answer) and reply.status == 429 for reply in replies)
        assert play.traffic == Traffic(requests=again + 1, retries=again, limited=limits)
        assert play.bodies == [REQUEST.body] * len(replies)

    leap(story())


def test_what_one_source_left_in_doubt_the_first_good_reply_of_the_next_ends(leap: Leap) -> None:
    async def story() -> None:
        play = stage(BUSY, BUSY, BUSY)
        assert isinstance(await play.deliver(), Failed)
        play.delivery, play.seconds = play.another(), 1.0
        await play.deliver()

        began = play.now
        await asyncio.gather(*(play.deliver(request(number)) for number in range(2, 12)))

        assert play.now - began == pytest.approx(1.0, abs=0.2), "all go at once, and not a few"

    leap(story())


@pytest.mark.parametrize(
    ("replies", "aloft"),
    [
        ([BUSY, OK], [True, False, True]),
        ([UNSENT, OK], [True, False, True]),
        ([REFUSED, OK], [True, False, True]),
        ([limited(3), OK], [True, False, True]),
        ([Answer(503, ""), BAD], [True, False, True]),
        # What may have been applied stays in doubt, whatever comes after it.
        ([LOST, BUSY, OK], [True, True, True, True, True]),
        ([PAGE, UNSENT, OK], [True, True, True, True, True]),
        ([Answer(502, "20000"), BUSY, OK], [True, True, True, True, True]),
        ([Answer(524, ""), OK], [True, True, True]),
    ],
)
def test_a_row_is_in_flight_while_its_request_is_and_as_long_as_its_fate_is_not_known(
    leap: Leap, replies: list[Reply], aloft: list[bool]
) -> None:
    async def story() -> None:
        play, seen = stage(*replies), list[bool]()
        answer, wait = play.post, play.limiter.acquire

        async def post(request: Request) -> Reply:
            seen.append(request.row.number in play.sky.rows)
            return await answer(request)

        async def pass_through(*, alone: bool = False) -> Permit:
            if seen:
                seen.append(REQUEST.row.number in play.sky.rows)
            return await wait(alone=alone)

        play.post, play.limiter.acquire = post, pass_through  # type: ignore[method-assign]  # to look on
        outcome = await play.deliver()

        assert seen == aloft
        assert (REQUEST.row.number in play.sky.rows) is isinstance(outcome, Sent)

    leap(story())


@pytest.mark.parametrize(
    "replies",
    [[OK], [BUSY, BUSY, OK], [LOST, BAD], [limited(3), limited(3), OK], [REFUSED, BUSY, limited(1), OK]],
)
def test_every_attempt_passes_the_limiter(leap: Leap, replies: list[Reply]) -> None:
    async def story() -> None:
        play = stage(*replies)

        await play.deliver()

        assert (play.limiter.passes, len(play.bodies)) == (len(replies), len(replies))

    leap(story())


@pytest.mark.parametrize("reply", [limited(7), Answer(200, "40401", WindowState(reset=107.0, date=100.0))])
def test_a_limit_reply_holds_everybody_until_the_window_resets(leap: Leap, reply: Answer) -> None:
    async def story() -> None:
        play = stage(reply)

        await play.deliver()
        assert play.times == [0.0, 7.0]

        play.limiter.pause(5.0)
        await asyncio.gather(*(play.deliver(request(number)) for number in range(3)))
        assert play.times == [0.0, 7.0, 12.0, 12.0, 12.0]

    leap(story())


def test_a_limit_reply_without_a_window_holds_for_the_configured_one(leap: Leap) -> None:
    async def story() -> None:
        play = stage(Answer(429, ""))

        await play.deliver()

        assert (play.times, round(play.limiter.paused_seconds, 2)) == ([0.0, WINDOW], WINDOW)

    leap(story())


def test_holds_for_an_unreachable_service_double_up_to_a_minute(leap: Leap) -> None:
    async def story() -> None:
        play = stage(*[REFUSED] * 9)

        assert await play.deliver() == Sent(REQUEST, 10)

        assert play.times == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0, 243.0]

    leap(story())


def test_the_hold_doubles_with_each_hold_and_not_with_each_row_that_meets_it(leap: Leap) -> None:
    async def story() -> None:
        play = stage(*[REFUSED] * 12, seconds=0.01)

        await asyncio.gather(*(play.deliver(request(number)) for number in range(4)))

        probes = [1.01, 3.02, 7.03, 15.04, 31.05, 63.06, 123.07, 183.08, 243.09]
        assert play.times == [*[0.0] * 4, *probes, *[243.1] * 3]

    leap(story())


def test_a_recovery_begins_the_holds_anew(leap: Leap) -> None:
    async def story() -> None:
        play = stage(REFUSED, REFUSED, REFUSED, OK, REFUSED, REFUSED, OK)

        await play.deliver()
        await play.deliver()

        assert play.times == [0.0, 1.0, 3.0, 7.0, 7.0, 8.0, 10.0]

    leap(story())


@pytest.mark.parametrize(
    ("reply", "why", "advice", "times", "then"),
    [
        (REFUSED, "no connection to the server", ROUTE, [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 100.0], None),
        (limited(40), "the service throttles this run (too many requests)", "", [0.0, 40.0, 80.0], 40),
        (limited(101), "the service throttles this run (too many requests)", "", [0.0], 101),
    ],
    ids=["unreachable", "limited", "limited for too long"],
)
def test_an_outage_that_lasts_ends_the_run(  # noqa: PLR0913, PLR0917 — the reply, and all that comes of it
    leap: Leap, reply: Reply, why: str, advice: str, times: list[float], then: float | None
) -> None:
    async def story() -> None:
        play = stage(then=reply, outage_timeout=100.0)

        assert await play.deliver() == Unsettled(REQUEST, len(times))

        assert play.times == times
        assert isinstance(play.halt.reason, OutageError)
        assert str(play.halt.reason) == (
            f"Stopped: {why}, for longer than retry.outage_timeout (100 s). {advice}Run again to resume"
            f"{'' if then is None else f', from {local_time(then, now=0.0)} on'}."
        )

    leap(story())


@pytest.mark.parametrize("seconds", [40, 101])
def test_a_limit_that_ends_the_run_holds_the_runs_after_it_until_it_is_over(leap: Leap, seconds: int) -> None:
    async def story() -> None:
        play = stage(then=limited(seconds), outage_timeout=100.0)

        await play.deliver()

        assert play.halt.is_requested
        assert play.quota.paused_until == pytest.approx(1_000 + play.times[-1] + seconds, abs=0.1)

    leap(story())


@pytest.mark.parametrize("trouble", [REFUSED, limited(60)])
@pytest.mark.parametrize("relief", [OK, BUSY, BAD, LOST])
def test_an_outage_is_over_as_soon_as_the_service_is_there(leap: Leap, trouble: Reply, relief: Reply) -> None:
    async def story() -> None:
        cycle: tuple[Reply, ...] = (trouble, trouble, relief)
        play = stage(*(reply for _ in range(50) for reply in cycle), outage_timeout=200.0)

        for _ in range(50):
            await play.deliver()

        assert play.now > 100.0

    leap(story())


def test_a_service_that_takes_every_other_row_is_no_outage(leap: Leap) -> None:
    async def story() -> None:
        play = stage(*(reply for _ in range(60) for reply in (REFUSED, OK)), outage_timeout=300.0, seconds=0.01)
        sent = 0

        async def work() -> None:
            nonlocal sent
            for _ in range(30):
                assert isinstance(await play.deliver(), Sent)
                sent += 1

        await asyncio.gather(work(), work())

        assert sent == 60

    leap(story())


def test_what_was_in_flight_when_the_outage_began_does_not_end_it(leap: Leap) -> None:
    async def story() -> None:
        play = stage(outage_timeout=100.0)
        slow = iter([90.0, *repeat(0.0, 50)])

        async def post(_: Request) -> Reply:
            seconds = next(slow)
            await asyncio.sleep(seconds)
            return OK if seconds else REFUSED

        delivery = Delivery(
            post,
            judge=ReplyJudge(
                RetryPolicy(3, 0.5, 30.0), breaker=play.limiter.breaker, jitter=lambda: 1.0, outages=OutageDetector(32)
            ),
            limiter=play.limiter,
            records=AttemptRecords(play.sky, play.traffic, play.held.append),
            stop=play.halt,
            clock=Clock(lambda: 0.0, asyncio.get_running_loop().time, asyncio.sleep),
        )
        early = asyncio.create_task(delivery.deliver(REQUEST))
        await asyncio.sleep(0)

        late = await delivery.deliver(request(2))

        assert isinstance(late, Unsettled)
        assert isinstance(play.halt.reason, OutageError)
        assert (play.now, await early) == (100.0, Sent(REQUEST, 1))

    leap(story())


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            Answer(200, "40101"),
            "Stopped: the service does not know this service ID (code 40101). Correct api.service_id.",
        ),
        (
            Answer(200, "40201"),
            "Stopped: the service does not accept this access token (code 40201). Correct api.access_token.",
        ),
        (
            Answer(302, ""),
            "Stopped: the server redirects elsewhere (HTTP 302); no redirect is followed. Correct api.base_url.",
        ),
        (
            Answer(404, ""),
            "Stopped: the server has nothing at this address (HTTP 404). Correct api.base_url.",
        ),
        (
            UNTRUSTED,
            (
                "Stopped: the server's certificate can't be trusted. Correct api.base_url. If it is signed by a "
                "certificate authority of your own, set api.ca_file; if it is reached through a proxy, set api.proxy."
            ),
        ),
    ],
)
def test_a_service_that_refuses_the_run_ends_it(leap: Leap, reply: Reply, message: str) -> None:
    async def story() -> None:
        play = stage(BUSY, reply)

        outcome = await play.deliver()

        assert isinstance(play.halt.reason, RefusedError)
        assert str(play.halt.reason) == f"{message} Then run again."
        assert outcome == Unsettled(REQUEST, 2, unsure=reply is UNTRUSTED)
        assert play.traffic == Traffic(requests=2, retries=1)

    leap(story())


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ([BUSY], Unsettled(REQUEST, 1)),
        ([LOST], Unsettled(REQUEST, 1, unsure=True)),
        ([LOST, UNSENT], Unsettled(REQUEST, 2, unsure=True)),
        ([limited(9)], Unsettled(REQUEST, 1)),
        ([REFUSED], Unsettled(REQUEST, 1)),
        ([BUSY, REFUSED], Unsettled(REQUEST, 2)),
    ],
)
def test_an_order_to_stop_leaves_a_row_that_waits_unsettled(
    leap: Leap, replies: list[Reply], outcome: Unsettled
) -> None:
    async def story() -> None:
        play = stage(*replies)
        delivering = asyncio.create_task(play.deliver())
        await play.posted(len(replies))
        await asyncio.sleep(0.01)

        play.halt.request(KeyboardInterrupt())

        before = play.now
        assert (await delivering, play.now) == (outcome, before)

    leap(story())


def test_a_row_that_never_went_is_unsettled_without_an_attempt(leap: Leap) -> None:
    async def story() -> None:
        play = stage()
        play.halt.request(KeyboardInterrupt())

        assert (await play.deliver(), play.bodies) == (Unsettled(REQUEST, 0), [])

    leap(story())


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (OK, Sent(REQUEST, 1)),
        (
            BAD,
            Rejected(
                REQUEST.row, REQUEST.person, Reason("40001", "refused by the service: VALIDATION_FAILURE (40001)"), 1
            ),
        ),
        (LOST, Unsettled(REQUEST, 1, unsure=True)),
        (REFUSED, Unsettled(REQUEST, 1)),
        (limited(5), Unsettled(REQUEST, 1)),
    ],
)
def test_a_request_in_flight_lands_though_the_order_to_stop_was_given(
    leap: Leap, reply: Reply, outcome: Outcome | Unsettled
) -> None:
    async def story() -> None:
        play = stage(reply, seconds=3.0)
        delivering = asyncio.create_task(play.deliver())
        await asyncio.sleep(1.0)

        play.halt.request(KeyboardInterrupt())

        assert (await delivering, play.now) == (outcome, 3.0)

    leap(story())


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ([Answer(200, "40201")], Unsettled(REQUEST, 1)),
        ([LOST, Answer(200, "40201")], Unsettled(REQUEST, 2, unsure=True)),
        ([BUSY, LOST, Answer(200, "40101")], Unsettled(REQUEST, 3, unsure=True)),
        ([PAGE, limited(101)], Unsettled(REQUEST, 2, unsure=True)),
    ],
)
def test_a_row_that_met_the_end_of_the_run_keeps_its_attempts_and_its_doubt(
    leap: Leap, replies: list[Reply], outcome: Unsettled
) -> None:
    async def story() -> None:
        play = stage(*replies, outage_timeout=100.0)

        assert await play.deliver() == outcome

        assert play.halt.is_requested

    leap(story())


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (OK, Sent(REQUEST, 1)),
        (BAD, Rejected(REQUEST.row, REQUEST.person, REFUSAL, 1)),
        (BUSY, Unsettled(REQUEST, 1)),
        (LOST, Unsettled(REQUEST, 1, unsure=True)),
    ],
    ids=["accepted", "rejected", "to be tried again", "in doubt"],
)
def test_a_reply_counts_though_the_quota_can_not_take_note_of_it_and_the_run_ends(
    leap: Leap, reply: Reply, outcome: Outcome | Unsettled
) -> None:
    async def story() -> None:
        scene = stage(reply, pace=Pace(burst=1, rate=1.0, concurrency=1))
        full = StorageError("the disk is full")

        def fail() -> None:
            raise full

        scene.quota.mark_answered = fail  # type: ignore[method-assign]  # the quota that fails is played

        assert await scene.deliver() == outcome
        assert (scene.halt.reason, len(scene.bodies)) == (full, 1)

    leap(story())


def test_others_land_when_one_reply_ends_the_run(leap: Leap) -> None:
    async def story() -> None:
        play = stage(Answer(200, "40201"), OK, OK, seconds=2.0)
        first, *others = [asyncio.create_task(play.deliver(request(number))) for number in (1, 2, 3)]

        assert await first == Unsettled(request(1), 1)
        assert await asyncio.gather(*others) == [Sent(request(2), 1), Sent(request(3), 1)]

        assert len(play.bodies) == 3

    leap(story())


def test_a_request_that_is_abandoned_may_be_applied(leap: Leap) -> None:
    async def story() -> None:
        play = stage()

        async def abandoned(_: Request) -> Reply:
            raise Stopped

        play.post = abandoned

        found = [await play.deliver() for _ in range(40)]

        assert found == [Unsettled(REQUEST, 1, unsure=True)] * 40
        assert play.now < 0.1, "it is in flight no more, and makes room for others"

    leap(story())


def test_what_a_limit_reply_holds_is_told_as_it_adds_up(leap: Leap) -> None:
    async def story() -> None:
        play = stage(limited(7), limited(7), limited(9), REFUSED)

        await asyncio.gather(*(play.deliver(request(number)) for number in (1, 2, 3)))

        assert [round(seconds, 2) for seconds in play.held] == [7.0, 0.0, 2.0]

    leap(story())
