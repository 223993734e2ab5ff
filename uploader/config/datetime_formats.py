"""Check date formats and time zones before any value is read."""

import re
import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime

from uploader.config.error_messages import UnfitValueError, did_you_mean
from uploader.config.written_form import INNER, NAME, Form, written_as
from uploader.mapping.datetime_patterns import directives
from uploader.mapping.numeric_times import NUMERIC_FORMATS

_KNOWN = datetime(2013, 10, 27, 22, 45, 59, tzinfo=UTC)
_OTHERS = (_KNOWN.replace(year=2014), _KNOWN.replace(month=11), _KNOWN.replace(day=28))
"""Times that differ from `_KNOWN` in one part of the date: a pattern must tell them apart."""

_WINTER_AND_SUMMER = (_KNOWN.replace(month=1), _KNOWN.replace(month=7))

_EXAMPLE = 'write for example "%Y-%m-%d" or "%Y%m%d%H%M%S"'
_ZONE_EXAMPLE = "write for example Asia/Seoul"

_ABBREVIATIONS = {
    "KST": "Asia/Seoul",
    "KDT": "Asia/Seoul",
    "JST": "Asia/Tokyo",
    "HKT": "Asia/Hong_Kong",
    "SGT": "Asia/Singapore",
    "MYT": "Asia/Kuala_Lumpur",
    "PHT": "Asia/Manila",
    "ICT": "Asia/Bangkok",
    "WIB": "Asia/Jakarta",
    "IST": "Asia/Kolkata or Europe/Dublin",
    "CST": "Asia/Shanghai or America/Chicago",
    "CT": "America/Chicago",
    "CDT": "America/Chicago",
    "ET": "America/New_York",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "MT": "America/Denver",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "BST": "Europe/London",
    "CEST": "Europe/Berlin",
    "EEST": "Europe/Helsinki",
    "WEST": "Europe/Lisbon",
    "MSK": "Europe/Moscow",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland",
}
"""Abbreviations of zones, and the zones that they may mean. `EST` and `MST` exist, but have no summer time."""

