"""What stands is what the newest row said, after whole nights of every trouble.

`NIGHT=12345 .venv/bin/pytest tests/nights` plays one seed, and tells the shortest story of what it finds;
`NIGHTS=3000` plays so many; `python -m tests.nights` does the same without pytest.
"""

import os
from collections.abc import Iterator
from typing import Final

import pytest

from tests.nights.__main__ import shortest, staged, told, violation
from tests.nights.driver import Stage
from tests.nights.scenario import drawn, is_fair
from tests.nights.stories import STORIES
from tests.nights.variants import CAUGHT, VARIANTS
from tests.seeds import FIRST

ONE: Final = os.environ.get("NIGHT")
COUNT: Final = int(os.environ.get("NIGHTS", "60"))
TOGETHER: Final = 10
FEW: Final = 2
_PARTS: Final = [
    pytest.param(first, marks=[] if place < FEW else pytest.mark.long)
    for place, first in enumerate(range(FIRST, FIRST + COUNT, TOGETHER))
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("nights")) as made:
        yield made


@pytest.mark.seeded
@pytest.mark.parametrize("first", _PARTS if ONE is None else [int(ONE)])
def test_the_newest_row_stands_after_nights_of_every_trouble(stage: Stage, first: int) -> None:
    for seed in range(first, first + (TOGETHER if ONE is None else 1)):
        found = violation(drawn(seed), stage)
        if found is None:
            continue
        story = told(drawn(seed), found) if ONE is None else told(*shortest(drawn(seed), stage))
        pytest.fail(f"{story}\n\nTo repeat it, type: NIGHT={seed} .venv/bin/pytest tests/nights", pytrace=False)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_that_was_told_once_ends_well(stage: Stage, name: str) -> None:
    found = violation(STORIES[name], stage)

    assert found is None, told(STORIES[name], found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_broken_variant_is_caught(stage: Stage, variant: str) -> None:
    scenario = CAUGHT[variant]

    assert (violation(scenario, stage), violation(scenario, stage, variant) is None) == (None, False)


@pytest.mark.seeded
@pytest.mark.parametrize("seed", [FIRST])
def test_in_every_scenario_the_program_can_know_who_is_one_person(seed: int) -> None:
    assert [one for one in range(seed, seed + 500) if not is_fair(drawn(one))] == []
    assert [name for name, story in STORIES.items() if not is_fair(story)] == []


def test_a_seed_draws_the_same_scenario_every_time() -> None:
    assert [drawn(seed) for seed in range(50)] == [drawn(seed) for seed in range(50)]
