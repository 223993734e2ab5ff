"""Works are made ahead where they go fast, and only there."""

from collections.abc import Iterator
from itertools import islice

import pytest

from uploader.delivery.prefetch import prefetched


class Bench:
    """A maker of works that knows how many it has made, and a clock that is set by hand."""

    def __init__(self, count: int, fails_at: int = 0) -> None:
        self.made = 0
        self.now = 0.0
        self._count = count
        self._fails_at = fails_at

    def works(self) -> Iterator[int]:
        for number in range(1, self._count + 1):
            if number == self._fails_at:
                raise ValueError("torn")
            self.made = number
            yield number

    def taken(self, seconds: float) -> list[int]:
        """Take all works, each in so many *seconds*; return how many were made ahead each time."""
        ahead = []
        for number in prefetched(self.works(), lambda: self.now):
            ahead.append(self.made - number)
            self.now += seconds
        return ahead


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 32, 33, 64, 1_000])
@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.01])
def test_all_come_in_their_order(count: int, seconds: float) -> None:
    bench = Bench(count)

    found = []
    for number in prefetched(bench.works(), lambda: bench.now):
        found.append(number)
        bench.now += seconds

    assert found == list(range(1, count + 1))


def test_where_they_go_slowly_each_is_made_when_it_is_taken() -> None:
    assert set(Bench(100).taken(0.006)) == {0}


def test_where_they_go_fast_a_few_are_made_at_once_but_no_more() -> None:
    ahead = Bench(1_000).taken(0.0001)

    assert ahead[:7] == [0, 1, 0, 3, 2, 1, 0]
    assert max(ahead) == 31


def test_after_a_slow_one_each_is_made_when_it_is_taken_again() -> None:
    bench = Bench(200)
    works = prefetched(bench.works(), lambda: bench.now)
    for _ in range(63):
        next(works)
    bench.now += 60.0

    assert [next(works) - bench.made for _ in range(1)] == [0]


def test_what_came_before_a_failure_is_taken_first() -> None:
    works = prefetched(Bench(100, fails_at=50).works(), lambda: 0.0)

    assert list(islice(works, 49)) == list(range(1, 50))
    with pytest.raises(ValueError, match="torn"):
        next(works)
