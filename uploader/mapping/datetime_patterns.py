"""Read dates and datetimes strictly by the strptime patterns of the mapping."""

import calendar
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

_IN_ORDER: Final = "YmdHMSf"
_OWN: Final = frozenset("YymdHIMSfpz")
"""The directives that are read here; the others are left to strptime."""

_WIDTHS: Final = {"m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3}
_WORDS: Final = frozenset({"%a", "%A", "%b", "%B", "%p", "%Z", "%%"})
_SHORTHANDS: Final = {"%x": "%m/%d/%y", "%X": "%H:%M:%S", "%c": "%a %b %d %H:%M:%S %Y"}
_MORNING: Final = ("AM", "A.M.", "오전")
_AFTERNOON: Final = ("PM", "P.M.", "오후")
_UTC_WORDS: Final = frozenset({"Z", "UTC", "GMT"})

UTC_OR_OFFSET: Final = r"Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?"
"""A regular expression, in any case, for what `offset_of` reads."""

_OTHERS: Final[Mapping[str, str]] = {
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "p": "|".join(map(re.escape, (*_MORNING, *_AFTERNOON))),
    "a": "|".join(calendar.day_abbr),
    "A": "|".join(calendar.day_name),
    "b": "|".join(list(calendar.month_abbr)[1:]),
    "B": "|".join(list(calendar.month_name)[1:]),
}
"""The regular expressions of directives that are no plain number."""

_LONG_OFFSET: Final = r"[+-]\d{2}:?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?"
_POSIX_PIVOT: Final = 68
_HALF_DAY: Final = 12
_SECONDS: Final = 6
_DATE: Final = 3

Parser = Callable[[object], datetime | None]
"""Reads a value as a date and time, which may have an offset; None if the value is no such text or number."""


def pattern_parser(pattern: str, pivot: int | None) -> Parser:
    """Return the parser of the texts that *pattern* reads.

    It is strptime, with these differences. `%p` reads 오전 and 오후 too, and `%z` reads `UTC` and `GMT`. A fraction,
    `.%f` after `%S`, may be missing. `%y` up to *pivot* is 20xx (None: 68, as POSIX says). Where numbers touch, each
    has its full width: `2023111` by `%Y%m%d` could be two dates, so it is none.
    """
    expression, letters = _compiled(pattern)
    pivot = _POSIX_PIVOT if pivot is None else pivot
    in_order = len(letters) >= _DATE and _IN_ORDER.startswith(letters)
    is_own = len(set(letters)) == len(letters) and _OWN.issuperset(letters) and not {"H", "I"} <= set(letters)

    def parse(value: object) -> datetime | None:
        match = expression.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return None
        found = match.groups()
        try:
            if in_order:
                first = found if len(found) <= _SECONDS else (*found[:_SECONDS], _microsecond(found[_SECONDS]))
                return datetime(*map(int, first))  # type: ignore[arg-type]  # noqa: DTZ001 — the caller adds the zone
            if is_own:
                return _built(dict(zip(letters, found, strict=True)), pivot)
            return _by_strptime(letters, found, pivot)
        except ValueError:
            return None

    return parse


def directives(pattern: str) -> list[str]:
    """Return the directives and the texts between them of *pattern*; `%x` and the like are written out."""
    pieces = re.findall(r"%.|[^%]+|%", pattern, re.DOTALL)
    written_out = "".join(_SHORTHANDS.get(piece, piece) for piece in pieces)
    return re.findall(r"%.|[^%]+|%", written_out, re.DOTALL)


def offset_of(text: str) -> tzinfo | None:
    """Return the offset that *text* names: `Z`, `UTC`, `GMT`, or hours and minutes; raises ValueError."""
    return UTC if text.upper() in _UTC_WORDS else datetime.strptime(text.ljust(5, "0"), "%z").tzinfo


def _built(found: Mapping[str, str | None], pivot: int) -> datetime:
    """Return the date and time of *found*, directive → text; raises ValueError."""
    number = {letter: int(text) for letter, text in found.items() if text is not None and text.isdecimal()}
    year = number.get("Y", 1900)
    if "y" in number and "Y" not in number:
        year = _full_year(number["y"], pivot)
    hour = number.get("H", 0)
    if "I" in number:
        if not 1 <= number["I"] <= _HALF_DAY:
            raise ValueError
        hour = number["I"] % _HALF_DAY + (_HALF_DAY if _is_afternoon(found.get("p")) else 0)
    offset = found.get("z")
    return datetime(
        year,
        number.get("m", 1),
        number.get("d", 1),
        hour,
        number.get("M", 0),
        number.get("S", 0),
        int(_microsecond(found.get("f"))),
        None if offset is None else offset_of(offset),
    )


def _by_strptime(letters: str, found: Sequence[str | None], pivot: int) -> datetime:
    """Return what strptime makes of the texts *found* for the directives *letters*; raises ValueError."""
    wanted, texts = [], []
    for letter, written in zip(letters, found, strict=True):
        text = written or ""
        if letter == "y" and "Y" not in letters and text:
            letter, text = "Y", f"{_full_year(int(text), pivot):04}"  # noqa: PLW2901 — the year in full
        elif letter == "p":
            text = "PM" if _is_afternoon(text) else "AM"
        elif letter == "f":
            text = _microsecond(written)
        elif letter == "z":
            text = "+0000" if text.upper() in _UTC_WORDS else text.ljust(5, "0")
        wanted.append(f"%{letter}")
        texts.append(text)
    return datetime.strptime("|".join(texts), "|".join(wanted))  # noqa: DTZ007 — the caller adds the zone


def _full_year(short: int, pivot: int) -> int:
    return short + (2000 if short <= pivot else 1900)


def _is_afternoon(text: str | None) -> bool:
    return text is not None and text.upper() in _AFTERNOON


def _microsecond(fraction: str | None) -> str:
    """Return the six digits of *fraction*; what is below a microsecond is cut."""
    return (fraction or "")[:6].ljust(6, "0")


def _compiled(pattern: str) -> tuple[re.Pattern[str], str]:
    """Return a regular expression with a group for each directive of *pattern*, and the directives in this order."""
    pieces = directives(pattern)
    parts: list[str] = []
    letters = ""
    for place, piece in enumerate(pieces):
        if piece == "%%":
            parts.append("%")
        elif piece.startswith("%"):
            group = f"({_digits(piece[1:], _touching(pieces, place))})"
            parts.append(rf"(?:{parts.pop()}{group})?" if _is_fraction(pieces, place) else group)
            letters += piece[1:]
        else:
            parts.append(r"\s+".join(map(re.escape, re.split(r"\s+", piece, flags=re.ASCII))))
    return re.compile("".join(parts), re.ASCII | re.IGNORECASE | re.DOTALL), letters


def _is_fraction(pieces: Sequence[str], place: int) -> bool:
    """Whether the directive at *place* is a fraction of a second, which may be missing with its point."""
    return place > 1 and pieces[place] == "%f" and pieces[place - 1] in {".", ","} and pieces[place - 2] == "%S"


def _digits(letter: str, touching: "_Touching") -> str:
    """Return the regular expression of what the directive *letter* reads."""
    if letter in _OTHERS:
        return _OTHERS[letter]
    if letter == "f":
        return r"\d{6}" if touching.after else r"\d{1,9}"
    if letter == "z":
        return _LONG_OFFSET if touching.after else f"{_LONG_OFFSET}|{UTC_OR_OFFSET}"
    if letter not in _WIDTHS:
        return ".+"
    width = _WIDTHS[letter]
    return rf"\d{{{width}}}" if touching.before or touching.after else rf"\d{{1,{width}}}"


@dataclass(frozen=True, slots=True)
class _Touching:
    """Whether another digit may come directly before and directly after the number of a directive."""

    before: bool
    after: bool


def _touching(pieces: Sequence[str], place: int) -> _Touching:
    before = pieces[place - 1] if place else "-"
    after = pieces[place + 1] if place + 1 < len(pieces) else "-"
    return _Touching(
        before=before not in _WORDS if before.startswith("%") else before[-1].isdigit(),
        after=after not in {*_WORDS, "%z"} if after.startswith("%") else after[0].isdigit(),
    )
