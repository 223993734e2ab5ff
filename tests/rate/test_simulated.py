"""Never a request too many, never an idle second: many runs in virtual time, and broken variants that fail."""

import os
from dataclasses import replace

import pytest

from tests.rate.cases import LIES, STORIES, complaint, draw
from tests.rate.service import SINCE_1970, Header, Rules
from tests.rate.simulator import Burst, Case, Parts, simulate
from tests.seeds import seeds
from uploader.model import WindowState
from uploader.rate import Pace, ServerWindow

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]

QUICK = 6
MANY = 190 if os.environ.get("PACE") == "full" else 34
"""So many more runs of each of the eleven stories: hundreds in all, and thousands by `make test-pace`."""


def complaints(story: str, seeds: range, parts: Parts | None = None) -> list[tuple[int, str]]:
    """Return what is wrong with which case of *story*."""
    found = ((seed, complaint(case := draw(story, seed), simulate(case, parts))) for seed in seeds)
    return [(seed, wrong) for seed, wrong in found if wrong is not None]


@pytest.mark.seeded
@pytest.mark.parametrize("story", STORIES)
def test_no_request_is_too_many_and_no_second_idle(story: str) -> None:
    assert complaints(story, seeds(QUICK)) == []


@pytest.mark.long
@pytest.mark.parametrize("story", STORIES)
def test_no_request_is_too_many_and_no_second_idle_in_many_more_runs(story: str) -> None:
    assert complaints(story, range(QUICK, QUICK + MANY)) == []


class LocalClockWindow(ServerWindow):
    """Broken: the reset that the service names is awaited by our own clock."""

    _reset_told = 0.0

    def add_reply(  # noqa: PLR0913 — as it is
        self,
        state: WindowState,
        *,
        sent: float,
        received: float,
        counted: int,
        in_flight: int = 0,
        accepted: bool = True,
    ) -> None:
        self._reset_told = state.reset or self._reset_told
        super().add_reply(state, sent=sent, received=received, counted=counted, in_flight=in_flight, accepted=accepted)

    def wait(self, now: float, *, in_flight: int) -> float:
        seconds = super().wait(now, in_flight=in_flight)
        return max(seconds, self._reset_told - (SINCE_1970 + now)) if seconds and self._reset_told else seconds


def whole_limit(case: Case) -> Pace:
    return Pace(case.configured, case.configured / case.rules.per, case.concurrency)


BROKEN = {
    "a bucket of the whole limit, full at each start": Parts(pace=whole_limit, forgets=True),
    "a bucket reset at each start": Parts(forgets=True),
    "the local clock trusted": Parts(
        window=lambda case: LocalClockWindow(requests=case.configured, per=case.rules.per, share=case.share)
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("broken", BROKEN)
def test_broken_variants_fail_in_the_same_runs(broken: str) -> None:
    seeds = range(QUICK)

    assert any(complaints(story, seeds, BROKEN[broken]) for story in STORIES)


@pytest.mark.parametrize("header", LIES)
@pytest.mark.parametrize("jitter", [0.0, 2.0])
def test_a_header_that_is_missing_or_lies_leaves_the_configured_pace(header: Header, jitter: float) -> None:
    case = Case(Rules(anchor=-17.0, header=header), jitter=jitter, horizon=303.0)

    report = simulate(case)

    # From the second window on, when the lie is known and all are on their way.
    assert [934 - 20 <= window.mine <= 950 for window in report.windows[1:]] == [True] * 3
    assert report.our_overruns == 0


@pytest.mark.parametrize("jitter", [0.0, 0.3])
@pytest.mark.parametrize("real", [300, 500, 900])
def test_a_limit_that_is_smaller_than_the_configured_one_is_kept_once_the_window_tells(
    real: int, jitter: float
) -> None:
    case = Case(Rules(limit=real, anchor=-17.0), configured=1_000, jitter=jitter)

    report = simulate(case)

    assert report.our_overruns == 0
    # The reserve is a part of the limit that the service shows.
    assert min(window.mine for window in report.windows) >= 0.97 * 0.95 * real


@pytest.mark.parametrize("jitter", [0.0, 0.3])
@pytest.mark.parametrize("anchor", [0.0, -17.0, -45.0])
@pytest.mark.parametrize("configured", [1_500, 3_000, 27_000])
def test_a_configured_limit_far_above_the_real_one_starves_nobody(
    configured: int, anchor: float, jitter: float
) -> None:
    case = Case(Rules(limit=1_500, anchor=anchor), configured=configured, jitter=jitter, concurrency=32)

    report = simulate(case)

    assert report.our_overruns == 0
    assert [0.97 * 0.95 * 1_500 <= window.mine <= 0.95 * 1_500 + 2 for window in report.windows] == [True] * len(
        report.windows
    )
    assert len(report.windows) >= 4


@pytest.mark.parametrize("part", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("end", [120.0, 135.0, 150.0, 179.0])
def test_what_others_leave_is_taken_back_within_one_window_of_their_stopping(part: float, end: float) -> None:
    case = Case(Rules(anchor=0.0), jitter=0.1, others=(Burst(0.0, end, part),), horizon=300.0)

    report = simulate(case)

    assert report.others_seen
    assert min(window.mine for window in report.windows if window.start >= 180.0) >= 945


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7])
def test_others_who_come_steadily_find_their_part_though_we_take_the_rest(part: float) -> None:
    crowded = 0
    for seed in range(10):
        case = Case(Rules(anchor=-6.0 * seed), others=(Burst(0.0, 300.0, part),), seed=seed)

        report = simulate(case)

        assert report.used >= 0.97
        crowded += sum(over > 0 for over in list(report.overruns.values())[1:])

    # Ten runs of three or four windows: chance alone may fill one.
    assert crowded <= 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("jitter", [0.0, 0.3, 3.0])
def test_nobody_is_taken_for_another_client_in_a_quiet_service(seed: int, jitter: float) -> None:
    stopped = Case(jitter=jitter, stops=(70.0, 130.0, 200.0), seed=seed)
    case = replace(stopped, rules=Rules(anchor=-11.0 * seed))

    assert not simulate(case).others_seen
