"""Guess which columns identify the person of a row, by their names and their values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from uploader.inference import name_hints
from uploader.inference.candidate_types import DATES, DATETIMES, DIGIT_DATE, DOUBLE, LONG
from uploader.inference.column_profile import TEXT, WHOLE, Column

_LONGEST: Final = 100
_BY_NAME: Final = 0.5
_BY_CONTENT: Final = 0.9
_WEAK: Final = 0.9
_LAST: Final = 0.95


@dataclass(frozen=True, slots=True)
class IdentityGuess:
    """An identity *field*, the *column* that it is read from, and *why*."""

    field: str
    column: str
    why: str


def identities(columns: Sequence[Column], rows: int) -> list[IdentityGuess]:
    """Return the identity fields of a file with *rows* rows, at most one column for each; none if no column fits."""
    free = [column for column in columns if column.holds <= {TEXT, WHOLE} and name_hints.consent(column.name) is None]
    found: list[IdentityGuess] = []
    for choose in (_external_id, _email, _phone, _kakao_id, _line_id):
        taken = {identity.column for identity in found}
        chosen = choose([column for column in free if column.name not in taken], rows)
        if chosen is not None:
            found.append(chosen)
    return found or _most_different(free, rows)


def _external_id(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    named = _named(columns, name_hints.STRONG_IDS, rows, lambda column: not column.is_constant)
    if named is not None:
        return IdentityGuess("external_id", named.name, _by_name(named, rows))
    for column in columns:
        is_filled = column.filled >= _BY_NAME * rows and column.different >= _WEAK
        if name_hints.plain(column.name) in name_hints.WEAK_IDS and (is_filled or not rows):
            return IdentityGuess("external_id", column.name, f"{_by_name(column, rows)}, nearly all of them different")
    return None


def _email(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    return _by_pattern(
        "email", name_hints.EMAILS, columns, rows, ("an e-mail address", lambda it: it.emails, lambda it: it.emails)
    )


def _phone(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    return _by_pattern(
        "phone_no", name_hints.PHONES, columns, rows, ("a phone number", lambda it: it.phones, lambda it: it.mobiles)
    )


def _kakao_id(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    named = _named(columns, name_hints.KAKAO_IDS, rows, lambda column: not column.is_constant)
    return None if named is None else IdentityGuess("kakao_user_id", named.name, _by_name(named, rows))


def _line_id(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    named = _named(columns, name_hints.LINE_IDS, rows, lambda column: not column.is_constant)
    return None if named is None else IdentityGuess("line_user_id", named.name, _by_name(named, rows))


def _by_pattern(
    field: str,
    words: frozenset[str],
    columns: Sequence[Column],
    rows: int,
    pattern: tuple[str, Callable[[Column], int], Callable[[Column], int]],
) -> IdentityGuess | None:
    """Return the column whose values match *pattern*: its name for users, a count of likely and of certain matches."""
    what, likely, surely = pattern
    named = _named(columns, words, rows, lambda column: likely(column) >= _BY_NAME * column.filled)
    if named is not None:
        looks = f" and {_looks(likely(named), named.filled)} like {what}" if named.filled else ""
        return IdentityGuess(field, named.name, f"by its name{looks}")
    for column in columns:
        if column.filled and surely(column) >= _BY_CONTENT * column.filled:
            return IdentityGuess(field, column.name, f"{_looks(surely(column), column.filled)} like {what}")
    return None


def _named(
    columns: Iterable[Column], words: frozenset[str], rows: int, fits: Callable[[Column], bool]
) -> Column | None:
    """Return the fullest column that has one of *words* as its name and *fits*; without rows the name is enough."""
    found = [
        column for column in columns if _is_called(column, words) and (not rows or (column.filled and fits(column)))
    ]
    return max(found, key=lambda column: column.filled, default=None)


def _is_called(column: Column, words: frozenset[str]) -> bool:
    within = name_hints.plain(column.name.rpartition(".")[2]) if column.inside else ""
    return name_hints.plain(column.name) in words or within in words


def _most_different(columns: Sequence[Column], rows: int) -> list[IdentityGuess]:
    likely = [
        column
        for column in columns
        if column.filled >= _BY_CONTENT * rows > 0 and column.different >= _LAST and not _is_measure(column)
    ]
    if not likely:
        return []
    best = max(likely, key=lambda column: (column.filled, column.different))
    why = f"LOOK: only because {_of(best.filled, rows)} rows have it and nearly all are different"
    return [IdentityGuess("external_id", best.name, why)]


def _is_measure(column: Column) -> bool:
    """Whether *column* describes a person rather than identifies them."""
    is_number = column.reads_all(DOUBLE) and not column.reads_all(LONG)
    is_time = any(column.reads_all(form) for form in (DIGIT_DATE, *DATES, *DATETIMES))
    return is_number or is_time or name_hints.built_in(column.name) is not None or column.longest > _LONGEST


def _by_name(column: Column, rows: int) -> str:
    return f"by its name; {_of(column.filled, rows)} rows have it" if rows else "by its name"


def _looks(count: int, total: int) -> str:
    return "because its only value looks" if total == 1 else f"because {_of(count, total)} values look"


def _of(count: int, total: int) -> str:
    return f"all {total:,}" if count == total else f"{count:,} of {total:,}"
