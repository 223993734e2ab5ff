"""A reply that refuses the run, after the run was served: the row's trouble, until five in a row say otherwise."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.delivery.harness import BAD, BUSY, LOST, OK, PAGE, UNTRUSTED, Stage, limited, request, stage
from tests.fakes import Leap
from uploader.errors import OutageError, RefusedError
from uploader.model import Answer, Outcome, Reason, Rejected, Reply, Request, Sent, Unsettled, record_of

FORBIDDEN = Answer(403, "")
ROW = request()


def rejected(attempts: int, *, row: Request = ROW, unsure: bool = False) -> Rejected:
    phrase = "answered with HTTP 403, also when sent alone, though the service answers other rows"
    return Rejected(row.row, row.person, Reason("403", phrase), attempts, unsure)


def proven(*replies: Reply, then: Reply = OK, **settings: Any) -> Stage:  # noqa: ANN401 — the fields of Stage, by name
    play = stage(*replies, then=then, **settings)
    play.streak.mark_proven()
    return play


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        ([FORBIDDEN, FORBIDDEN], rejected(2)),
        ([FORBIDDEN, OK], Sent(ROW, 2)),
        ([BUSY, FORBIDDEN, FORBIDDEN], rejected(3)),
        ([FORBIDDEN, BUSY, FORBIDDEN], rejected(3)),
        ([FORBIDDEN, limited(7), FORBIDDEN], rejected(3)),
        ([FORBIDDEN, UNTRUSTED, OK], Sent(ROW, 3, unsure=True)),
        ([LOST, FORBIDDEN, FORBIDDEN], rejected(3, unsure=True)),
    ],
)
def test_a_blocked_row_is_tried_once_more(leap: Leap, replies: list[Reply], outcome: Outcome) -> None:
    async def story() -> None:
        play = proven(*replies)

        assert await play.deliver() == outcome

        assert not play.halt.is_requested

    leap(story())


def test_the_second_try_of_a_blocked_row_goes_alone(leap: Leap) -> None:
    async def story() -> None:
        play, in_flight, seen = proven(), set[int](), list[tuple[int, int]]()

        async def post(one: Request) -> Reply:
            number = one.row.number
            in_flight.add(number)
            seen.append((number, len(in_flight)))
            await asyncio.sleep(0.01 if number == 5 else 1.0)
            together = len(in_flight)
            in_flight.discard(number)
            if number == 5 and seen.count((5, 1)):
                assert together == 1, "nobody went while it was in flight"
            return FORBIDDEN if number == 5 else OK

        play.post = post
        rows = iter(range(1, 60))

        async def work() -> list[Outcome | Unsettled]:
            return [await play.deliver(request(number)) for number in rows]

        outcomes = [one for part in await asyncio.gather(*(work() for _ in range(8))) for one in part]

        tries = [together for number, together in seen if number == 5]
        assert len(tries) == 2
        assert tries[0] > 1
        assert tries[1] == 1
        assert [one for one in outcomes if not isinstance(one, Sent)] == [rejected(2, row=request(5))]

    leap(story())


def test_five_blocked_rows_in_a_row_stop_the_run_and_settle_the_last_of_them_no_more_than_the_others(
    leap: Leap,
) -> None:
    async def story() -> None:
        play = proven(then=FORBIDDEN)

        outcomes = [await play.deliver(request(number)) for number in range(1, 6)]

        assert outcomes[:4] == [rejected(2, row=request(number)) for number in range(1, 5)]
        assert outcomes[4] == Unsettled(request(5), 2)
        assert isinstance(play.halt.reason, RefusedError)
        assert str(play.halt.reason).startswith(
            "Stopped: 5 rows in a row were answered with HTTP 403, the first of them row 1, although"
        )

    leap(story())


@pytest.mark.parametrize("good", [OK, BAD])
def test_a_good_reply_in_between_begins_the_count_anew(leap: Leap, good: Reply) -> None:
    async def story() -> None:
        blocked = [FORBIDDEN] * 8
        play = proven(*([*blocked, good] * 5))

        for number in range(1, 26):
            await play.deliver(request(number))

        assert not play.halt.is_requested

    leap(story())


async def together(play: Stage, bad: Callable[[int], Reply], rows: int) -> list[Outcome | Unsettled]:
    """Deliver so many *rows* as 32 workers do, the first of them a moment before the next; *bad* is what each gets."""

    async def post(one: Request) -> Reply:
        await asyncio.sleep(1.0)
        return bad(one.row.number)

    async def work(worker: int) -> list[Outcome | Unsettled]:
        await asyncio.sleep(worker / 1_000)
        return [await play.deliver(request(number)) for number in numbers if not play.halt.is_requested]

    play.post, numbers = post, iter(range(1, rows + 1))
    return [one for part in await asyncio.gather(*map(work, range(32))) for one in part]


@pytest.mark.parametrize(
    ("rows", "bad"),
    [
        (30, {6, 11, 16, 21, 26}),
        # So a run goes on that was stopped before it had tried them alone.
        (300, {1, 2, 3, 4, 5}),
        (30, {20, 22, 24, 26, 28, 30}),
    ],
)
def test_rows_in_flight_together_are_rejected_when_the_service_takes_what_was_sent_after_them(
    leap: Leap, rows: int, bad: set[int]
) -> None:
    async def story() -> None:
        play = proven()

        outcomes = await together(play, lambda number: FORBIDDEN if number in bad else OK, rows)

        assert not play.halt.is_requested
        assert {record_of(one).number for one in outcomes if isinstance(one, Rejected)} == bad
        assert sum(isinstance(one, Sent) for one in outcomes) == rows - len(bad)

    leap(story())


@pytest.mark.parametrize("bad", [range(26, 31), range(1, 31)])
def test_rows_in_flight_together_stop_the_run_when_the_service_takes_nothing_sent_after_them(
    leap: Leap, bad: range
) -> None:
    async def story() -> None:
        play = proven()

        await together(play, lambda number: FORBIDDEN if number in bad else OK, 30)

        assert isinstance(play.halt.reason, RefusedError)

    leap(story())


def test_a_row_is_rejected_at_once_when_a_request_sent_after_it_was_blocked_is_accepted(leap: Leap) -> None:
    async def story() -> None:
        play, reply = proven(seconds=1.0), asyncio.Event()

        async def post(one: Request) -> Reply:
            if one.row.number == 2:
                await reply.wait()
            return FORBIDDEN if one.row.number == 1 else OK

        play.post = post
        slow = asyncio.create_task(play.deliver(request(2)))
        await asyncio.sleep(1.0)
        blocked = asyncio.create_task(play.deliver(request(1)))
        await asyncio.sleep(1.0)
        # It was blocked, and waits for the slow one to land; a later request of another source is accepted meanwhile.
        play.streak.add_served(asyncio.get_running_loop().time())
        reply.set()

        assert await blocked == rejected(2, row=request(1))
        assert isinstance(await slow, Sent)
        assert not play.streak.is_unresolved, "nothing is held back for it"

    leap(story())


@pytest.mark.parametrize("reply", [Answer(400, ""), Answer(413, ""), Answer(422, ""), Answer(200, "49999")])
def test_one_goes_at_a_time_after_a_blocked_row_until_a_reply_proves_the_service(leap: Leap, reply: Reply) -> None:
    async def story() -> None:
        play, in_flight, most = proven(), set[int](), list[int]()

        async def post(one: Request) -> Reply:
            in_flight.add(one.row.number)
            most.append(len(in_flight))
            await asyncio.sleep(1.0)
            in_flight.discard(one.row.number)
            return FORBIDDEN if one.row.number == 1 else reply if one.row.number < 20 else OK

        play.post = post
        await play.deliver(request(1))
        for rows in (range(2, 20), range(20, 21), range(21, 40)):
            await asyncio.gather(*(play.deliver(request(number)) for number in rows))

        assert set(most[:21]) == {1}
        assert max(most[21:]) > 1

    leap(story())


@pytest.mark.parametrize("reply", [Answer(400, ""), Answer(413, "")])
def test_a_refusal_that_is_not_the_apis_ends_no_streak(leap: Leap, reply: Reply) -> None:
    async def story() -> None:
        play = proven(*([FORBIDDEN] * 8), reply, OK, then=FORBIDDEN)
        for number in range(1, 6):
            await play.deliver(request(number))
        assert play.streak.is_unresolved

        await play.deliver(request(6))

        assert not play.streak.is_unresolved, "an accepted row ends it, whatever came before it"

    leap(story())


def test_a_token_that_is_revoked_under_many_workers_costs_few_requests(leap: Leap) -> None:
    async def story() -> None:
        play = stage(*[OK] * 100, then=FORBIDDEN, seconds=0.1)
        rows = iter(range(1, 1_000))

        async def work() -> list[Outcome | Unsettled]:
            found = []
            for number in rows:
                found.append(await play.deliver(request(number)))
                if play.halt.is_requested:
                    break
            return found

        outcomes = [one for part in await asyncio.gather(*(work() for _ in range(32))) for one in part]

        assert len(play.bodies) <= 100 + 32 + 5 + 4
        assert sum(isinstance(one, Sent) for one in outcomes) == 100
        assert sum(isinstance(one, Rejected) for one in outcomes) == 4, "which the pipeline holds back"

    leap(story())


@pytest.mark.parametrize("trouble", [FORBIDDEN, Answer(404, ""), Answer(302, ""), UNTRUSTED])
def test_without_a_proof_the_first_such_reply_stops_the_run(leap: Leap, trouble: Reply) -> None:
    async def story() -> None:
        play = stage(trouble)

        assert isinstance(await play.deliver(), Unsettled)

        assert (type(play.halt.reason), len(play.bodies)) == (RefusedError, 1)

    leap(story())


def test_a_page_for_one_row_is_that_rows_trouble_in_the_end(leap: Leap) -> None:
    async def story() -> None:
        play = proven(then=PAGE, attempts=3)

        found = await play.deliver()

        assert isinstance(found, Rejected)
        assert (found.reason.code, found.attempts, found.unsure) == ("not_api", 4, True)
        assert "HTTP 200" in found.reason.phrase
        assert (play.limiter.paused_seconds, play.halt.is_requested) == (0.0, False)

    leap(story())


def test_a_connection_that_can_not_be_trusted_holds_a_run_that_was_served(leap: Leap) -> None:
    async def story() -> None:
        play = stage(OK, *[UNTRUSTED] * 3)

        await play.deliver(request(1))
        found = await play.deliver(request(2))

        assert found == Sent(request(2), 4, unsure=True)
        assert play.times == [0.0, 0.0, 1.0, 3.0, 7.0]

    leap(story())


def test_a_connection_that_stays_untrusted_ends_a_run_that_was_served_as_an_outage(leap: Leap) -> None:
    async def story() -> None:
        play = stage(OK, then=UNTRUSTED, outage_timeout=100.0)

        await play.deliver(request(1))
        assert isinstance(await play.deliver(request(2)), Unsettled)

        assert isinstance(play.halt.reason, OutageError)
        assert str(play.halt.reason) == (
            "Stopped: the server's certificate can't be trusted, for longer than retry.outage_timeout (100 s). "
            "If it is reached through a proxy, set api.proxy; if the proxy has a certificate authority of its own, set "
            "api.ca_file too. Run again to resume."
        )

    leap(story())
