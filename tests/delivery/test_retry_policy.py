"""What each reply means, line by line of the API's table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.delivery.retry_policy import (
    Accept,
    Blocked,
    GiveUp,
    NoSocket,
    Reject,
    RetryPolicy,
    StopRun,
    Throttled,
    TryAgain,
    Unreachable,
    Verdict,
    proves,
)
from uploader.model import Answer, Reason, Reply, Silence, WindowState

POLICY = RetryPolicy(attempts=5, base=0.5, cap=30.0)
WINDOW = WindowState(period=60.0, remaining=0, reset=1_719_397_769.0)
NEVER_SERVED = "the server refuses these requests (HTTP {}). Correct api.base_url."
REDIRECTED = "the server redirects elsewhere (HTTP {}); no redirect is followed. Correct api.base_url."
BAD_SERVICE = StopRun("the service does not know this service ID (code 40101). Correct api.service_id.")
BAD_TOKEN = StopRun("the service does not accept this access token (code 40201). Correct api.access_token.")

ROUTE = (
    "If it is reached through a proxy, set api.proxy; if the proxy has a certificate authority of its own, set "
    "api.ca_file too."
)
PROXY = "Correct api.proxy, or HTTPS_PROXY where that is not set (http://user:password@host:3128), or ask who runs it."
TRUST = (
    "Correct api.base_url. If it is signed by a certificate authority of your own, set api.ca_file; if it is reached "
    "through a proxy, set api.proxy."
)


def judged(reply: Reply, attempt: int = 1, dice: float = 1.0) -> Verdict:
    return POLICY.judge(reply, attempt=attempt, jitter=dice)


@pytest.mark.parametrize(("status", "code"), [(200, "40000"), (200, "40001"), (200, "40499"), (400, ""), (422, "")])
def test_a_rejection_has_the_message_of_the_service_beside_its_reason(status: int, code: str) -> None:
    verdict = judged(Answer(status, code, message="canary"))

    assert isinstance(verdict, Reject)
    assert verdict.message == "canary"
    assert "canary" not in repr(verdict)
    assert "canary" not in verdict.reason.phrase


@pytest.mark.parametrize(("status", "code"), [(200, "50000"), (200, "40101"), (200, "40201"), (200, ""), (500, "")])
def test_no_other_verdict_repeats_the_message_of_the_service(status: int, code: str) -> None:
    for attempt in (1, POLICY.attempts):
        assert judged(Answer(status, code, message="canary"), attempt) == judged(Answer(status, code), attempt)


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (200, "20000", Accept()),
        (200, "40000", Reject(Reason("40000", "refused by the service: BAD_REQUEST (40000)"))),
        (200, "40001", Reject(Reason("40001", "refused by the service: VALIDATION_FAILURE (40001)"))),
        (200, "40101", BAD_SERVICE),
        (200, "40201", BAD_TOKEN),
        (200, "40401", Throttled(WINDOW)),
        (200, "40402", Reject(Reason("40402", "refused by the service: TOO_MANY_EVENTS (40402)"))),
        (200, "40403", Reject(Reason("40403", "refused by the service: TOO_MANY_USER_PROFILES (40403)"))),
        (200, "50000", TryAgain(0.5, "not accepted by the service: INTERNAL_SERVER_ERROR (50000)")),
        (400, "", Reject(Reason("400", "refused by the service: HTTP 400"))),
        (429, "", Throttled(WINDOW)),
        (500, "", TryAgain(0.5, "not accepted by the service: HTTP 500")),
    ],
)
def test_each_line_of_the_reply_table_has_its_verdict(status: int, code: str, verdict: Verdict) -> None:
    assert judged(Answer(status, code, WINDOW)) == verdict


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (200, "", TryAgain(0.5, "the reply was not the API's (HTTP 200)")),
        (200, "0", TryAgain(0.5, "not accepted by the service: code 0")),
        (200, "20001", TryAgain(0.5, "not accepted by the service: code 20001")),
        (200, "30000", TryAgain(0.5, "not accepted by the service: code 30000")),
        (200, "40499", Reject(Reason("40499", "refused by the service: code 40499"))),
        (200, "50001", TryAgain(0.5, "not accepted by the service: code 50001")),
        (200, "99999", TryAgain(0.5, "not accepted by the service: code 99999")),
        (201, "20000", TryAgain(0.5, "not accepted by the service: HTTP 201")),
        (204, "", TryAgain(0.5, "not accepted by the service: HTTP 204")),
        (301, "", StopRun(REDIRECTED.format(301))),
        (302, "20000", StopRun(REDIRECTED.format(302))),
        (304, "", StopRun(REDIRECTED.format(304))),
        (308, "", StopRun(REDIRECTED.format(308))),
        (
            401,
            "",
            StopRun("the server does not accept this access token (HTTP 401). Correct api.access_token."),
        ),
        (
            403,
            "",
            StopRun(
                "the server forbids these requests (HTTP 403). Correct api.access_token, "
                "or ask whether this host is allowed."
            ),
        ),
        (404, "", StopRun("the server has nothing at this address (HTTP 404). Correct api.base_url.")),
        (405, "", StopRun(NEVER_SERVED.format(405))),
        (407, "", StopRun(NEVER_SERVED.format(407))),
        (408, "", TryAgain(0.5, "not accepted by the service: HTTP 408")),
        (413, "", Reject(Reason("413", "refused by the service: HTTP 413"))),
        (415, "", StopRun(NEVER_SERVED.format(415))),
        (422, "", Reject(Reason("422", "refused by the service: HTTP 422"))),
        (499, "", StopRun(NEVER_SERVED.format(499))),
        (500, "20000", TryAgain(0.5, "not accepted by the service: HTTP 500")),
        (500, "40001", TryAgain(0.5, "not accepted by the service: HTTP 500")),
        (502, "", TryAgain(0.5, "not accepted by the service: HTTP 502")),
        (503, "", TryAgain(0.5, "not accepted by the service: HTTP 503")),
        (504, "", TryAgain(0.5, "not accepted by the service: HTTP 504")),
        (599, "", TryAgain(0.5, "not accepted by the service: HTTP 599")),
        (400, "20000", Reject(Reason("400", "refused by the service: HTTP 400"))),
        (400, "50000", Reject(Reason("400", "refused by the service: HTTP 400"))),
    ],
)
def test_a_reply_outside_the_table_is_judged_by_its_class(status: int, code: str, verdict: Verdict) -> None:
    assert judged(Answer(status, code, WINDOW)) == verdict


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 503])
@pytest.mark.parametrize(("code", "verdict"), [("40101", BAD_SERVICE), ("40201", BAD_TOKEN)])
def test_credentials_that_the_service_refuses_stop_the_run_whatever_the_status(
    status: int, code: str, verdict: Verdict
) -> None:
    assert judged(Answer(status, code, WINDOW)) == verdict


@pytest.mark.parametrize(
    ("status", "code"), [(200, "40401"), (400, "40401"), (403, "40401"), (500, "40401"), (429, "20000"), (429, "40000")]
)
@pytest.mark.parametrize("attempt", [1, 5, 1000])
def test_a_limit_reply_holds_everybody_and_costs_the_row_no_attempt(status: int, code: str, attempt: int) -> None:
    assert judged(Answer(status, code, WINDOW), attempt) == Throttled(WINDOW)


@pytest.mark.parametrize(
    ("silence", "verdict"),
    [
        (Silence("no reply in time"), TryAgain(0.5, "no reply in time")),
        (Silence("the connection broke", applied=False), TryAgain(0.5, "the connection broke")),
        (
            Silence("no connection to the server", applied=False, refused=True),
            Unreachable("no connection to the server", ROUTE),
        ),
        (
            Silence("this machine has no socket or file left", applied=False, local=True),
            NoSocket("this machine has no socket or file left"),
        ),
        (
            Silence("the server's certificate can't be trusted", fatal=True),
            StopRun(f"the server's certificate can't be trusted. {TRUST}"),
        ),
        (
            Silence("no TLS", refused=True, fatal=True),
            StopRun(f"no TLS. {TRUST}"),
        ),
        (
            Silence("the proxy asks for a user", applied=False, fatal=True, by_proxy=True),
            StopRun(f"the proxy asks for a user. {PROXY}"),
        ),
    ],
)
def test_a_silence_is_the_rows_or_everybodys_or_the_runs_trouble(silence: Silence, verdict: Verdict) -> None:
    assert judged(silence) == verdict


@pytest.mark.parametrize("attempt", [1, 5, 1000])
def test_a_row_is_not_charged_for_a_server_that_nobody_reaches(attempt: int) -> None:
    silence = Silence("no connection in time", applied=False, refused=True)

    assert judged(silence, attempt) == Unreachable("no connection in time", ROUTE)


@pytest.mark.parametrize("by_proxy", [False, True])
def test_a_server_that_nobody_reaches_is_told_with_advice_on_the_way_until_the_way_has_led_there(
    *, by_proxy: bool
) -> None:
    silence = Silence("no way", applied=False, refused=True, by_proxy=by_proxy)

    assert judged(silence) == Unreachable("no way", PROXY if by_proxy else ROUTE)
    assert POLICY.judge(silence, attempt=1, jitter=1.0, proven=True) == Unreachable("no way")


@pytest.mark.parametrize("attempt", [1, 5, 1000])
def test_a_row_is_not_charged_for_a_machine_without_a_socket_left(attempt: int) -> None:
    assert judged(Silence("no socket", applied=False, local=True), attempt) == NoSocket("no socket")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Answer(500, ""), Reason("500", "not accepted by the service: HTTP 500")),
        (Answer(201, "20000"), Reason("201", "not accepted by the service: HTTP 201")),
        (Answer(200, "50000"), Reason("50000", "not accepted by the service: INTERNAL_SERVER_ERROR (50000)")),
        (Answer(200, "99999"), Reason("99999", "not accepted by the service: code 99999")),
        (Answer(200, ""), Reason("not_api", "the reply was not the API's (HTTP 200)")),
        (Silence("no reply in time"), Reason("silence", "no reply in time")),
    ],
)
def test_a_row_is_given_up_with_its_last_attempt_and_not_before(reply: Reply, reason: Reason) -> None:
    assert [judged(reply, attempt) for attempt in (1, 2, 3, 4)] == [
        TryAgain(seconds, reason.phrase) for seconds in (0.5, 1.0, 2.0, 4.0)
    ]
    assert judged(reply, 5) == GiveUp(reason)
    assert judged(reply, 6) == GiveUp(reason)


def test_one_attempt_means_that_nothing_is_tried_again() -> None:
    policy = RetryPolicy(attempts=1, base=0.5, cap=30.0)

    assert policy.judge(Answer(500, ""), attempt=1, jitter=0.5) == GiveUp(
        Reason("500", "not accepted by the service: HTTP 500")
    )


@pytest.mark.parametrize("status", [200, 400, 422])
def test_a_row_at_fault_is_refused_at_its_first_attempt(status: int) -> None:
    assert isinstance(judged(Answer(status, "40001")), Reject)


@given(
    attempt=st.integers(1, 10_000),
    dice=st.floats(0, 1, exclude_max=True),
    base=st.floats(0.001, 1000),
    cap=st.floats(0.001, 1e6),
)
def test_a_back_off_is_a_random_part_of_a_wait_that_doubles_up_to_the_cap(
    attempt: int, dice: float, base: float, cap: float
) -> None:
    verdict = RetryPolicy(attempt + 1, base, cap).judge(Silence("no reply in time"), attempt=attempt, jitter=dice)

    # Beyond 2^64 every base that is allowed has met its cap.
    assert verdict == TryAgain(dice * min(cap, base * 2.0 ** min(attempt - 1, 64)), "no reply in time")
    assert isinstance(verdict, TryAgain)
    assert 0 <= verdict.seconds <= cap


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.5), (2, 1.0), (4, 4.0), (6, 16.0), (7, 30.0), (900, 30.0)])
def test_the_dice_choose_any_wait_from_none_to_the_longest(attempt: int, longest: float) -> None:
    policy = RetryPolicy(attempts=1000, base=0.5, cap=30.0)

    waits = [policy.judge(Answer(503, ""), attempt=attempt, jitter=dice) for dice in (0.0, 0.5, 1.0)]

    why = "not accepted by the service: HTTP 503"
    assert waits == [TryAgain(0.0, why), TryAgain(longest / 2, why), TryAgain(longest, why)]


@given(st.builds(Answer, st.integers(100, 999), st.from_regex(r"[0-9]{0,6}", fullmatch=True)), st.integers(1, 9))
def test_only_http_200_with_code_20000_is_accepted(answer: Answer, attempt: int) -> None:
    accepted = answer.status == 200 and answer.code == "20000"

    assert (judged(answer, attempt) == Accept()) == accepted


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 405, 407, 415, 451, 499])
@pytest.mark.parametrize("code", ["", "20000", "40001", "50000"])
def test_a_status_that_refuses_the_run_is_about_the_row_once_the_run_is_proven(status: int, code: str) -> None:
    phrase = f"answered with HTTP {status}, also when sent alone, though the service answers other rows"
    verdict = Blocked(Reason(str(status), phrase), f"HTTP {status}")

    assert isinstance(judged(Answer(status, code)), StopRun)
    for attempt in (1, 5, 9):
        assert POLICY.judge(Answer(status, code), attempt=attempt, jitter=1.0, proven=True) == verdict


def test_a_page_is_tried_as_in_an_outage_before_it_is_about_the_row() -> None:
    page, why = Answer(200, ""), "the reply was not the API's (HTTP 200)"
    what = "HTTP 200 and no reply of the API"
    phrase = f"answered with {what}, also when sent alone, though the service answers other rows"

    verdicts = [POLICY.judge(page, attempt=attempt, jitter=1.0, proven=True) for attempt in (1, 4, 5)]

    assert verdicts == [TryAgain(0.5, why), TryAgain(4.0, why), Blocked(Reason("not_api", phrase), what, why)]
    assert judged(page, attempt=5) == GiveUp(Reason("not_api", why))


def test_a_connection_that_can_not_be_trusted_is_an_outage_once_the_run_is_proven() -> None:
    silence = Silence("no TLS connection can be made with this server", fatal=True)

    verdict = POLICY.judge(silence, attempt=1, jitter=1.0, proven=True)

    assert isinstance(verdict, Unreachable)
    assert (verdict.why, "set api.ca_file too" in verdict.advice) == (silence.why, True)
    assert isinstance(judged(silence), StopRun)


@pytest.mark.parametrize("status", [200, 302, 403, 404])
@pytest.mark.parametrize(("code", "verdict"), [("40101", BAD_SERVICE), ("40201", BAD_TOKEN)])
def test_credentials_that_the_service_refuses_stop_a_proven_run_too(status: int, code: str, verdict: Verdict) -> None:
    assert POLICY.judge(Answer(status, code), attempt=1, jitter=1.0, proven=True) == verdict


@pytest.mark.parametrize(
    "reply",
    [Answer(200, "20000"), Answer(200, "40000"), Answer(200, "40001"), Answer(200, "40402"), Answer(200, "40403")],
)
def test_a_row_that_the_api_accepts_or_rejects_proves_the_run(reply: Reply) -> None:
    assert proves(reply)


@pytest.mark.parametrize(
    "reply",
    [
        *(Answer(200, code) for code in ("", "40101", "40201", "40401", "40499", "50000", "0")),
        *(Answer(status, "40001") for status in (201, 302, 400, 403, 500)),
        *(Answer(status, "") for status in (400, 403, 413, 429, 503)),
        Answer(500, "20000"),
        Silence("no reply in time"),
    ],
)
def test_no_other_reply_proves_the_run(reply: Reply) -> None:
    assert not proves(reply)
