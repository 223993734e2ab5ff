"""Reject a row that something before the service blocks, and stop where that is not the row's trouble."""

import re
from collections.abc import Callable
from unittest.mock import patch

import pytest

from tests.command import SERVICE, Desk, names, names_of, rules, sent_ids
from uploader.delivery.firewall_blocks import BlockedRows
from uploader.delivery.retry_policy import RetryPolicy, Verdict
from uploader.model import Outcome, Reply, Unsettled, Work, WorkOutcome
from uploader.sandbox import RunningSandbox

ROWS = 50
RUN = ("run", "people.csv", "--summary", "summary.json")
ONE_BY_ONE = ("--set", "rate.concurrency=1")
REASON = "answered with HTTP {}, also when sent alone, though the service answers other rows"
STOPPED = (
    "Stopped: 5 rows in a row were answered with {}, the first of them row {}, although the service answered rows of "
    "this run before. Correct api.access_token if it is no longer valid; else ask who runs the service, or a firewall "
    "or proxy before it, what is wrong with these rows. None of them counts as rejected. Then run again to resume."
)


def blocking(fault: str, *numbers: int) -> list[str]:
    """Return the faults of a firewall that blocks the rows *numbers*."""
    return [f"{fault} for external_id={number}" for number in numbers]


@pytest.mark.parametrize(
    ("fault", "row"),
    [
        ("http=403", ("403", REASON.format("403"), 2)),
        ("http=401", ("401", REASON.format("401"), 2)),
        ("http=404", ("404", REASON.format("404"), 2)),
        ("http=405", ("405", REASON.format("405"), 2)),
        ("http=403:40001", ("403", REASON.format("403"), 2)),
        (f"redirect=302:http://127.0.0.1:1/?service_id={SERVICE}", ("302", REASON.format("302"), 2)),
        # A page is tried as often as in an outage, and once more alone.
        ("html", ("not_api", REASON.format("200 and no reply of the API"), 3)),
    ],
)
def test_a_firewall_that_blocks_one_body_costs_one_row(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str, row: tuple[str, str, int]
) -> None:
    server = sandbox(rules(*blocking(fault, 25)))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert ended.status == 3
    assert desk.books() == {"sent": ROWS - 1, "rejected": 1}
    assert desk.retry_rows() == [(25, "rejected", *row)]
    assert names(server) == names_of(number for number in range(1, ROWS + 1) if number != 25)


def test_a_blocked_row_is_tried_again_with_no_other_in_flight(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(*blocking("http=403", 200), latency=(0.02, 0.1)))
    desk.configure(server.url)
    desk.people(400)

    assert desk.type(*RUN, "--set", "limits.canary=0").status == 3

    first, second = [
        place for place, one in enumerate(server.sandbox.requests()) if "200" in str(one.identity.values())
    ]
    requests = server.sandbox.requests()
    # Whoever came before it has its reply by then, and whoever comes after it came when it had its own.
    assert requests[second].monotonic - requests[second - 1].monotonic >= 0.02
    assert requests[second + 1].monotonic - requests[second].monotonic >= 0.02
    assert second - first <= 32


def test_four_blocked_rows_in_a_row_are_rejected_when_the_next_one_is_accepted(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(*blocking("http=403", 10, 11, 12, 13)))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN, *ONE_BY_ONE)

    assert (ended.status, desk.books()) == (3, {"sent": ROWS - 4, "rejected": 4})
    assert [row[:3] for row in desk.retry_rows()] == [(number, "rejected", "403") for number in (10, 11, 12, 13)]


@pytest.mark.parametrize("concurrency", ["1", "32"])
def test_a_token_that_is_revoked_by_a_403_stops_the_run_and_rejects_no_row(
    desk: Desk, sandbox: Callable[..., RunningSandbox], concurrency: str
) -> None:
    server = sandbox(rules("http=403 after 20"))
    desk.configure(server.url)
    desk.people(300)

    ended = desk.type(*RUN, "--set", f"rate.concurrency={concurrency}")

    # Of many in flight, not the first rows are those that the service saw first.
    first = re.search(r"the first of them row (\d+),", ended.last_line)
    assert first is not None
    assert (ended.status, ended.stop) == (5, STOPPED.format("HTTP 403", first[1]))
    assert concurrency != "1" or first[1] == "21"
    assert desk.books() == {"sent": 20, "not_attempted": 280}
    assert desk.files() == ["config.yaml", "people.csv", "summary.json"]
    assert server.sandbox.report().requests <= 20 + 32 + 5 + 5


