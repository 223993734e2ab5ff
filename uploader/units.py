"""Read durations and sizes as people write them: `500ms`, `30s`, `1m`, `2h`, `1d`; `500MB`, `10GiB`."""

import re
from typing import Final

_NUMBER: Final = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    f"{sign}{unit}": base**power
    for power, sign in enumerate(("", "K", "M", "G", "T"))
    for unit, base in (("B", 1000), ("iB", 1024))
    if sign or unit == "B"
}

DURATION: Final = rf"{_NUMBER}(?:{'|'.join(_SECONDS)})"
"""A regular expression for a duration, to be part of a larger one."""

SIZE: Final = rf"{_NUMBER}(?:{'|'.join(_BYTES)})"
"""The same for a size."""

_DURATION: Final = re.compile(rf"({_NUMBER})({'|'.join(_SECONDS)})", re.ASCII)
_SIZE: Final = re.compile(rf"({_NUMBER})({'|'.join(_BYTES)})", re.ASCII)


def seconds_of(text: str) -> float | None:
    """Return the seconds in *text*; None if it is not a duration."""
    found = _DURATION.fullmatch(text)
    return None if found is None else float(found[1]) * _SECONDS[found[2]]


def bytes_of(text: str) -> int | None:
    """Return the bytes in *text*, where KB is 1000 and KiB is 1024; None if it is not a size."""
    found = _SIZE.fullmatch(text)
    return None if found is None else int(float(found[1]) * _BYTES[found[2]])