_OFFSET = re.compile(r"(?:etc/)?(?:gmt|utc)? ?([+-])0?(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE | re.ASCII)
_POSIX_BEHIND = re.compile(r"Etc/GMT\+([1-9]\d?)", re.ASCII)
_SEOUL = 9
_FURTHEST = 14
_ZONE_LITERAL = re.compile(r"(?<![^\W\d_])[A-Z]{3,4}(?![^\W\d_])")
_UTC_LITERAL = re.compile(r"(?<![^\W\d_])(?:Z|UTC|GMT)(?![^\W\d_])")


_FORMAT: Form = {"anyOf": [{"enum": NUMERIC_FORMATS}, {"type": "string", "pattern": "%"}]}


@written_as(INNER, _FORMAT)
def formats(value: object) -> object:
    """Return *value*, one format or a list of formats, as a list; else raise UnfitValueError."""
    if isinstance(value, (list, tuple)) and value:
        return value
    if isinstance(value, (list, tuple)):
        raise UnfitValueError(f"names no format; {_EXAMPLE}")
    return [pattern(value)]


@written_as(_FORMAT)
def pattern(value: object) -> str:
    """Return *value* if it is a strptime pattern that reads year, month and day, or the name of a numeric format.

    Else raise UnfitValueError.
    """
    if not isinstance(value, str):
        raise UnfitValueError(f"is not a pattern; {_EXAMPLE}")
    if value.lower() in NUMERIC_FORMATS:
        return value.lower()
    found = directives(value)
    if "%I" in found and "%p" not in found:
        raise UnfitValueError(f"reads hours of 12 (%I) without their half of the day (%p); {_EXAMPLE}")
    if "%p" in found and "%H" in found:
        raise UnfitValueError("reads hours of 24 (%H), for which the half of the day (%p) is ignored; write %I for %H")
    if "%p" in found and "%I" not in found:
        raise UnfitValueError("reads the half of the day (%p) without its hours of 12; add %I")
    if "%Z" in found:
        raise UnfitValueError(f"reads the name of a zone (%Z), which is no offset; write %z, or timezone; {_EXAMPLE}")
    if "%Y" in found and "%y" in found:
        raise UnfitValueError("reads the year twice, and the one of two digits (%y) is ignored; delete %y")
    if not _reads_back(value):
        raise UnfitValueError(f"is not a pattern that reads year, month and day; {_EXAMPLE}")
    return value


def has_short_year(forms: Sequence[str]) -> bool:
    """Return whether one of *forms* reads a year of two digits."""
    return any("%y" in directives(form) for form in forms)


def unread_zone(forms: Sequence[str]) -> str | None:
    """Return the first of *forms* in which `Z`, `UTC` or `GMT` is plain text, so that it says nothing of the zone."""
    for form in forms:
        if form not in NUMERIC_FORMATS and "%z" not in directives(form):
            texts = [piece for piece in directives(form) if not piece.startswith("%")]
            if any(_UTC_LITERAL.search(text) for text in texts):
                return form
    return None


def zone_in_text(forms: Sequence[str], name: str | None) -> tuple[str, str, str] | None:
    """Return the first of *forms* whose plain text names another zone than *name* is, such as KST.

    With it come the abbreviation and the zones that it may mean; None if there is none.
    """
    for form in forms:
        if form in NUMERIC_FORMATS or "%z" in directives(form):
            continue
        texts = " ".join(piece for piece in directives(form) if not piece.startswith("%"))
        for abbreviation in _ZONE_LITERAL.findall(texts):
            zones = _ABBREVIATIONS.get(abbreviation, "")
            if zones and (name is None or not any(_is_within(name, one) for one in zones.split(" or "))):
                return form, abbreviation, zones
    return None


def _is_within(name: str, other: str) -> bool:
    """Whether the clocks of the zone called *name* always show what those of the *other* one show at some time."""
    ours, theirs = (
        {moment.astimezone(zoneinfo.ZoneInfo(one)).utcoffset() for moment in _WINTER_AND_SUMMER}
        for one in (name, other)
    )
    return ours <= theirs


def is_utc(name: str | None) -> bool:
    """Return whether the zone called *name* is UTC at all times."""
    if name is None:
        return False
    here = zoneinfo.ZoneInfo(name)
    return not any(moment.astimezone(here).utcoffset() for moment in _WINTER_AND_SUMMER)


@written_as(NAME)
def zone(value: object) -> str:
    """Return *value* if it names a time zone that means what its name says; else raise UnfitValueError."""
    name = value if isinstance(value, str) else ""
    if name.upper() in _ABBREVIATIONS:
        raise UnfitValueError(f"is an abbreviation, not a time zone; write {_ABBREVIATIONS[name.upper()]}")
    if (behind := _POSIX_BEHIND.fullmatch(name)) is not None and int(behind[1]) < _FURTHEST - 1:
        raise UnfitValueError(_reversed_sign(int(behind[1])))
    try:
        return zoneinfo.ZoneInfo(name).key
    except (KeyError, ValueError, OSError):
        raise UnfitValueError(f"is not a time zone; {_zone_advice(name)}") from None


def _reversed_sign(hours: int) -> str:
    """Return what is wrong with `Etc/GMT+`*hours*."""
    ahead = "Asia/Seoul" if hours == _SEOUL else f"Etc/GMT-{hours}"
    return (
        f"is {hours} hours behind UTC, since the sign of these names is reversed (POSIX); "
        f"for {hours} hours ahead of UTC write {ahead}, for {hours} hours behind it a place"
    )


def _zone_advice(name: str) -> str:
    """Return what to write in place of *name*, which is no zone."""
    offset = _OFFSET.fullmatch(name)
    if offset is None:
        near = did_you_mean(name, _places())
        return near.removeprefix("; ") or _ZONE_EXAMPLE
    sign, hours, minutes = offset.groups()
    if sign == "+" and int(hours) == _SEOUL and not int(minutes or 0):
        return "write Asia/Seoul"
    if sign == "+" and not int(minutes or 0) and 0 < int(hours) <= _FURTHEST:
        return f"write a place, or Etc/GMT-{int(hours)}: the sign of these names is reversed (POSIX)"
    return "write a place, such as Asia/Seoul"


def _places() -> list[str]:
    """Return the names of zones that can be meant by a misspelt one: places, and UTC."""
    names = zoneinfo.available_timezones()
    return sorted(name for name in names if ("/" in name and not name.startswith("Etc/")) or name == "UTC")


def _reads_back(form: str) -> bool:
    try:
        text = _KNOWN.strftime(form)
        # This comes before strptime, which warns of a pattern with a day but no year.
        if text in {other.strftime(form) for other in _OTHERS}:
            return False
        return datetime.strptime(text, form).date() == _KNOWN.date()  # noqa: DTZ007  # only its date is looked at
    except (ValueError, re.error):
        return False
