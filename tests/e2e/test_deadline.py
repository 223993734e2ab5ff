"""Stop in time, and go on from there."""

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.command import Desk, books_of, names, names_of, rules
from uploader.sandbox import RunningSandbox

SLOW = ("--set", "rate.requests=400", "--set", "rate.per=10s", "--summary", "summary.json")
"""About 37 rows a second."""

AGAIN = "uploader run people.csv --set rate.requests=400 --set rate.per=10s --summary summary.json"


def told(line: str) -> str:
    """Return *line* with what differs from run to run made equal."""
    return re.sub(r"about \d+ fit", "about N fit", line)


def test_a_run_stops_when_its_time_is_over_and_the_same_command_goes_on(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(100)

    began = time.monotonic()
    first = desk.type("run", "people.csv", *SLOW, "--for", "1500ms")
    seconds = time.monotonic() - began
    sent = server.sandbox.report().applied
    books = desk.books()
    second = desk.type("run", "people.csv", *SLOW)

    lines = first.err.splitlines()
    assert first.status == 10
    assert told(lines[0]) == (
        "100 rows need about 3 s, and --for 1500ms leaves 1 s: about N fit. Run again later to send the rest."
    )
    assert lines[-1] == f"Stopped: the time limit (--for 1500ms) was reached. Run again to resume: {AGAIN} --for 1500ms"
    assert 1.4 <= seconds < 4
    assert 20 <= sent < 100
    assert books == {"sent": sent, "not_attempted": 100 - sent}
    assert second.status == 0
    assert desk.books() == {"sent": 100}
    assert names(server) == names_of(range(1, 101))


def test_the_summary_of_a_run_whose_time_is_over_says_so(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(200)

    run = desk.type("run", "people.csv", *SLOW, "--for", "500ms", "-q")

    assert (run.status, run.err.splitlines()) == (
        10,
        [f"Stopped: the time limit (--for 500ms) was reached. Run again to resume: {AGAIN} --for 500ms"],
    )
    assert desk.summary()["exit_status"] == 10


def test_rows_that_all_fit_are_said_to_fit(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(20)

    run = desk.type("run", "people.csv", *SLOW, "--for", "3h")

    assert (run.status, run.err.splitlines()) == (
        0,
        ["20 rows need about 1 s, and --for 3h leaves 3 h 0 min: all fit."],
    )


@pytest.mark.parametrize("spelling", ["%H:%M:%S", "%Y-%m-%dT%H:%M:%S"])
def test_a_run_stops_at_an_hour_of_the_clock(desk: Desk, sandbox: Callable[..., RunningSandbox], spelling: str) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(200)
    # A whole second is shown, so there are two seconds at least.
    until = (datetime.now().astimezone() + timedelta(seconds=3)).strftime(spelling)

    run = desk.type("run", "people.csv", *SLOW, "--until", until)

    assert (run.status, run.last_line) == (
        10,
        (
            f"Stopped: the time limit (--until {until}) was reached. Run again to resume: {AGAIN}"
            f"{'' if 'T' in until else f' --until {until}'}"
        ),
    )
    assert desk.books().keys() == {"sent", "not_attempted"}


@pytest.mark.parametrize("spelling", ["%H:%M", "%Y-%m-%dT%H:%M"])
def test_a_time_limit_may_name_its_zone(desk: Desk, sandbox: Callable[..., RunningSandbox], spelling: str) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(3)
    at = datetime.now(ZoneInfo("Asia/Seoul")) + timedelta(hours=3)

    run = desk.type("run", "people.csv", "--until", f"{at:{spelling}} Asia/Seoul")

    assert run.status == 0
    assert re.fullmatch(
        rf"3 rows need about 0 s, and --until {at:{spelling}} Asia/Seoul \({at:%Y-%m-%d %H:%M} .*\) "
        r"leaves (2 h 59 min|3 h 0 min): all fit\.",
        run.last_line,
    )


def test_a_time_that_is_over_during_the_check_costs_no_request(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(2000)

    run = desk.type("run", "people.csv", *SLOW, "--for", "1ms")

    assert (run.status, run.last_line) == (
        10,
        f"Stopped: the time limit (--for 1ms) was reached. Run again: {AGAIN} --for 1ms",
    )
    assert server.sandbox.requests() == []
    assert (desk.books(), desk.summary()["exit_status"]) == ({"not_attempted": 2000}, 10)


def test_a_source_that_no_time_is_left_for_is_not_begun(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(200, "first.csv")
    desk.people(200, "second.csv")

    run = desk.type("run", "first.csv", "second.csv", *SLOW, "--for", "1s")

    first, second = desk.summary()["sources"]
    assert run.status == 10
    assert books_of(first).keys() == {"sent", "not_attempted"}
    assert (books_of(second), second["requests"]) == ({"not_attempted": 200}, 0)
    assert [account["exit_status"] for account in (first, second)] == [10, 10]


@pytest.mark.parametrize("registers", ["false", "true"])
def test_a_wait_for_the_service_ends_in_time_too(desk: Desk, registers: str) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.people(5)
    words = ("--set", "retry.outage_timeout=1h", "--set", f"api.register_first={registers}", "--for", "1s")

    run = desk.type("run", "people.csv", *words)

    assert (run.status, run.last_line) == (
        10,
        (
            "Stopped: the time limit (--for 1s) was reached during an outage: "
            "no connection to the server. Run again to resume: uploader run people.csv "
            f"{' '.join(words)}"
        ),
    )


def test_what_is_left_of_an_interrupted_run_is_what_has_to_fit(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules("code=40201 for external_id=81 times 1")).url)
    desk.people(100)

    first = desk.type("run", "people.csv", "--set", "rate.concurrency=1")
    second = desk.type("run", "people.csv", *SLOW, "--for", "1h")

    assert (first.status, second.status) == (5, 0)
    assert second.err.splitlines()[-1] == "20 rows need about 1 s, and --for 1h leaves 1 h 0 min: all fit."


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--for", "1h", "--until", "05:00"), "--until and --for can't go together. Give one of them."),
        (("--for", "3"), "'3' is not a duration; write 45s, 90m or 3h."),
        (("--for", "0s"), "'0s' is not a duration; write 45s, 90m or 3h."),
        (("--for", "-1h"), "'-1h' is not a duration; write 45s, 90m or 3h."),
        (("--for", "1w"), "'1w' is not a duration; write 45s, 90m or 3h."),
        (("--until", "25:00"), "'25:00' is not a time; write 05:00, or 2024-03-06T05:00."),
        (("--until", "5"), "'5' is not a time; write 05:00, or 2024-03-06T05:00."),
        (("--until", "2099-01-01"), "'2099-01-01' is not a time; write 05:00, or 2024-03-06T05:00."),
        (("--until", "05:00 Asia/Seol"), "'Asia/Seol' is not a time zone; write one as in 05:00 Asia/Seoul."),
        (("--until", "05:00 Asia"), "'Asia' is not a time zone; write one as in 05:00 Asia/Seoul."),
        (("--until", "25:00 Asia/Seoul"), "'25:00 Asia/Seoul' is not a time; write 05:00, or 2024-03-06T05:00."),
        (
            ("--until", "2099-03-06T05:00+01:00 UTC"),
            "'2099-03-06T05:00+01:00 UTC' is not a time; write 05:00, or 2024-03-06T05:00.",
        ),
        (
            ("--until", "2024-03-06T05:00 Asia/Seoul"),
            "'2024-03-06T05:00 Asia/Seoul' is in the past; write a time in the future.",
        ),
        (("--until", "2024-03-06T05:00"), "'2024-03-06T05:00' is in the past; write a time in the future."),
    ],
)
def test_a_time_limit_that_makes_no_sense_is_a_mistake_of_the_user(
    desk: Desk, words: tuple[str, ...], complaint: str
) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.people(1)

    run = desk.type("run", "people.csv", *words)

    assert run.status == 2
    assert run.err.splitlines()[-1].endswith(complaint)
