"""A nightly file costs a request for each person who changed, and never one too few."""

import hashlib
import os
import random
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import Desk, ended, names, rules, until
from uploader.delivery.person_ordering import PersonQueue, QueuedWork
from uploader.sandbox import RunningSandbox, running

FULL = os.environ.get("MEMORY") == "full"
ONLY = "changed_only: true\n"
BATCH = 256
WORKERS = 32


def write(desk: Desk, people: Mapping[str, str]) -> None:
    desk.write("people.csv", "id,name\n" + "".join(f"{who},{name}\n" for who, name in people.items()))


def books(desk: Desk, people: Mapping[str, str], *words: str, status: int = 0) -> dict[str, int]:
    """Send the file of *people*, and return its books."""
    write(desk, people)
    ending = desk.type("run", "people.csv", "--set", "api.timeout=30s", "--summary", "summary.json", *words)
    assert (ending.status, ending.err if status == 0 else "") == (status, "")
    return desk.books()


@contextmanager
def served(desk: Desk, *faults: str, more: str = ONLY, **how: object) -> Iterator[RunningSandbox]:
    with running(rules(*faults, **how)) as server:
        desk.configure(server.url, more=more)
        yield server


def stored(server: RunningSandbox, people: Mapping[str, str]) -> dict[str, object]:
    """Return what the sandbox has of *people*."""
    found = names(server)
    return {who: found.get(who) for who in people}


