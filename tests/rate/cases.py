"""Draw cases for the simulator, a story at a time, and say what is wrong with what came of one."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, get_args

from tests.rate.service import Header, Rules, Shape
from tests.rate.simulator import Burst, Case, Report

LEAST_USED: Final = 0.97
SLACK: Final = 2.0
"""Requests that may go though others took what was left, since two are in flight before anybody knows."""

LIES: Final = tuple(header for header in get_args(Header) if header != "true")


def draw(story: str, seed: int) -> Case:
    """Return the case that *seed* gives in *story*."""
    dice = random.Random(f"{story} {seed}")  # noqa: S311 — the same cases every time
    return STORIES[story](replace(_plain(dice), seed=seed), dice)


def complaint(case: Case, report: Report) -> str | None:
    """Return what *report* shows to be wrong, if anything: a request too many, or an idle second."""
    if not case.others:
        if report.our_overruns:
            return f"{report.our_overruns} requests over the limit in a quiet service"
    elif case.rules.header == "true" and case.rules.shape != "sliding" and report.greed > SLACK:
        return f"{report.greed:.0f} requests more than others had left"
    if report.used < LEAST_USED:
        return f"only {report.used:.1%} of what was available was used"
    return None


def most_in_any_window(times: list[float], length: float) -> int:
    """Return how many of *times* the fullest window holds, wherever it begins: the fullest begins with one of them."""
    most = behind = 0
    for ahead, time in enumerate(times):
        # A request on the very edge counts, though the clock's last bits may say otherwise.
        while time - times[behind] > length * (1 + 1e-9):
            behind += 1
        most = max(most, ahead - behind + 1)
    return most


def _plain(dice: random.Random) -> Case:
    """Return a quiet run: any true window, a network near or far."""
    return Case(
        Rules(
            shape=dice.choice(("fixed", "fixed", "opened by the first request")),
            anchor=dice.uniform(-60, 0),
            milliseconds=dice.random() < 0.5,
        ),
        jitter=dice.choice((0.0, 0.0, dice.uniform(0, 0.5), dice.uniform(0.5, 3.0))),
    )


def _sliding(case: Case, _: random.Random) -> Case:
    return replace(case, rules=replace(case.rules, shape="sliding"))


def _jitter(case: Case, dice: random.Random) -> Case:
    return replace(case, jitter=dice.uniform(0, 3))


def _stopped(case: Case, dice: random.Random) -> Case:
    return replace(case, stops=tuple(20 + 50 * number + dice.uniform(0, 40) for number in range(dice.randint(1, 5))))


def _restarted(case: Case, dice: random.Random) -> Case:
    begin, seconds = dice.choice(((0.0, case.horizon), (dice.uniform(0, 200), 60.0)))
    return replace(case, restarts=tuple(begin + dice.uniform(0, seconds) for _ in range(20)))


def _skewed(case: Case, dice: random.Random) -> Case:
    return replace(case, rules=replace(case.rules, skew=dice.choice((-600.0, 600.0))))


def _untold(case: Case, dice: random.Random) -> Case:
    shapes: tuple[Shape, ...] = ("fixed", "opened by the first request", "sliding")
    rules = replace(case.rules, header=dice.choice(LIES), shape=dice.choice(shapes))
    told = replace(case, rules=rules)
    return dice.choice((told, _restarted(told, dice)))


def _bursts(case: Case, dice: random.Random) -> Case:
    def bursts() -> Iterator[Burst]:
        begin = 0.0
        while begin < horizon:
            begin += dice.uniform(5, 60)
            end = begin + dice.uniform(5, 60)
            yield Burst(begin, end, dice.uniform(0.01, 0.8))
            begin = end

    horizon = 360.0
    return replace(case, others=tuple(bursts()), horizon=horizon)


def _steady(case: Case, dice: random.Random) -> Case:
    return replace(case, others=(Burst(0.0, case.horizon, dice.uniform(0.01, 0.8)),))


def _everything(case: Case, dice: random.Random) -> Case:
    return _skewed(_jitter(_stopped(_restarted(case, dice), dice), dice), dice)


def _whole_limit(case: Case, _: random.Random) -> Case:
    return replace(case, share=1.0, jitter=min(case.jitter, 0.2))


STORIES: Final[Mapping[str, Callable[[Case, random.Random], Case]]] = MappingProxyType(
    {
        "quiet": lambda case, _: case,
        "sliding": _sliding,
        "jitter": _jitter,
        "stopped": _stopped,
        "restarted": _restarted,
        "skewed": _skewed,
        "lies": _untold,
        "others in bursts": _bursts,
        "others steadily": _steady,
        "everything": _everything,
        "whole limit": _whole_limit,
    }
)