def test_rows_of_a_streak_that_stopped_the_run_are_sent_by_the_next_one(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("http=403 after 20 times 10"))
    desk.configure(server.url)
    desk.people(ROWS)

    first = desk.type(*RUN, *ONE_BY_ONE)
    second = desk.type(*RUN)

    assert (first.status, second.status) == (5, 0)
    assert (desk.books(), desk.summary()["requests"]) == ({"sent": ROWS}, ROWS + 10)
    assert names(server) == names_of(range(1, ROWS + 1))


def test_a_continued_run_that_begins_with_a_blocked_row_goes_on(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40201 for external_id=2 times 1", *blocking("http=403", 2)))
    desk.configure(server.url)
    desk.people(ROWS)

    first = desk.type(*RUN, *ONE_BY_ONE)
    second = desk.type(*RUN)

    assert (first.status, second.status) == (5, 3)
    assert desk.books() == {"sent": ROWS - 1, "rejected": 1}
    assert [row[:3] for row in desk.retry_rows()] == [(2, "rejected", "403")]


def test_a_continued_run_in_which_the_service_rejected_rows_goes_on_too(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    faults = ("code=40001 for external_id=1", "code=40201 for external_id=2 times 1", *blocking("http=403", 2))
    server = sandbox(rules(*faults))
    desk.configure(server.url)
    desk.people(2)

    first = desk.type(*RUN, *ONE_BY_ONE, "--set", "limits.canary=0")
    second = desk.type(*RUN)

    assert (first.status, second.status, desk.books()) == (5, 3, {"rejected": 2})


def test_a_row_that_the_service_rejected_itself_proves_as_much_as_an_accepted_one(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for external_id=1", *blocking("http=403", 2)))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert (ended.status, desk.books()) == (3, {"sent": ROWS - 2, "rejected": 2})
    assert [row[:3] for row in desk.retry_rows()] == [(1, "rejected", "40001"), (2, "rejected", "403")]


def test_a_file_that_ends_with_blocked_rows_has_them_rejected(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(*blocking("http=403", 47, 48, 49, 50)))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert (ended.status, desk.books()) == (3, {"sent": ROWS - 4, "rejected": 4})
    assert [row[0] for row in desk.retry_rows()] == [47, 48, 49, 50]


def test_rows_blocked_here_and_there_at_the_end_of_a_file_are_rejected(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    scattered = (6, 11, 16, 21, 26)
    server = sandbox(rules(*blocking("http=403", *scattered), latency=(0.15, 0.15)))
    desk.configure(server.url)
    desk.people(30)

    ended = desk.type(*RUN, "--set", "rate.concurrency=32")

    assert (ended.status, desk.books()) == (3, {"sent": 25, "rejected": 5})
    assert sorted(row[0] for row in desk.retry_rows()) == list(scattered)


def test_a_streak_that_goes_on_in_the_next_file_is_told_as_it_was(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(*blocking("http=403", 47, 48, 49, 50, 101)))
    desk.configure(server.url)
    desk.people(ROWS)
    desk.write("more.csv", "id,name\n101,a\n102,b\n")

    ended = desk.type("run", "people.csv", "more.csv", "--summary", "summary.json", *ONE_BY_ONE)

    assert ended.status == 5
    assert (
        "5 rows in a row were answered with HTTP 403, the last of them row 1 of more.csv, although" in ended.last_line
    )
    assert (
        "The last of them does not count as rejected; those before, at the end of another source, do. Then run again"
        in ended.last_line
    )
    assert [(account["rejected"], account["not_attempted"]) for account in desk.summary()["sources"]] == [
        (4, 0),
        (0, 2),
    ]


@pytest.mark.parametrize("code", ["40101", "40201"])
def test_a_code_that_is_about_the_run_stops_it_though_rows_were_accepted(
    desk: Desk, sandbox: Callable[..., RunningSandbox], code: str
) -> None:
    server = sandbox(rules(f"http=403:{code} for external_id=25"))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN, *ONE_BY_ONE)

    assert (ended.status, desk.books()) == (5, {"sent": 24, "not_attempted": 26})
    assert f"(code {code})" in ended.last_line
    assert sent_ids(server).count("25") == 1


def test_an_accepted_row_after_a_blocked_one_of_its_person_goes_to_the_retry_file_behind_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("http=403 for df_name=<script>"))
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n1,a\n2,<script>\n2,b\n3,c\n")

    ended = desk.type(*RUN)

    assert (ended.status, desk.books()) == (3, {"sent": 3, "rejected": 1})
    assert [row[:3] for row in desk.retry_rows()] == [(2, "rejected", "403"), (3, "again", "")]
    assert names(server) == {"1": "a", "2": "b", "3": "c"}


def test_a_file_of_one_person_whose_token_is_revoked_has_no_row_rejected(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("http=403 after 3"))
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n" + "".join(f"1,name{number}\n" for number in range(1, ROWS + 1)))

    ended = desk.type(*RUN)

    assert (ended.status, desk.books()) == (5, {"sent": 3, "not_attempted": ROWS - 3})
    assert ended.stop == STOPPED.format("HTTP 403", 4)


def test_rows_that_are_merged_are_rejected_together_when_their_request_is_blocked(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("http=403 for df_name=<script>"))
    desk.configure(server.url, more="coalesce: true\n")
    desk.write("people.csv", "id,name\n1,a\n2,b\n2,<script>\n3,c\n")

    ended = desk.type(*RUN)

    assert (ended.status, desk.books()) == (3, {"sent": 2, "rejected": 2})
    assert [row[:3] for row in desk.retry_rows()] == [(2, "rejected", "403"), (3, "rejected", "403")]


def test_what_one_source_proves_holds_for_the_next(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(*blocking("http=403", 101)))
    desk.configure(server.url)
    desk.people(2)
    desk.write("more.csv", "id,name\n101,a\n102,b\n")

    ended = desk.type("run", "people.csv", "more.csv", "--summary", "summary.json")

    assert ended.status == 3
    assert [account["exit_status"] for account in desk.summary()["sources"]] == [0, 3]


@pytest.mark.parametrize("stopped_before", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_one_source_proved_holds_for_the_next_when_that_is_continued_without_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox], host: str, *, stopped_before: bool
) -> None:
    stops = [f"code=40201 for external_id={number} times 1" for number in (*([2] * stopped_before), 101)]
    server = sandbox(rules(*stops, *blocking("http=403", 101)))
    desk.configure(server.url)
    desk.people(2)
    desk.write("more.csv", "id,name\n101,a\n102,b\n")
    if stopped_before:
        assert desk.type("run", "people.csv", *ONE_BY_ONE).status == 5
    assert desk.type("run", "people.csv", "more.csv", *ONE_BY_ONE).status == 5
    desk.configure(server.url.replace("127.0.0.1", host))

    ended = desk.type("run", "more.csv", "--summary", "summary.json")

    assert (ended.status, desk.books()) == (3, {"sent": 1, "rejected": 1})


@pytest.mark.parametrize("base_url", ["the same", "the same, spelled otherwise", "another"])
def test_a_retry_file_that_begins_with_a_blocked_row_is_proven_by_the_run_that_made_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox], base_url: str
) -> None:
    server = sandbox(rules(*blocking("http=403", 3)))
    desk.configure(server.url)
    desk.people(ROWS)
    assert desk.type(*RUN).status == 3
    if base_url == "the same, spelled otherwise":
        desk.configure(server.url.replace("127.0.0.1", "localhost"))
    if base_url == "another":
        desk.configure(sandbox(rules("http=403")).url)

    ended = desk.type("run", "people.retry.csv", "--summary", "summary.json")

    expected = (5, {"not_attempted": 1}) if base_url == "another" else (3, {"rejected": 1})
    assert (ended.status, desk.books()) == expected


