"""Which run is the later one is told by the number that the state folder gave it, never by the clock."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, Final, Self

import pytest

from tests.command import Desk, books_of, names, rules, sent_ids
from uploader import clock
from uploader.run import mark_finished, results
from uploader.sandbox import running

DAY: Final = 86_400.0
ONE_BY_ONE: Final = ("--set", "rate.concurrency=1")


@contextmanager
def clock_ahead(desk: Desk, *, days: float) -> Iterator[None]:
    """Let the clock on the wall be *days* ahead (negative: behind) of what it is."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(days=days)

    with desk.monkeypatch.context() as patch:
        for module in (results, mark_finished):
            patch.setattr(module, "datetime", Shifted)
        wall = SimpleNamespace(time=lambda: time.time() + days * DAY, monotonic=time.monotonic)
        patch.setattr(clock, "time", wall)
        yield


def past_runs(desk: Desk) -> list[dict[str, Any]]:
    """Return what `uploader runs` tells, the newest run first."""
    told: list[dict[str, Any]] = json.loads(desk.type("runs", "--json").out)
    return told


def send(desk: Desk, people: dict[str, str], *words: str) -> dict[str, int]:
    desk.write("people.csv", "id,name\n" + "".join(f"{who},{name}\n" for who, name in people.items()))
    desk.type("run", "people.csv", "--summary", "summary.json", *words)
    return books_of(desk.summary()["sources"][-1])


@pytest.mark.parametrize("days", [-400, 400])
def test_an_interrupted_run_is_found_after_one_with_another_clock(desk: Desk, days: int) -> None:
    with running(rules("code=40201 for external_id=50 times 1")) as server:
        desk.configure(server.url)
        desk.people(1)
        with clock_ahead(desk, days=days):
            desk.type("run", "people.csv")
        desk.people(50)

        first = desk.type("run", "people.csv", *ONE_BY_ONE)
        with clock_ahead(desk, days=-days):
            second = desk.type("run", "people.csv", *ONE_BY_ONE)

        assert (first.status, second.status, "49 of 50 rows settled" in second.err) == (5, 0, True)
        assert sent_ids(server)[-2:] == ["50", "50"]
        assert len(sent_ids(server)) == 1 + 50 + 1


def test_the_newest_run_is_the_one_that_began_last_whatever_the_clock_says(desk: Desk) -> None:
    with running(rules()) as server:
        desk.configure(server.url)
        for days, count in ((400, 1), (0, 2), (-400, 3)):
            desk.people(count)
            with clock_ahead(desk, days=days):
                desk.type("run", "people.csv", "--set", "journal_days=9999")

        assert [run["read"] for run in past_runs(desk)] == [3, 2, 1]


def test_everything_is_sent_when_the_last_time_it_was_lies_in_the_future(desk: Desk) -> None:
    with running(rules()) as server:
        desk.configure(server.url, more="changed_only: true\nfull_every: 30d\n")
        with clock_ahead(desk, days=400):
            first = send(desk, {"1": "a", "2": "b"})

        again = send(desk, {"1": "a", "2": "b"})
        third = send(desk, {"1": "a", "2": "b"})

    assert (first, again, third) == ({"sent": 2}, {"sent": 2}, {"unchanged": 2})


@pytest.mark.parametrize("days", [-400, 400])
def test_last_nights_failures_are_taken_in_after_a_night_with_another_clock(desk: Desk, days: int) -> None:
    with running(rules("http=503 for df_name=old times 4")) as server:
        desk.configure(server.url, more="retry_last_failures: true\n")
        with clock_ahead(desk, days=days):
            send(desk, {"1": "old", "2": "old"})
        send(desk, {"1": "new"}, "--set", "journal_days=9999")
        send(desk, {"3": "x"}, "--set", "journal_days=9999")

        assert names(server) == {"1": "new", "2": "old", "3": "x"}
        assert [run["source"].rpartition("/")[2] for run in past_runs(desk)] == [
            "people.csv",
            "people.csv",
            "people.retry.csv",
            "people.csv",
        ]


def test_runs_go_on_with_the_greatest_number_when_the_numbers_are_lost(desk: Desk) -> None:
    with running(rules("code=40201 for external_id=5 times 1")) as server:
        desk.configure(server.url)
        for count in (1, 2):
            desk.people(count)
            desk.type("run", "people.csv")
        for path in (desk.folder / ".uploader" / "numbers").iterdir():
            path.unlink()
        desk.people(6)
        with clock_ahead(desk, days=-400):
            stopped = desk.type("run", "people.csv", *ONE_BY_ONE)
            (desk.folder / ".uploader" / "numbers" / "last").write_bytes(b"\0" * 50)
            ended = desk.type("run", "people.csv", *ONE_BY_ONE)

        assert (stopped.status, ended.status, "4 of 6 rows settled" in ended.err) == (5, 0, True)
        assert [run["read"] for run in past_runs(desk)] == [6, 2, 1]


def test_a_rehearsal_takes_no_number(desk: Desk) -> None:
    with running(rules()) as server:
        desk.configure(server.url)
        desk.people(1)

        desk.type("run", "people.csv", "--sandbox")

        assert not (desk.folder / ".uploader").exists()
