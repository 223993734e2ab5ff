"""Show what each reply of the API, and each trouble on the way, makes of the row and of the run."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest

from tests.command import Desk, books_of, names, names_of, plain, rules, sent_ids
from uploader.sandbox import FAULT_KINDS, ReplyStyle, RunningSandbox

ROWS = 6
THIRD = "for external_id=3"
ATTEMPTS = 2
SHORT = "2s"
"""What hangs, drips or comes after five seconds is given up, and nothing else, be the machine ever so busy."""


@dataclass(frozen=True)
class Lost:
    """A fault that the third row meets each time: what the row is, and what is known of it.

    *message* is the service's own, which the retry file has where no documentation does.
    """

    fault: str
    kind: str
    code: str
    reason: str
    unsure: bool = False
    applied: bool = False
    alone: bool = False
    message: str = ""

    @property
    def attempts(self) -> int:
        """How often it is tried: *alone*, once more than otherwise."""
        tried = ATTEMPTS if self.kind == "failed" or self.code == "not_api" else 1
        return tried + self.alone


def blocked(fault: str, code: str, what: str, *, unsure: bool = False, applied: bool = False) -> Lost:
    reason = f"answered with {what}, also when sent alone, though the service answers other rows"
    return Lost(fault, "rejected", code, reason, unsure, applied, alone=True)


PAGE = "HTTP 200 and no reply of the API"


LOST = [
    Lost("code=40000", "rejected", "40000", "refused by the service: BAD_REQUEST (40000)"),
    Lost("code=40001", "rejected", "40001", "refused by the service: VALIDATION_FAILURE (40001)"),
    Lost("code=40402", "rejected", "40402", "refused by the service: TOO_MANY_EVENTS (40402)"),
    Lost("code=40403", "rejected", "40403", "refused by the service: TOO_MANY_USER_PROFILES (40403)"),
    Lost("code=49999", "rejected", "49999", "refused by the service: code 49999", message="UNKNOWN"),
    Lost("code=50000", "failed", "50000", "not accepted by the service: INTERNAL_SERVER_ERROR (50000)"),
    Lost("code=60000", "failed", "60000", "not accepted by the service: code 60000"),
    Lost("http=400", "rejected", "400", "refused by the service: HTTP 400"),
    Lost("http=400:40000", "rejected", "400", "refused by the service: HTTP 400"),
    Lost("http=413", "rejected", "413", "refused by the service: HTTP 413"),
    Lost("http=422", "rejected", "422", "refused by the service: HTTP 422"),
    Lost("http=408", "failed", "408", "not accepted by the service: HTTP 408"),
    Lost("http=500", "failed", "500", "not accepted by the service: HTTP 500"),
    # Only HTTP 200 is success, whatever the body says; but what calls itself stored may be.
    Lost("http=500:20000", "failed", "500", "not accepted by the service: HTTP 500", unsure=True),
    Lost("http=201:20000", "failed", "201", "not accepted by the service: HTTP 201", unsure=True),
    Lost("http=503", "failed", "503", "not accepted by the service: HTTP 503"),
    Lost("http=504:50000", "failed", "504", "not accepted by the service: HTTP 504"),
    Lost("latency=5s", "failed", "silence", "no reply in time", unsure=True, applied=True),
    Lost("hang", "failed", "silence", "no reply in time", unsure=True),
    Lost("drip", "failed", "silence", "no reply in time", unsure=True, applied=True),
    Lost("drop-before", "failed", "silence", "the connection ended before the reply", unsure=True),
    Lost("drop-after", "failed", "silence", "the connection ended before the reply", unsure=True, applied=True),
    Lost("cut", "failed", "silence", "the connection ended in the middle of the reply", unsure=True, applied=True),
    blocked("garbage", "not_api", PAGE, unsure=True, applied=True),
    blocked("html", "not_api", PAGE, unsure=True),
    blocked("huge", "not_api", PAGE, unsure=True, applied=True),
    *(blocked(f"http={status}", str(status), f"HTTP {status}") for status in (401, 403, 404, 405)),
    blocked("redirect", "302", "HTTP 302"),
]

PASSING = [
    *("code=50000", "http=408", "http=500", "http=502", "http=503:50000", "hang", "latency=5s", "drop-before"),
    *("drop-after", "drip", "cut", "garbage", "html", "huge"),
]
"""What a second attempt mends."""

LIMITS = ["limit", "limit=429", "limit=40401", "code=40401", "http=429", "http=429:40401", "retry-after=1"]

HARMLESS = ["latency=50ms", "number-code", "close", "unasked=20ms", "unasked=20ms:408"]

ONE_EACH = (
    "the service, or something before it, sent a reply that nobody asked for: "
    "from now on each request has a connection of its own\n"
)

STOPS = [
    ("code=40101", "the service does not know this service ID (code 40101). Correct api.service_id."),
    ("code=40201", "the service does not accept this access token (code 40201). Correct api.access_token."),
    ("http=400:40201", "the service does not accept this access token (code 40201). Correct api.access_token."),
]

STOPS_AT_FIRST = [
    ("http=401", "the server does not accept this access token (HTTP 401). Correct api.access_token."),
    (
        "http=403",
        "the server forbids these requests (HTTP 403). Correct api.access_token, or ask whether this host is allowed.",
    ),
    ("http=404", "the server has nothing at this address (HTTP 404). Correct api.base_url."),
    ("http=405", "the server refuses these requests (HTTP 405). Correct api.base_url."),
    ("redirect", "the server redirects elsewhere (HTTP 302); no redirect is followed. Correct api.base_url."),
]


def test_every_kind_of_fault_has_a_case() -> None:
    shown = {*PASSING, *LIMITS, *HARMLESS, *(case.fault for case in LOST), *(fault for fault, _ in STOPS)}

    assert {fault.partition("=")[0] for fault in shown} == set(FAULT_KINDS)


def test_every_reply_of_the_documentation_has_a_case() -> None:
    shown = {*LIMITS, *(case.fault for case in LOST), *(fault for fault, _ in STOPS)}

    assert shown >= {
        *(f"code={code}" for code in (40000, 40001, 40101, 40201, 40401, 40402, 40403, 50000)),
        *("http=400", "http=429", "http=500"),
    }


@pytest.mark.parametrize("case", LOST, ids=lambda case: case.fault)
def test_a_reply_that_is_no_success_costs_its_row_and_no_other(
    desk: Desk, sandbox: Callable[..., RunningSandbox], case: Lost
) -> None:
    server = sandbox(rules(f"{case.fault} {THIRD}"))
    desk.configure(server.url, timeout=SHORT)
    desk.people(ROWS)

    ended = desk.type("run", "people.csv", "--summary", "summary.json")

    summary = desk.summary()
    assert (ended.status, ended.out) == (3, "")
    assert plain(ended.err) == _told(case)
    reason = case.reason + (f': "{case.message}"' if case.message else "")
    assert desk.retry_rows() == [(3, case.kind, case.code, reason, case.attempts)]
    assert books_of(summary) == {"sent": ROWS - 1, case.kind: 1}
    assert {
        name: summary[name] for name in ("requests", "retries", "maybe_sent_twice", "retry_file", "exit_status")
    } == {
        "requests": ROWS - 1 + case.attempts,
        "retries": case.attempts - 1,
        "maybe_sent_twice": int(case.unsure),
        "retry_file": "people.retry.csv",
        "exit_status": 3,
    }
    assert names(server) == names_of({1, 2, 4, 5, 6} | ({3} if case.applied else set()))


def _told(case: Lost) -> list[str]:
    rejected = int(case.kind == "rejected")
    then = "Fix the rejected ones, then type:" if rejected else "To send them, type:"
    return [
        f"people.csv: 6 rows, {ROWS - 1 + case.attempts} requests in 0 s",
        "  accepted               5",
        f"  rejected       {rejected:>9}",
        f"  failed         {1 - rejected:>9}",
        *(["  1 row may have been sent twice: a reply was lost."] if case.unsure else []),
        "Not accepted:",
        f"  {case.reason}: row 3 (line 4)",
        f"The rows to send again are in people.retry.csv, each with its reason. {then}",
        "  uploader run people.retry.csv",
    ]


@pytest.mark.parametrize("fault", PASSING)
def test_a_trouble_that_passes_is_mended_by_another_attempt(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str
) -> None:
    server = sandbox(rules(f"{fault} {THIRD} times 1"))
    desk.configure(server.url, timeout=SHORT)
    desk.people(ROWS)

    ended = desk.type("run", "people.csv", "--summary", "summary.json")

    summary = desk.summary()
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert books_of(summary) == {"sent": ROWS}
    assert (summary["requests"], summary["retries"], summary["retry_file"]) == (ROWS + 1, 1, None)
    assert names(server) == names_of(range(1, ROWS + 1))


@pytest.mark.parametrize("fault", LIMITS)
def test_the_limit_holds_everybody_and_costs_no_row_an_attempt(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str
) -> None:
    server = sandbox(rules(f"{fault} {THIRD} times 1", replies=ReplyStyle(unit="ms")))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type("run", "people.csv", "--set", "retry.attempts=1", "--summary", "summary.json")

    summary = desk.summary()
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert books_of(summary) == {"sent": ROWS}
    assert summary["limited"] >= 1
    assert summary["retries"] == summary["limited"]
    assert names(server) == names_of(range(1, ROWS + 1))


@pytest.mark.parametrize("reply", ["429", "40401"])
def test_nobody_sends_while_the_window_is_locked(
    desk: Desk, sandbox: Callable[..., RunningSandbox], reply: Literal["429", "40401"]
) -> None:
    server = sandbox(rules(f"limit={reply} after 10 times 1", replies=ReplyStyle(reply, unit="ms")))
    desk.configure(server.url)
    desk.people(40)
    concurrency = 4

    ended = desk.type("run", "people.csv", "--set", f"rate.concurrency={concurrency}", "--summary", "summary.json")

    assert ended.status == 0
    assert desk.books() == {"sent": 40}
    # Those under way when the lock came meet it, and nobody after them.
    assert server.sandbox.report().over_limit <= concurrency
    assert desk.summary()["limited"] <= concurrency


@pytest.mark.parametrize("fault", HARMLESS)
def test_a_success_that_comes_in_another_way_is_a_success(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str
) -> None:
    server = sandbox(rules(fault))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type("run", "people.csv", "--summary", "summary.json")

    # Where a reply comes once more, people are told of it, unless the run was over by then.
    assert (ended.status, ended.out, ended.err.partition(" ")[2]) in {
        (0, "", ""),
        *([(0, "", ONE_EACH)] if fault == "unasked=20ms" else []),
    }
    assert desk.books() == {"sent": ROWS}
    sent = sent_ids(server)
    # On a busy machine a 408 may come when the next request has left, and that goes once more.
    assert len(sent) == ROWS or (fault.endswith(":408") and len(set(sent)) == ROWS)
    assert names(server) == names_of(range(1, ROWS + 1))


@pytest.mark.parametrize("fault", ["unasked=3ms", "unasked=3ms:408"])
def test_a_reply_that_nobody_asked_for_costs_no_row_its_request(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str
) -> None:
    server = sandbox(rules(fault))
    desk.configure(server.url)
    desk.people(10)
    slowly = ("rate.requests=10", "rate.share=1.0", "rate.burst=1", "rate.concurrency=1")

    ended = desk.type("run", "people.csv", *(f"--set={word}" for word in slowly), "--summary", "summary.json")

    assert (ended.status, ended.out) == (0, "")
    # It is told at once, and once; a balancer's 408 is no reply to anything.
    assert ended.err.partition(" ")[2] == ("" if fault.endswith(":408") else ONE_EACH)
    sent = sent_ids(server)
    assert list(dict.fromkeys(sent)) == [str(number) for number in range(1, 11)]
    assert names(server) == names_of(range(1, 11))
    summary, crossed = desk.summary(), desk.summary()["retries"]
    assert len(sent) <= summary["requests"] == 10 + crossed >= 10 + summary["maybe_sent_twice"]
    # On a busy machine a 408 may come when the next request has left, and that goes once more; not as a rule.
    assert crossed < (5 if fault.endswith(":408") else 1)


@pytest.mark.parametrize(("fault", "why"), STOPS, ids=[fault for fault, _ in STOPS])
def test_a_reply_that_concerns_every_row_stops_the_run(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str, why: str
) -> None:
    server = sandbox(rules(f"{fault} {THIRD}"))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type("run", "people.csv", "--set", "rate.concurrency=1", "--summary", "summary.json")

    assert (ended.status, ended.out, ended.stop) == (5, "", f"Stopped: {why} Then run again to resume.")
    assert desk.books() == {"sent": 2, "not_attempted": 4}
    assert sent_ids(server) == ["1", "2", "3"]
    assert desk.summary()["exit_status"] == 5
    assert "people.retry.csv" not in desk.files()


@pytest.mark.parametrize(("fault", "why"), STOPS_AT_FIRST, ids=[fault for fault, _ in STOPS_AT_FIRST])
def test_a_reply_that_concerns_every_row_until_one_was_accepted_stops_the_run(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str, why: str
) -> None:
    server = sandbox(rules(f"{fault} for external_id=1"))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type("run", "people.csv", "--set", "rate.concurrency=1", "--summary", "summary.json")

    assert (ended.status, ended.out, ended.stop) == (5, "", f"Stopped: {why} Then run again to resume.")
    assert desk.books() == {"not_attempted": ROWS}
    assert sent_ids(server) == ["1"]
    assert "people.retry.csv" not in desk.files()


@pytest.mark.parametrize("reply", ["429", "40401"])
def test_a_limit_that_never_ends_gives_up_after_the_outage_timeout(
    desk: Desk, sandbox: Callable[..., RunningSandbox], reply: Literal["429", "40401"]
) -> None:
    server = sandbox(rules(limit=0, replies=ReplyStyle(reply)))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type("run", "people.csv", "--set", "retry.outage_timeout=500ms", "--summary", "summary.json")

    assert (ended.status, server.sandbox.profiles(), desk.books()) == (6, [], {"not_attempted": ROWS})
    assert re.fullmatch(
        r"Stopped: the service throttles this run \(too many requests\), for longer than "
        r"retry\.outage_timeout \(0\.5 s\)\. Run again to resume, from [0-9: -]*[0-9]{2}:[0-9]{2}:[0-9]{2} on\.",
        ended.stop,
    )


def test_a_limit_that_outlasts_a_run_gets_no_request_of_the_next(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(limit=0))
    desk.configure(server.url)
    desk.people(ROWS)
    words = ("run", "people.csv", "--set", "retry.outage_timeout=500ms", "--summary", "summary.json")
    desk.type(*words)
    requests = server.sandbox.report().requests

    ended = desk.type(*words)

    assert (ended.status, server.sandbox.report().requests) == (6, requests)
    assert requests >= 1
    assert re.fullmatch(
        r"Stopped: another run was throttled, and no request may be sent for [0-9]+ s "
        r"\(until [0-9: -]*[0-9]{2}:[0-9]{2}:[0-9]{2}\), longer than retry\.outage_timeout \(0\.5 s\)\. "
        r"Run again after that to resume\.",
        ended.stop,
    )
    assert desk.books() == {"not_attempted": ROWS}


def test_a_service_that_is_away_gives_up_after_the_outage_timeout(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.people(ROWS)

    ended = desk.type("run", "people.csv", "--set", "retry.outage_timeout=500ms", "--summary", "summary.json")

    assert (ended.status, ended.stop) == (
        6,
        (
            "Stopped: no connection to the server, for longer than retry.outage_timeout (0.5 s). If it is reached "
            "through a proxy, set api.proxy; if the proxy has a certificate authority of its own, set api.ca_file too. "
            "Run again to resume."
        ),
    )
    assert desk.books() == {"not_attempted": ROWS}
    assert desk.files() == ["config.yaml", "people.csv", "summary.json"]
