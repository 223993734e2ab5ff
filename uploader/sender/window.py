"""Read what a reply's headers say of the request window."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from uploader.model import WindowState

_UNITS: Final = {"s": 1, "m": 60, "H": 3600, "d": 86400, "M": 30 * 86400, "y": 365 * 86400}
_PERIOD: Final = re.compile(r"\s*([0-9]{1,9})\s*([smHdMy])\s*", re.ASCII)
_WHOLE: Final = re.compile(r"\s*[0-9]{1,18}\s*", re.ASCII)
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A timestamp this large is in milliseconds: as seconds it would lie in the year 5138."""


def read_window(headers: Mapping[str, str], *, now: float) -> WindowState:
    """Return the window's state as *headers* (names in any case) give it, in either spelling of `api.md`.

    What is missing or makes no sense is None. *now* (seconds since 1970) places a `Retry-After` date where the reply
    has no date of its own.
    """
    date = _http_date(headers.get("Date"))
    return WindowState(
        period=_period(_either(headers, "Limit")),
        remaining=_whole(_either(headers, "Remaining")),
        reset=_timestamp(_either(headers, "Reset")),
        date=date,
        retry_after=_retry_after(headers.get("Retry-After"), now if date is None else date),
    )


def _either(headers: Mapping[str, str], name: str) -> str | None:
    return headers.get(f"X-Rate-Limit-{name}") or headers.get(f"x-ratelimit-{name.lower()}")


def _period(text: str | None) -> float | None:
    match = _PERIOD.fullmatch(text or "")
    # `m` is a minute and `M` a month: the case of the unit counts.
    return None if match is None or not int(match[1]) else float(int(match[1]) * _UNITS[match[2]])


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def _timestamp(text: str | None) -> float | None:
    number = _whole(text)
    if number is None:
        return None
    return number / 1000 if number >= _MILLISECONDS_FROM else float(number)


def _http_date(text: str | None) -> float | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _retry_after(text: str | None, since: float) -> float | None:
    seconds = _whole(text)
    if seconds is not None:
        return float(seconds)
    until = _http_date(text)
    return None if until is None else max(0.0, until - since)
