"""Stop where the service rejects all of the first rows, and send them when that is mended."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.command import Desk, ended, names, names_of, rules, sent_ids
from uploader.sandbox import RunningSandbox

RUN = ("run", "people.csv", "--summary", "summary.json")
DEAD = (
    "Stopped: the service rejected every one of the first rows, the last of them for this: "
    "refused by the service: VALIDATION_FAILURE (40001). Fix the mapping or the file, then run again; none of these "
    "rows is lost. If they are meant to be rejected, set limits.canary: 0. Run again to resume."
)


def ids(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


def test_a_run_whose_first_rows_are_all_rejected_stops_and_loses_none(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001"))
    desk.configure(server.url)
    desk.people(100)

    run = desk.type(*RUN)

    assert (run.status, run.stop) == (5, DEAD)
    assert desk.books() == {"not_attempted": 100}
    assert sent_ids(server) == ids(20)
    assert desk.summary()["requests"] == 20
    assert desk.files() == ["config.yaml", "people.csv", "summary.json"]


def test_the_next_run_with_a_mended_mapping_sends_every_row(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001 for wrong_name=x"))
    desk.write("people.csv", "id,name,wrong\n" + "".join(f"{number},name{number},x\n" for number in range(1, 31)))
    mapping = "mapping:\n  identity: {external_id: id}\n  properties: {df_name: name, wrong_name: wrong}\n"
    desk.configure(server.url, mapping=mapping)

    assert desk.type(*RUN).status == 5
    desk.configure(server.url)
    mended = desk.type(*RUN)

    assert mended.status == 0
    assert "the mapping changed since the interrupted run: 30 of 30 rows" in mended.err
    assert desk.books() == {"sent": 30}
    assert names(server) == names_of(range(1, 31))


def test_the_next_run_goes_on_when_the_service_was_mended(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001 times 20"))
    desk.configure(server.url)
    desk.people(30)

    first, second = desk.type(*RUN), desk.type(*RUN)

    assert (first.status, second.status) == (5, 0)
    assert ": 0 of 30 rows settled." in second.err
    assert (desk.books(), desk.summary()["requests"]) == ({"sent": 30}, 50)
    assert names(server) == names_of(range(1, 31))


def test_one_row_that_is_accepted_makes_the_others_rejected_rows_in_their_order(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 times 19"))
    desk.configure(server.url)
    desk.people(60)

    run = desk.type(*RUN)

    assert run.status == 3
    assert [row[:2] for row in desk.retry_rows()] == [(number, "rejected") for number in range(1, 20)]
    assert desk.books() == {"sent": 41, "rejected": 19}


def test_fewer_rows_than_are_watched_are_rejected_rows(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001"))
    desk.configure(server.url)
    desk.people(19)

    run = desk.type(*RUN)

    assert (run.status, desk.books()) == (3, {"rejected": 19})
    assert [row[0] for row in desk.retry_rows()] == list(range(1, 20))


@pytest.mark.parametrize(("canary", "requests"), [("0", 100), ("3", 3)])
def test_how_many_rows_are_watched_can_be_set(
    desk: Desk, sandbox: Callable[..., RunningSandbox], canary: str, requests: int
) -> None:
    server = sandbox(rules("code=40001"))
    desk.configure(server.url)
    desk.people(100)

    run = desk.type(*RUN, "--set", f"limits.canary={canary}")

    assert run.status == (5 if requests == 3 else 3)
    assert len(server.sandbox.requests()) == requests


def test_rows_that_the_check_rejected_are_no_canaries(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001"))
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n,nobody\n1,name1\n,nobody\n" + "".join(f"{n},name{n}\n" for n in range(2, 41)))

    run = desk.type(*RUN)

    assert (run.status, run.stop) == (5, DEAD)
    assert sent_ids(server) == ids(20)
    # Only the first stands before all rows that are sent.
    assert desk.books() == {"rejected": 1, "not_attempted": 41}
    assert [row[:2] for row in desk.retry_rows()] == [(1, "rejected")]


def test_a_retry_file_may_be_rejected_whole(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001"))
    desk.configure(server.url)
    desk.people(25)

    first = desk.type(*RUN, "--set", "limits.canary=0")
    again = desk.type("run", "people.retry.csv", "--summary", "summary.json")

    assert (first.status, again.status) == (3, 3)
    assert desk.books() == {"rejected": 25}


def test_a_run_that_had_rows_accepted_watches_no_more(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    faults = [f"code=40001 for external_id={number}" for number in range(3, 26)]
    server = sandbox(rules(*faults, "code=40201 for external_id=3 times 1"))
    desk.configure(server.url)
    desk.people(25)

    first = desk.type(*RUN, "--set", "rate.concurrency=1", "--set", "limits.canary=2")
    second = desk.type(*RUN, "--set", "limits.canary=2")

    assert second.status == 3
    assert first.status in {3, 5}
    assert desk.books() == {"sent": 2, "rejected": 23}


def test_a_signal_while_they_are_watched_leaves_them_to_the_next_run(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 times 8", latency=(0.1, 0.1)))
    desk.configure(server.url)
    desk.people(20)

    with desk.start(*RUN) as process:
        while server.sandbox.report().requests < 4 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        first = ended(process)
    books, requests = desk.books(), desk.summary()["requests"]
    second = desk.type(*RUN)

    assert (first.status, books) == (-signal.SIGTERM, {"not_attempted": 20})
    assert requests < 8
    assert second.status == 3
    assert desk.books() == {"sent": 20 - (8 - requests), "rejected": 8 - requests}


def test_an_outage_at_the_very_start_fails_no_row(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("http=503 until 3s"))
    desk.configure(server.url)
    desk.people(60)
    patient = ("--set", "retry.attempts=5", "--set", "retry.base=500ms")

    ended = desk.type("run", "people.csv", *patient, "--summary", "summary.json")

    assert ended.status == 0
    assert desk.books() == {"sent": 60}