def test_a_blocked_row_of_the_night_before_keeps_no_row_of_this_night_back(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(*blocking("http=403", 3)))
    desk.configure(server.url, more="retry_last_failures: true\n")
    desk.people(ROWS)
    assert desk.type(*RUN).status == 3
    desk.write("people.csv", "id,name\n51,name51\n52,name52\n")

    ended = desk.type(*RUN)

    assert ended.status == 3
    assert [account["rejected"] for account in desk.summary()["sources"]] == [1, 0]
    assert desk.summary()["sources"][1]["sent"] == 2


def test_a_blocked_row_is_not_remembered_as_accepted(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("http=403 for external_id=2 times 2"))
    desk.configure(server.url, more="changed_only: true\n")
    desk.people(3)

    first = desk.type(*RUN)
    second = desk.type(*RUN)

    assert (first.status, second.status) == (3, 0)
    assert desk.books() == {"sent": 1, "unchanged": 2}
    assert sorted(map(str, sent_ids(server))) == ["1", "2", "2", "2", "3"]


FORBIDDEN = (
    "Stopped: the server forbids these requests (HTTP 403). Correct api.access_token, or ask whether this host is "
    "allowed. Then run again to resume."
)
SCENARIOS = {
    "one body": (("http=403 for external_id=25",), 3, {"sent": ROWS - 1, "rejected": 1}, ""),
    "forbidden from the start": (("http=403",), 5, {"not_attempted": ROWS}, FORBIDDEN),
    "revoked in mid-run": (
        ("http=403 after 20",),
        5,
        {"sent": 20, "not_attempted": 30},
        STOPPED.format("HTTP 403", 21),
    ),
}