@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_exactly_who_changed_or_is_new_is_sent(desk: Desk, count: int) -> None:
    if count > 2_000 and not FULL:
        count = 8_000
    dice = random.Random(count)  # noqa: S311 — a night that can be told again
    people = {f"p{number}": f"name {number}" for number in range(count)}
    with served(desk) as server:
        first = books(desk, people)
        for who in [f"p{number}" for number in range(10)]:
            del people[who]
        changed = dice.sample(sorted(people), count // 100)
        people |= {who: f"{people[who]} again" for who in changed}
        people |= {f"new{number}": "new" for number in range(count // 1000)}
        before = len(server.sandbox.requests())
        second = books(desk, people)
        asked = {request.identity["external_id"] for request in server.sandbox.requests()[before:]}
        third = books(desk, people)

        assert stored(server, people) == people
        assert server.sandbox.report().requests == count + len(changed) + count // 1000
    assert asked == {*changed, *(f"new{number}" for number in range(count // 1000))}
    sent = len(changed) + count // 1000
    assert (first, second, third) == (
        {"sent": count},
        {"sent": sent, "unchanged": len(people) - sent},
        {"unchanged": len(people)},
    )


# What makes the memory wrong


def test_another_mapping_sends_everything_and_the_same_one_nothing(desk: Desk) -> None:
    people = {"1": "10", "2": "20"}
    renamed = "mapping: {identity: {external_id: id}, properties: {nick: name}}\n"
    typed = "mapping: {identity: {external_id: id}, properties: {nick: {column: name, type: long}}}\n"
    with served(desk) as server:
        first = [books(desk, people), books(desk, people)]
        found = []
        for mapping in (renamed, typed):
            desk.configure(server.url, more=ONLY, mapping=mapping)
            found.append([books(desk, people), books(desk, people)])

    assert [first, *found] == [[{"sent": 2}, {"unchanged": 2}]] * 3


def test_another_service_has_a_memory_of_its_own(desk: Desk) -> None:
    people = {"1": "a", "2": "b"}
    with served(desk):
        here = books(desk, people)
        there = books(desk, people, "--set", "api.service_id=other")
        again = books(desk, people)

    assert (here, there, again) == ({"sent": 2}, {"sent": 2}, {"unchanged": 2})


def test_full_sends_everything_once(desk: Desk) -> None:
    people = {"1": "a", "2": "b"}
    with served(desk):
        found = [books(desk, people, *words) for words in ((), ("--full",), ())]

    assert found == [{"sent": 2}, {"sent": 2}, {"unchanged": 2}]


def test_full_sends_also_what_an_interrupted_run_has_passed_over(desk: Desk) -> None:
    people = {"1": "a", "2": "a", "3": "b"}
    with served(desk, "http=401:40300 for external_id=3 times 1") as server:
        books(desk, {"1": "a", "2": "a"})
        stopped = books(desk, people, status=5)
        full = desk.type("run", "people.csv", "--full", "--summary", "summary.json")

        assert (stopped, full.status, desk.books()) == ({"unchanged": 2, "not_attempted": 1}, 0, {"sent": 3})
        assert [request.identity["external_id"] for request in server.sandbox.requests()][-3:] == ["1", "2", "3"]
    assert "starting over as asked; 1 of 3 rows" in full.err


def test_full_every_sends_everything_when_it_is_due(desk: Desk) -> None:
    people = {"1": "a", "2": "b"}
    with served(desk, more=f"{ONLY}full_every: 30d\n"):
        first = [books(desk, people), books(desk, people)]
        due = books(desk, people, "--set", "full_every=1ms")

    assert (first, due) == ([{"sent": 2}, {"unchanged": 2}], {"sent": 2})


def test_a_run_that_sends_all_keeps_a_memory_true_that_is_there(desk: Desk) -> None:
    with served(desk) as server:
        books(desk, {"1": "a"})
        desk.configure(server.url)
        plain = books(desk, {"1": "b"})
        desk.configure(server.url, more=ONLY)

        back = books(desk, {"1": "a"})

        assert (plain, back, stored(server, {"1": "a"})) == ({"sent": 1}, {"sent": 1}, {"1": "a"})


def test_a_memory_does_not_begin_beside_a_run_that_would_make_it_wrong(desk: Desk) -> None:
    with served(desk, "latency=1s for df_name=plain times 1", more="") as server:
        desk.write("other.csv", "id,name\n0,first\n1,plain\n1,last\n")
        with desk.start("run", "other.csv", "-q", "--set", "api.timeout=5s") as plain:
            until(lambda: len(server.sandbox.requests()) > 1)
            beside = books(desk, {"1": "a"}, "--changed-only")
            assert ended(plain).status == 0
        stands = stored(server, {"1": "a"})

        after = books(desk, {"1": "a"}, "--changed-only")

        # The run that began later has the newer row; whether the other one overwrote it is not known to the memory.
        assert (beside, stands, after, stored(server, {"1": "a"})) == (
            {"sent": 1},
            {"1": "a"},
            {"sent": 1},
            {"1": "a"},
        )


def test_the_flag_does_what_the_key_does(desk: Desk) -> None:
    with served(desk, more=""):
        found = [books(desk, {"1": "a"}, "--changed-only") for _ in range(2)]
        plain = books(desk, {"1": "a"})

    assert (found, plain) == ([{"sent": 1}, {"unchanged": 1}], {"sent": 1})


def test_a_limit_sends_the_changed_among_the_first_rows(desk: Desk) -> None:
    people = {str(number): "a" for number in range(10)}
    with served(desk):
        found = [books(desk, people, *words) for words in (("--limit", "4"), ("--limit", "4"), ())]

    assert found == [{"sent": 4}, {"unchanged": 4}, {"sent": 6, "unchanged": 4}]


def test_a_rehearsal_touches_no_memory(desk: Desk) -> None:
    with served(desk):
        desk.people(3)
        rehearsed = desk.type("run", "people.csv", "--sandbox", "-q")

        assert (rehearsed.status, (desk.folder / ".uploader").exists()) == (0, False)


def test_a_check_says_about_how_many_changed_and_makes_nothing(desk: Desk) -> None:
    people = {str(number): "a" for number in range(10)}
    with served(desk):
        write(desk, people)
        before = desk.type("check", "people.csv")
        untouched = not (desk.folder / ".uploader").exists()
        books(desk, people)
        write(desk, people | {"1": "b", "new": "c"})
        state = sorted((desk.folder / ".uploader").rglob("*"))

        after = desk.type("check", "people.csv")
        assert sorted((desk.folder / ".uploader").rglob("*")) == state
        facts = desk.type("check", "people.csv", "--json", "-q").out

    assert (untouched, "changed" in before.err) == (True, False)
    assert "  About 2 changed since the service accepted them last; the others need no request." in after.err
    assert '"changed": 2' in facts


# Troubles


def test_rows_that_are_rejected_or_fail_are_sent_again_until_they_are_accepted(desk: Desk) -> None:
    people = {"1": "a", "2": "b", "3": "c"}
    with served(desk, "code=40001 for external_id=1 times 1", "http=503 for external_id=2 times 2"):
        first = books(desk, people, status=3)
        found = [books(desk, people), books(desk, people)]

    assert first == {"sent": 1, "rejected": 1, "failed": 1}
    assert found == [{"sent": 2, "unchanged": 1}, {"unchanged": 3}]


def test_a_lost_answer_costs_a_request_and_never_a_value(desk: Desk) -> None:
    with served(desk, "drop-after for df_name=b times 2") as server:
        books(desk, {"1": "a"})
        lost = books(desk, {"1": "b"}, status=3)
        back = books(desk, {"1": "a"})

        assert (lost, back, stored(server, {"1": "a"})) == ({"failed": 1}, {"sent": 1}, {"1": "a"})


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_the_service_has_what_the_file_says_after_nights_of_every_trouble(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 — a night that can be told again
    faults = (
        "limit times 1 after 300",
        "http=503 for 4%",
        "drop-after for 4%",
        "drop-before for 2%",
        "code=50000 for 2%",
    )
    people = {f"p{number}": "x" for number in range(600)}
    with served(desk, *faults, latency=(0.0, 0.01), seed=seed) as server:
        for _ in range(3 if seed == 1 else 6):
            people |= {who: dice.choice("xy") for who in dice.sample(sorted(people), 300)}
            people |= {f"n{dice.randrange(10**6)}": "x" for _ in range(5)}
            write(desk, people)
            for _ in range(dice.randint(1, 3)):
                with desk.start("run", "people.csv", "-q", "--set", "retry.attempts=8") as process:
                    time.sleep(0.6 + dice.random())
                    process.send_signal(signal.SIGKILL)
                    ended(process)
            while (last := desk.process("run", "people.csv", "-q", "--set", "retry.attempts=8")).status == 3:
                pass

            assert last.status == 0, last.err
            assert stored(server, people) == people


@pytest.mark.slow
def test_a_crash_costs_no_more_than_what_was_in_flight_and_one_batch(desk: Desk) -> None:
    people = {f"p{number}": "x" for number in range(1500)}
    crashes = 3
    with served(desk, latency=(0.0, 0.02)) as server:
        write(desk, people)
        for crash in range(1, crashes + 1):
            with desk.start("run", "people.csv", "-q") as process:
                while len(server.sandbox.requests()) < 300 * crash and process.poll() is None:
                    time.sleep(0.005)
                process.send_signal(signal.SIGKILL)
                ended(process)
        assert desk.type("run", "people.csv", "-q").status == 0
        again = books(desk, people)
        books(desk, people)
        last = books(desk, people)

        # Whoever was about to be sent goes twice more: it is the acceptance after the next one that is remembered.
        assert server.sandbox.report().requests <= len(people) + 2 * crashes * (WORKERS + BATCH)
        assert stored(server, people) == people
    assert (sum(again.values()), last) == (len(people), {"unchanged": len(people)})


# Rows that share a person


def _shared(seed: int, rows: int) -> list[tuple[str, str]]:
    """Return rows of whom one in ten is about a person before it."""
    dice = random.Random(seed)  # noqa: S311 — a night that can be told again
    return [
        (f"p{max(0, number - dice.randint(1, 30)) if dice.random() < 0.1 else number}", f"v{number}")
        for number in range(rows)
    ]


def _sent_and_killed(desk: Desk, server: RunningSandbox, rows: list[tuple[str, str]], seed: int) -> dict[str, object]:
    """Send *rows* with 50 in flight, killed once in between, and return what is stored."""
    dice = random.Random(seed)  # noqa: S311 — a night that can be told again
    desk.write("people.csv", "id,name\n" + "".join(f"{who},{value}\n" for who, value in rows))
    words = ("run", "people.csv", "-q", "--set", "rate.concurrency=50", "--set", "retry.attempts=8")
    with desk.start(*words) as process:
        while len(server.sandbox.requests()) < dice.randint(50, len(rows) // 2) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        ended(process)
    assert desk.type(*words).status == 0
    return stored(server, dict(rows))


@pytest.mark.slow
@pytest.mark.parametrize("only", ["", ONLY])
def test_the_last_row_of_each_person_stands_after_kills_and_retries(desk: Desk, only: str) -> None:
    rows = _shared(7, 1200)
    with served(desk, "http=503 for 5%", "drop-before for 2%", more=only, latency=(0.0, 0.04)) as server:
        assert _sent_and_killed(desk, server, rows, 7) == dict(rows)


@pytest.mark.slow
def test_without_order_a_person_ends_with_an_older_row(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PersonQueue, "admit", _at_once)
    rows = _shared(7, 1200)
    with served(desk, "http=503 for 5%", more="", latency=(0.0, 0.04)) as server:
        desk.write("people.csv", "id,name\n" + "".join(f"{who},{value}\n" for who, value in rows))
        desk.type("run", "people.csv", "-q", "--set", "rate.concurrency=50", "--set", "retry.attempts=8")

        assert stored(server, dict(rows)) != dict(rows)


def _at_once(_: PersonQueue, work: object) -> object:
    return QueuedWork(work, ())  # type: ignore[arg-type]  # whatever it is, it goes


# Nothing to be found


def test_no_value_and_no_plain_digest_of_one_is_in_the_memory_the_journal_or_the_totals(desk: Desk) -> None:
    people = {f"user-{number}@mail.example": f"Cleartext Name {number}" for number in range(300)}
    with served(desk, "http=503 for external_id=user-7@mail.example", more=f"{ONLY}guard: {{rows: 50%}}\n"):
        books(desk, people, status=3)
        books(desk, people | {"user-1@mail.example": "Cleartext Other"}, status=3)

    state = desk.folder / ".uploader"
    content = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file()).lower()
    assert len(list((state / "memory").iterdir())) >= 3
    values = {*people, *people.values(), *(f"external_id={who}" for who in people), "Cleartext Other"}
    assert [value for value in sorted(values) if _told(value, content)] == []


def _told(value: str, content: bytes) -> bool:
    """Whether *value*, or a plain digest of it, stands in *content*."""
    plain = value.encode()
    digests = [hashlib.new(name, plain) for name in ("md5", "sha1", "sha256")]
    needles = [
        plain.lower(),
        *(one.hexdigest().encode() for one in digests),
        *(one.digest().lower() for one in digests),
    ]
    return any(needle in content for needle in needles)


def test_the_search_for_digests_finds_one(tmp_path: Path) -> None:
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, b"value")
        assert _told("value", b"-" + digest.digest().lower()) and _told("value", digest.hexdigest().encode())  # noqa: PT018 — one search
    assert not _told("value", re.sub(b"v", b"", tmp_path.name.encode()))
