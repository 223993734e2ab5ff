"""Read what a reply's headers say of the request window."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from uploader.model import WindowState

_NAMES: Final = (
    *("X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"),
    *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
    "Date",
)
_UNITS: Final = {"s": 1, "m": 60, "H": 3600, "d": 86400, "M": 30 * 86400, "y": 365 * 86400}
_PERIOD: Final = re.compile(r"\s*([0-9]{1,9})\s*([smHdMy])\s*", re.ASCII)
_WHOLE: Final = re.compile(r"\s*[0-9]{1,18}\s*", re.ASCII)
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A timestamp this large is in milliseconds: as seconds it would lie in the year 5138."""


def read_window(headers: Mapping[str, str], *, now: Callable[[], float]) -> WindowState:
    """Return the window's state as *headers* (names in any case) give it, in either spelling of `api.md`.

    What is missing or makes no sense is None. A `Retry-After` date counts from the reply's own date, or from *now*
    (seconds since 1970) where it has none.
    """
    get = headers.get
    state, wanted = _state(*map(get, _NAMES)), get("Retry-After")
    if wanted is None:
        return state
    return replace(state, retry_after=_retry_after(wanted, now() if state.date is None else state.date))


@lru_cache(maxsize=16)
def _state(*texts: str | None) -> WindowState:
    """Return what *texts*, the headers of `_NAMES`, say: of two spellings the first that makes sense counts."""
    period, remaining, reset, second_period, second_remaining, second_reset, date = texts
    return WindowState(
        one if (one := _period(period)) is not None else _period(second_period),
        left if (left := _whole(remaining)) is not None else _whole(second_remaining),
        at if (at := _timestamp(reset)) is not None else _timestamp(second_reset),
        _http_date(date),
    )


@lru_cache(maxsize=16)
def _period(text: str | None) -> float | None:
    match = None if text is None else _PERIOD.fullmatch(text)
    # `m` is a minute and `M` a month: the case of the unit counts.
    return None if match is None or not int(match[1]) else float(int(match[1]) * _UNITS[match[2]])


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


@lru_cache(maxsize=16)
def _timestamp(text: str | None) -> float | None:
    number = _whole(text)
    if number is None:
        return None
    return number / 1000 if number >= _MILLISECONDS_FROM else float(number)


@lru_cache(maxsize=16)
def _http_date(text: str | None) -> float | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _retry_after(text: str, since: float) -> float | None:
    seconds = _whole(text)
    if seconds is not None:
        return float(seconds)
    until = _http_date(text)
    return None if until is None else max(0.0, until - since)
