"""The rows go to `identities` alone, or each person is registered before their profile."""

import json
from collections.abc import Callable

import pytest

from tests.command import Desk, rules
from uploader.sandbox import RunningSandbox

Serve = Callable[..., RunningSandbox]

RUN = ("run", "people.csv", "--summary", "summary.json")
IDENTITIES = ("--set", "api.endpoint=identities")
FIRST = ("--set", "api.register_first=true")
BARE = "mapping: {identity: {external_id: id}}\n"


def calls(server: RunningSandbox) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return of each accepted request its call, whom it is about, and the keys of its body."""
    return [
        (request.call, str(request.identity["external_id"]), tuple(json.loads(request.body)))
        for request in server.sandbox.requests()
        if request.applied
    ]


@pytest.mark.parametrize("columnar", ["on", "off"])
def test_identities_are_sent_without_a_property_in_batches_too(desk: Desk, sandbox: Serve, columnar: str) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=BARE)
    desk.people(3)

    ended = desk.type(*RUN, *IDENTITIES, "--set", f"source.columnar={columnar}")

    assert ended.status == 0
    assert sorted(calls(server)) == [("identities", str(n), ("identity", "request_datetime")) for n in (1, 2, 3)]
    assert desk.summary()["sent"] == 3


def test_the_runs_of_both_calls_do_not_know_each_other(desk: Desk, sandbox: Serve) -> None:
    server = sandbox(rules())
    desk.configure(server.url, more="changed_only: true\n")
    desk.people(3)
    sent = []

    for words in (IDENTITIES, (), IDENTITIES, ()):
        desk.type(*RUN, *words)
        sent.append((desk.summary()["sent"], desk.summary()["unchanged"]))

    assert sent == [(3, 0), (3, 0), (0, 3), (0, 3)]


def test_each_new_person_is_registered_before_their_profile_and_once(desk: Desk, sandbox: Serve) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(2)
    desk.type(*RUN, *FIRST)
    first = desk.summary()
    desk.people(3)

    desk.type(*RUN, *FIRST)

    found = [(call, person) for call, person, _ in calls(server)]
    for person in "123":
        assert [call for call, one in found if one == person][:2] == ["identities", "user-profile"]
    assert sorted(person for call, person in found if call == "identities") == ["1", "2", "3"]
    assert [(one["requests"], one["retries"], one["sent"]) for one in (first, desk.summary())] == [(4, 0, 2), (4, 0, 3)]


def test_a_rejected_registration_rejects_its_row_with_the_reason(desk: Desk, sandbox: Serve) -> None:
    server = sandbox(rules("code=40001 for external_id=2"))
    desk.configure(server.url)
    desk.people(3)

    ended = desk.type(*RUN, *FIRST)

    assert ended.status == 3
    assert desk.retry_rows() == [
        (2, "rejected", "40001", "registering the person: refused by the service: VALIDATION_FAILURE (40001)", 1)
    ]
    assert sorted(person for call, person, _ in calls(server) if call == "user-profile") == ["1", "3"]
    assert {request.call for request in server.sandbox.requests() if request.identity["external_id"] == "2"} == {
        "identities"
    }


def test_a_wrong_token_is_found_at_the_registration(desk: Desk, sandbox: Serve) -> None:
    server = sandbox(rules(token="another"))
    desk.configure(server.url)
    desk.people(3)

    ended = desk.type(*RUN, *FIRST)

    assert ended.status == 5
    assert "the service does not accept this access token (code 40201)" in ended.err
    assert {request.call for request in server.sandbox.requests()} == {"identities"}


def test_a_dry_run_registers_people_too_and_keeps_nothing(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9")
    desk.people(3)

    ended = desk.type(*RUN, *FIRST, "--sandbox")

    assert (ended.status, desk.summary()["requests"]) == (0, 6)
    assert not (desk.folder / ".uploader").exists()


def test_both_calls_share_no_window(desk: Desk, sandbox: Serve) -> None:
    server = sandbox(rules(limit=30, per=12.0))
    desk.configure(server.url)
    desk.people(20)

    desk.type(*RUN, *FIRST, "--set", "rate.requests=30", "--set", "rate.per=12s", "--set", "rate.burst=25")

    assert (desk.summary()["sent"], desk.summary()["limited"], server.sandbox.report().over_limit) == (20, 0, 0)


def test_explain_shows_the_request_to_the_call_of_the_configuration(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9", mapping=BARE)
    desk.people(1)

    said = desk.type("explain", "people.csv", "--row", "1", *IDENTITIES)

    assert "http://127.0.0.1:9/api/v1/identities?service_id=" in said.out + said.err
