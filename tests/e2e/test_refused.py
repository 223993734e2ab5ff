"""Stop at once where the service refuses the whole run, and send nobody's data elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests.command import SERVICE, TOKEN, Desk, names, names_of, rules
from uploader.sandbox import RunningSandbox

ROWS = 50
CONCURRENCY = 4
RUN = ("run", "people.csv", "--set", f"rate.concurrency={CONCURRENCY}", "--summary", "summary.json")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"token": "another"}, "accept this access token (code 40201). Correct api.access_token."),
        ({"service_id": "another"}, "know this service ID (code 40101). Correct api.service_id."),
    ],
    ids=["token", "service ID"],
)
def test_a_wrong_credential_stops_the_run_after_the_first_requests(
    desk: Desk, sandbox: Callable[..., RunningSandbox], wanted: dict[str, str], why: str
) -> None:
    server = sandbox(rules(**wanted))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert (ended.status, ended.out, ended.stop) == (
        5,
        "",
        f"Stopped: the service does not {why} Then run again to resume.",
    )
    assert 1 <= server.sandbox.report().requests <= CONCURRENCY
    assert desk.books() == {"not_attempted": ROWS}
    assert server.sandbox.profiles() == []
    assert desk.files() == ["config.yaml", "people.csv", "summary.json"]


def test_after_the_fix_every_row_is_sent(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(token=TOKEN, service_id=SERVICE))
    desk.configure(server.url)
    desk.people(ROWS)
    desk.environ["DFINERY_ACCESS_TOKEN"] = "wrong"
    assert desk.type(*RUN).status == 5

    desk.environ["DFINERY_ACCESS_TOKEN"] = TOKEN
    ended = desk.type(*RUN)

    assert ended.status == 0
    assert desk.books() == {"sent": ROWS}
    assert names(server) == names_of(range(1, ROWS + 1))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_status_that_refuses_everybody_stops_the_run_after_the_first_requests(
    desk: Desk, sandbox: Callable[..., RunningSandbox], status: int
) -> None:
    server = sandbox(rules(f"http={status}"))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert ended.status == 5
    assert 1 <= server.sandbox.report().requests <= CONCURRENCY
    assert desk.books() == {"not_attempted": ROWS}


def test_a_wrong_path_in_the_url_stops_the_run(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(f"{server.url}/v2")
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert (ended.status, ended.stop) == (
        5,
        "Stopped: the server has nothing at this address (HTTP 404). Correct api.base_url. Then run again to resume.",
    )
    assert 1 <= len(server.sandbox.strays()) <= CONCURRENCY
    assert desk.books() == {"not_attempted": ROWS}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(desk: Desk, sandbox: Callable[..., RunningSandbox], status: int) -> None:
    elsewhere = sandbox(rules())
    server = sandbox(rules(f"redirect={status}:{elsewhere.url}/api/v1/user-profile?service_id={SERVICE}"))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert (ended.status, ended.stop) == (
        5,
        (
            f"Stopped: the server redirects elsewhere (HTTP {status}); no redirect is followed. Correct api.base_url. "
            "Then run again to resume."
        ),
    )
    assert (elsewhere.sandbox.requests(), elsewhere.sandbox.strays()) == ([], [])
    assert 1 <= server.sandbox.report().requests <= CONCURRENCY
    assert desk.books() == {"not_attempted": ROWS}


@pytest.mark.parametrize(
    ("named", "why"),
    [("127.0.0.1", "a certificate that nobody vouches for"), ("example.com", "a certificate of another host")],
)
def test_a_certificate_that_can_not_be_trusted_stops_the_run_before_anything_is_sent(
    desk: Desk, sandbox: Callable[..., RunningSandbox], tmp_path: Path, named: str, why: str
) -> None:
    certificate = tmp_path / "server.pem"
    trustme.CA().issue_cert(named).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    server = sandbox(rules(certificate=certificate))
    desk.configure(server.url)
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert (ended.status, ended.stop) == (
        5,
        (
            "Stopped: the server's certificate can't be trusted. Correct api.base_url. If it is signed by a "
            "certificate authority of your own, set api.ca_file; if it is reached through a proxy, set api.proxy. "
            "Then run again to resume."
        ),
    ), why
    assert (server.sandbox.requests(), server.sandbox.strays()) == ([], [])
    assert desk.books() == {"not_attempted": ROWS}
    assert desk.summary()["maybe_sent_twice"] == 0


def test_a_server_that_speaks_no_tls_is_sent_nothing_over_https(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url.replace("http:", "https:"))
    desk.people(ROWS)

    ended = desk.type(*RUN)

    assert (ended.status, ended.stop) == (
        5,
        (
            "Stopped: no TLS connection can be made with this server. Correct api.base_url. If it is signed by a "
            "certificate authority of your own, set api.ca_file; if it is reached through a proxy, set api.proxy. "
            "Then run again to resume."
        ),
    )
    assert (server.sandbox.requests(), server.sandbox.strays()) == ([], [])
    assert desk.books() == {"not_attempted": ROWS}
    assert desk.summary()["maybe_sent_twice"] == 0
