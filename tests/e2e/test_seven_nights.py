"""Seven nights of one job with dated files: each place that a monitor reads says of each night what happened.

Every night is a process of its own, as cron starts it; service and monitor are servers on this machine. Only the clock
on the wall is set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.mornings import SECRET, Facts, Morning, Night, nightly_job


def people(count: int, *, segment: str = "usual", first: int = 1) -> list[str]:
    """Return *count* rows of the export; each value has the secret word in it."""
    return [f"{SECRET}-{n},{SECRET}-name-{n},30,{SECRET}-{segment}" for n in range(first, first + count)]


@dataclass(frozen=True, slots=True)
class Story:
    """A *night*, and what is to be read of it: in words, and by the numbers that are not 0."""

    night: Night
    status: int | None
    end: str
    outcome: str
    error: str | None
    counts: Mapping[str, int]
    events: tuple[str, ...]
    pings: tuple[str, ...]


STORIES: Final[Mapping[str, Story]] = {
    "success": Story(
        Night(5, people(40)),
        0,
        "succeeded",
        "succeeded",
        None,
        {"read": 40, "sent": 40},
        ("started 2024-03-05", "success 2024-03-05"),
        ("/start", ""),
    ),
    "drift refused": Story(
        Night(6, people(4)),
        4,
        "failed",
        "refused: the input can't be read, or is wrong as a whole",
        "export/members_20240306.csv differs too much from the last finished run (2024-03-04): 4 rows instead of 40 "
        "(-90.0%, guard.rows 30%). Nothing was sent. If it is meant so, type "
        "`uploader run 'export/members_{today:%Y%m%d}.csv' --summary last.json --accept`.",
        {"read": 4, "not_attempted": 4},
        ("started 2024-03-06", "failure 2024-03-06"),
        ("/start", "/fail"),
    ),
    "missing file": Story(
        Night(7, None),
        4,
        "failed",
        "refused: the input can't be read, or is wrong as a whole",
        "export/members_20240307.csv does not exist: that is export/members_{today:%Y%m%d}.csv where today is "
        "2024-03-07 (Asia/Seoul). Nothing was sent. See whether the export has run.",
        {},
        ("failure 2024-03-07",),
        ("/fail",),
    ),
    "wrong configuration": Story(
        Night(8, people(40), has_typo=True),
        2,
        "failed",
        "not started: an option or the configuration is wrong",
        "config.yaml line 12: maping is not a key; did you mean mapping?",
        {},
        ("failure 2024-03-08",),
        ("/fail",),
    ),
    "outage": Story(
        Night(9, people(40, segment="out")),
        6,
        "failed",
        "stopped: the service was unreachable, or throttled us for too long",
        "Stopped: not accepted by the service: HTTP 503, for longer than retry.outage_timeout (1 s). "
        "Run again to resume.",
        {"read": 40, "not_attempted": 40},
        ("started 2024-03-09", "failure 2024-03-09"),
        ("/start", "/fail"),
    ),
    "killed": Story(
        Night(10, [*people(39), *people(1, segment="hangs", first=40)], killed=True),
        None,
        "killed",
        "killed, or its end could not be recorded",
        None,
        {"read": 40, "sent": 39, "not_attempted": 1},
        ("started 2024-03-10",),
        ("/start",),
    ),
    "success with rejects": Story(
        Night(
            11,
            [
                *people(40),
                *people(1, segment="bad", first=41),
                *(row.replace(",30,", f",{SECRET}-old,") for row in people(2, first=42)),
            ],
        ),
        0,
        "succeeded",
        "succeeded with 3 rejected rows",
        None,
        {"read": 43, "sent": 40, "rejected": 3},
        ("failure 2024-03-10", "started 2024-03-11", "rejected 2024-03-11"),
        ("/fail", "/start", ""),
    ),
}
"""The night that was killed can't report its end: the next one does, before its own start."""