def complaints(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> list[str]:
    """Return the scenarios that end otherwise than they should."""
    wrong = []
    for name, (faults, status, books, line) in SCENARIOS.items():
        server = sandbox(rules(*faults))
        desk.configure(server.url)
        desk.people(ROWS)
        ended = desk.type(*RUN, *ONE_BY_ONE)
        if (ended.status, desk.books()) != (status, books) or line not in ended.stop:
            wrong.append(name)
    return wrong


class AlwaysTheRuns(RetryPolicy):
    """A broken variant: a reply that refuses all requests stops the run, whatever came before."""

    def judge(self, reply: Reply, *, attempt: int, jitter: float, proven: bool = False) -> Verdict:  # noqa: ARG002 — that is what is broken
        return super().judge(reply, attempt=attempt, jitter=jitter, proven=False)


class AlwaysTheRows(RetryPolicy):
    """A broken variant: such a reply is about its row, whatever came before."""

    def judge(self, reply: Reply, *, attempt: int, jitter: float, proven: bool = False) -> Verdict:  # noqa: ARG002 — that is what is broken
        return super().judge(reply, attempt=attempt, jitter=jitter, proven=True)


class Endless(BlockedRows):
    """A broken variant: however many rows in a row are blocked, it is their own trouble."""

    @property
    def is_run_refused(self) -> bool:
        return False


class Hasty(BlockedRows):
    """A broken variant: a blocked row is settled before a good reply."""

    def filter_outcome(self, work: Work, outcome: Outcome | Unsettled) -> list[WorkOutcome]:
        return [(work, outcome)]


def test_each_scenario_of_blocked_rows_ends_as_it_should(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    assert complaints(desk, sandbox) == []


@pytest.mark.parametrize(
    ("place", "broken", "caught"),
    [
        ("RetryPolicy", AlwaysTheRuns, ["one body", "revoked in mid-run"]),
        ("RetryPolicy", AlwaysTheRows, ["forbidden from the start"]),
        ("BlockedRows", Endless, ["revoked in mid-run"]),
        ("BlockedRows", Hasty, ["revoked in mid-run"]),
    ],
)
def test_a_wrong_rule_for_blocked_rows_is_caught(
    desk: Desk, sandbox: Callable[..., RunningSandbox], place: str, broken: type, caught: list[str]
) -> None:
    with patch(f"uploader.run.connection.{place}", broken):
        assert complaints(desk, sandbox) == caught
