"""Fit the number of requests in flight to the files that this process may open."""

import resource

import pytest

from uploader.rate import Pace
from uploader.run import open_file_limit
from uploader.run.open_file_limit import fit_to_open_files

PACE = Pace(burst=4, rate=10.0, concurrency=100)
ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "concurrency", "raised"),
    [
        (1024, 4096, 100, None),
        (ENDLESS, ENDLESS, 100, None),
        (100, 4096, 100, 126),
        (100, ENDLESS, 100, 126),
        (60, 90, 64, 90),
        (60, 60, 34, None),
        (20, 20, 1, None),
    ],
)
def test_no_more_are_in_flight_than_there_are_files(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, concurrency: int, raised: int | None
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(open_file_limit, "_opened", lambda: 10)
    monkeypatch.setattr("resource.getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr("resource.setrlimit", lambda _, limit: limits.append(limit))

    found = fit_to_open_files(PACE)

    assert found == Pace(burst=4, rate=10.0, concurrency=concurrency)
    assert limits == ([] if raised is None else [(raised, hard)])


def test_without_a_list_of_open_files_their_number_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_file_limit, "_OPEN_FILES", open_file_limit._OPEN_FILES / "none")  # noqa: SLF001 — another machine's
    monkeypatch.setattr("resource.getrlimit", lambda _: (40, 40))

    assert fit_to_open_files(PACE).concurrency == 8
