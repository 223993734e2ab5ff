"""Check date patterns and time zones before any value is read."""

import re
import zoneinfo
from datetime import UTC, datetime

from uploader.config.error_messages import UnfitValueError, did_you_mean

_KNOWN = datetime(2013, 10, 27, 22, 45, 59, tzinfo=UTC)
_OTHERS = (_KNOWN.replace(year=2014), _KNOWN.replace(month=11), _KNOWN.replace(day=28))
"""Times that differ from `_KNOWN` in one part of the date: a pattern must tell them apart."""

_EXAMPLE = 'write for example "%Y-%m-%d" or "%Y%m%d%H%M%S"'


def pattern(value: object) -> str:
    """Return *value* if it is a strptime pattern that reads year, month and day; else raise UnfitValueError."""
    if not isinstance(value, str):
        raise UnfitValueError(f"is not a pattern; {_EXAMPLE}")
    directives = re.findall(r"%(.)", value)
    if "I" in directives and "p" not in directives:
        raise UnfitValueError(f"reads hours of 12 (%I) without their half of the day (%p); {_EXAMPLE}")
    if "Z" in directives:
        raise UnfitValueError(f"reads the name of a zone (%Z), which is no offset; write %z, or timezone; {_EXAMPLE}")
    if not _reads_back(value):
        raise UnfitValueError(f"is not a pattern that reads year, month and day; {_EXAMPLE}")
    return value


def zone(value: object) -> str:
    """Return *value* if it names a time zone; else raise UnfitValueError."""
    try:
        return zoneinfo.ZoneInfo(value if isinstance(value, str) else "").key
    except (KeyError, ValueError, OSError):
        hint = did_you_mean(value, zoneinfo.available_timezones()) if isinstance(value, str) else ""
        raise UnfitValueError("is not a time zone" + (hint or "; write for example Asia/Seoul")) from None


def _reads_back(form: str) -> bool:
    try:
        text = _KNOWN.strftime(form)
        # This comes before strptime, which warns of a pattern with a day but no year.
        if text in {other.strftime(form) for other in _OTHERS}:
            return False
        return datetime.strptime(text, form).date() == _KNOWN.date()  # noqa: DTZ007  # only its date is looked at
    except (ValueError, re.error):
        return False