def expected(story: Story) -> dict[str, Facts | None]:
    """Return what each place is to say of the night of *story*."""
    counts = {name: story.counts.get(name, 0) for name in ("read", "sent", "rejected", "failed", "not_attempted")}
    words = {"job": "members", "exit_status": story.status, "outcome": story.outcome, "error": story.error}
    whole = {"date": story.night.date, **words, **counts}
    table = ("date", "job", "outcome", "error", "sent", "rejected", "failed")
    metrics = ("date", "exit_status", "sent", "rejected", "failed", "not_attempted")
    with_end = {**whole, "end": story.end}
    return {
        "process": {"exit_status": -9 if story.night.killed else story.status},
        # A killed process writes no end: the summary is still that of the night before.
        "summary": None if story.night.killed else whole,
        "history": with_end,
        "table": {name: whole[name] for name in table},
        "webhook": None if story.night.killed else with_end,
        "metrics": {name: whole[name] for name in (metrics[:2] if story.night.killed else metrics)},
    }


def differing(story: Story, morning: Morning) -> set[str]:
    """Return the places that say anything else of the night than *story*."""
    found = {place for place, facts in expected(story).items() if morning.said[place] != facts}
    if tuple(morning.events) != story.events:
        found.add("events")
    if tuple(morning.pings) != story.pings:
        found.add("pings")
    if any(SECRET in text for text in morning.texts):
        found.add("secrets")
    return found


@pytest.fixture(scope="module")
def mornings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Morning]:
    """Live through the seven nights, once for all that is asked of them."""
    with nightly_job(tmp_path_factory.mktemp("nights")) as job:
        return {name: job.run(story.night) for name, story in STORIES.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_every_place_says_of_a_night_what_happened(mornings: dict[str, Morning], name: str) -> None:
    story, morning = STORIES[name], mornings[name]

    assert morning.said == expected(story)
    assert (tuple(morning.events), tuple(morning.pings)) == (story.events, story.pings)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, story in STORIES.items() if not story.night.killed])
def test_every_place_has_the_same_end_of_a_night(mornings: dict[str, Morning], name: str) -> None:
    ends = mornings[name].ends

    assert {ends[place] for place in ("summary", "history", "webhook", "metrics")} == {ends["summary"]}


@pytest.mark.slow
def test_the_shape_of_the_summary_is_the_same_after_every_night(mornings: dict[str, Morning]) -> None:
    shapes = {(*morning.summary, len(morning.summary["sources"])) for morning in mornings.values()}

    assert len(shapes) == 1


@pytest.mark.slow
def test_the_metrics_say_since_when_no_night_has_succeeded(mornings: dict[str, Morning]) -> None:
    assert [morning.ends["last success"] for morning in mornings.values()] == ["2024-03-05"] * 6 + ["2024-03-11"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, story in STORIES.items() if not story.night.killed])
def test_the_text_for_a_chat_says_what_happened_and_why(mornings: dict[str, Morning], name: str) -> None:
    story, (first, *more) = STORIES[name], mornings[name].text

    assert first.startswith(f"uploader: members: {story.outcome}, after ")
    assert more[:1] == [story.error] if story.error else more[0].startswith(f"{story.counts['read']} rows: ")


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_no_value_of_a_row_and_no_token_is_in_anything_that_is_reported(
    mornings: dict[str, Morning], name: str
) -> None:
    assert [text for text in mornings[name].texts if SECRET in text] == []


MISTAKES: Final = [
    ("no summary of a refused file", ["success", "missing file"], {"summary"}),
    ("no record of a wrong configuration", ["success", "wrong configuration"], {"history", "table"}),
    ("no notification of an end", ["outage"], {"webhook", "events", "pings", "metrics"}),
    ("no notification of a kill", ["success", "killed", "success with rejects"], {"events", "pings"}),
    ("no metrics of a start", ["success", "killed"], {"metrics"}),
    ("rows in a notification", ["success"], {"secrets"}),
]


@pytest.mark.long
@pytest.mark.parametrize(("mistake", "names", "places"), MISTAKES, ids=[mistake for mistake, _, _ in MISTAKES])
def test_a_program_that_does_not_report_something_is_caught(
    tmp_path: Path, mistake: str, names: list[str], places: set[str]
) -> None:
    with nightly_job(tmp_path, mistake) as job:
        found = {name: differing(STORIES[name], job.run(STORIES[name].night)) for name in names}

    assert found.pop(names[-1]) == places
    if mistake != "rows in a notification":
        assert set().union(*found.values()) == set()
