"""Durations and sizes are read alike wherever they are written."""

import re
from collections.abc import Callable
from copy import copy

import click
import pytest

from uploader.cli.sandbox import sandbox
from uploader.cli.time_limit_flags import within
from uploader.config.value_parsers import duration, unpacking
from uploader.model import Unpacking
from uploader.sandbox import Fault
from uploader.units import DURATION, bytes_of, seconds_of


def _for(text: str) -> float:
    deadline = within(click.Context(sandbox), sandbox.params[0], text)
    assert deadline is not None
    return deadline.within


def _latency(text: str) -> float:
    # A command keeps the help option of the first context that it is asked in.
    with copy(sandbox).make_context("sandbox", ["--latency", text]) as context:
        return float(context.params["latency"])


READERS: dict[str, Callable[[str], float | None]] = {
    "units": seconds_of,
    "a key of the configuration": duration,
    "--for": _for,
    "a flag of the sandbox": _latency,
    "a fault": lambda text: Fault.parse(f"latency={text}").seconds,
    "when a fault ends": lambda text: Fault.parse(f"hang until {text}").ends,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30.0), ("1.5m", 90.0), ("2h", 7_200.0), ("1d", 86_400.0)]
)
def test_a_duration_is_read_alike_everywhere(read: Callable[[str], float | None], text: str, seconds: float) -> None:
    assert read(text) == pytest.approx(seconds)


NOT_DURATIONS = ("", "1", "s", "-1s", "1 s", "1S", "1w", ".5s", "1.s", "1e3s", "٣s", "1s\n", f"{'9' * 13}s")


@pytest.mark.parametrize("text", NOT_DURATIONS)
def test_what_is_no_duration_is_none(text: str) -> None:
    assert seconds_of(text) is None
    assert re.fullmatch(DURATION, text) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("1KB", 1_000),
        ("1KiB", 1_024),
        ("500MB", 500_000_000),
        ("1.5GiB", 1_610_612_736),
        ("2TB", 2 * 10**12),
    ],
)
def test_a_size_is_its_number_times_its_unit(text: str, size: int) -> None:
    assert bytes_of(text) == size
    if size:
        assert unpacking(text) == Unpacking(times=None, size=size)


@pytest.mark.parametrize("text", ["", "1", "1kb", "1iB", "-1B", "1 MB", "200x", f"{'9' * 13}B"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert bytes_of(text) is None
