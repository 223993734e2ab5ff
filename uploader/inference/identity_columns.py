"""Guess which columns identify the person of a row, by their names and their values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from uploader.inference import name_hints
from uploader.inference.column_profile import FRACTION, TEXT, WHOLE, Column
from uploader.inference.consent_names import consent
from uploader.inference.number_forms import WrittenNumber
from uploader.inference.occurrences import Occurrences, together, without
from uploader.inference.phone_counts import is_phone
from uploader.inference.reviews import Harm, Review
from uploader.inference.text_traits import is_email
from uploader.inference.time_guess import guess_times, is_nearly_all
from uploader.inference.type_guess import MARKS
from uploader.mapping.rules import CleaningRules, IdentityRule

_LONGEST: Final = 100
_BY_NAME: Final = 0.5
_BY_CONTENT: Final = 0.9
_WEAK: Final = 0.9
_LAST: Final = 0.95
_NUMBERED: Final = frozenset({"external_id", "kakao_user_id", "line_user_id"})
"""The fields whose values are often numbers."""
_STRIPPED: Final = {"float": (".0",), **MARKS}
"""What each kind of damage leaves at the ends of a value."""


@dataclass(frozen=True, slots=True)
class IdentityGuess:
    """How an identity field is read from a column (*rule*), and *why*.

    *unread* are the values whose rows would be rejected, for they are not what is *expected*. *reviews* are for a
    human. *hint* is a line of configuration that may be better.
    """

    rule: IdentityRule
    why: str
    unread: Occurrences = field(default_factory=Occurrences)
    expected: str = ""
    reviews: tuple[Review, ...] = ()
    hint: str = ""

    @property
    def field(self) -> str:
        """The identity field."""
        return self.rule.field

    @property
    def column(self) -> str:
        """The column that it is read from."""
        return self.rule.column


def identities(columns: Sequence[Column], rows: int) -> list[IdentityGuess]:
    """Return the identity fields of a file with *rows* rows, at most one column for each; none if no column fits."""
    free = [column for column in columns if _can_identify(column) and consent(column.name) is None]
    found: list[IdentityGuess] = []
    for choose in (_external_id, _email, _phone, _kakao_id, _line_id):
        taken = {identity.column for identity in found}
        chosen = choose([column for column in free if column.name not in taken], rows)
        if chosen is not None:
            found.append(chosen)
    named = {column.name: column for column in free}
    return [_cleaned(each, named[each.column]) for each in found or _most_different(free, rows)]


def _can_identify(column: Column) -> bool:
    """Whether *column* holds texts and whole numbers, which programs may have written as 1001.0."""
    return column.types.held <= {TEXT, WHOLE, FRACTION} and (
        FRACTION not in column.types.held or is_nearly_all(column.numbers.fractions.count, column.filled)
    )


def without_shared(guess: IdentityGuess, shared: Mapping[str, Occurrences]) -> IdentityGuess:
    """Return *guess* with the values of *shared* as words for nothing: each stands beside many other people."""
    if not shared:
        return guess
    rule = replace(guess.rule, null_values=tuple(dict.fromkeys((*guess.rule.null_values, *shared))))
    known = set(guess.rule.null_values)
    misread = [
        occurrences for text, occurrences in shared.items() if text not in known and not _is_read(guess.field, text)
    ]
    occurrences = together(shared.values())
    values = "1 value would join" if len(shared) == 1 else f"{len(shared):,} values would join"
    what = f"{values} many people into one, so it counts as none (null_values), in {occurrences.places}"
    return replace(
        guess,
        rule=rule,
        unread=without(guess.unread, misread),
        reviews=(*guess.reviews, Review(Harm.PEOPLE, what)),
    )


def _is_read(field: str, text: str) -> bool:
    if field == "phone_no":
        return is_phone(text)
    return field != "email" or is_email(text)


def _cleaned(guess: IdentityGuess, column: Column) -> IdentityGuess:
    """Return *guess* with the cleaning that the values of *column* need, and with what a human has to look at."""
    fakes = {text: occurrences for text, occurrences in column.stand_ins.placeholders.items() if occurrences.count > 1}
    if guess.field not in {"email", "phone_no"}:
        fakes = {}
    nothing = tuple(dict.fromkeys((*column.gaps.words, *column.stand_ins.said_nothing, *fakes)))
    reviews = list(guess.reviews)
    if fakes:
        places = together(fakes.values()).places
        reviews.append(Review(Harm.PEOPLE, f"made-up values count as none (null_values), in {places}"))
    strip, repaired = _strip(guess.field, column)
    if strip:
        what = f"{_values(repaired)} damaged by a program or a spreadsheet, and repaired (strip): {repaired.places}"
        reviews.append(Review(Harm.PEOPLE, what))
    grouped = column.texts.damage.get("grouped", Occurrences()) if guess.field in _NUMBERED else Occurrences()
    if grouped.count:
        what = f"{_values(grouped)} written with separators of thousands, and freed of them: {grouped.places}"
        reviews.append(Review(Harm.PEOPLE, what))
    if guess.field in _NUMBERED and (shorter := column.numbers.without_zeros).count:
        what = f"{_values(shorter)} shorter than those with a leading zero; did a spreadsheet take theirs away? "
        reviews.append(Review(Harm.PEOPLE, f"{what}{shorter.places[0].upper()}{shorter.places[1:]}"))
    cleaning = CleaningRules(
        trim=column.texts.trimmed.count > 0,
        strip=strip,
        phone="KR" if guess.field == "phone_no" else None,
        thousands="," if grouped.count else None,
    )
    misread = [occurrences for text, occurrences in fakes.items() if not _is_read(guess.field, text)]
    unread, expected = _unread(guess.field, column, [*column.stand_ins.said_nothing.values(), *misread])
    hint = ""
    contacts = column.emails.addresses + column.phones.mobiles
    if guess.field == "external_id" and column.filled and 2 * contacts > column.filled:
        reviews.append(Review(Harm.PEOPLE, "personal data as external_id; the service recommends a hash of it"))
        hint = "hash: hmac-sha256"
    if guess.field == "email" and column.emails.capitals:
        addresses = "1 address has" if column.emails.capitals == 1 else f"{column.emails.capitals:,} addresses have"
        what = f"{addresses} capital letters; case: lower makes one person of both spellings"
        reviews.append(Review(Harm.PEOPLE, what))
    rule = replace(guess.rule, cleaning=cleaning, null_values=nothing)
    return replace(guess, rule=rule, unread=unread, expected=expected, reviews=tuple(reviews), hint=hint)


def _strip(field: str, column: Column) -> tuple[tuple[str, ...], Occurrences]:
    """Return the texts to strip from damaged values of *column*, and these values."""
    if field in {"email", "phone_no"}:
        kinds: tuple[str, ...] = ("formula", "apostrophe")
    else:
        kinds = ("float", "formula", "apostrophe")
    found = [kind for kind in kinds if kind in column.texts.damage]
    texts = dict.fromkeys(text for kind in found for text in _STRIPPED[kind])
    return tuple(texts), together(column.texts.damage[kind] for kind in found)


def _unread(field: str, column: Column, nothing: Sequence[Occurrences]) -> tuple[Occurrences, str]:
    if field == "email":
        return without(column.emails.others, nothing), "an e-mail address"
    if field == "phone_no":
        return without(column.phones.others, nothing), "a phone number of Korea"
    powers = column.texts.damage.get("power", Occurrences())
    return together([powers, column.numbers.fractions]), "an ID with all of its digits"


def _values(occurrences: Occurrences) -> str:
    return "1 value is" if occurrences.count == 1 else f"{occurrences.count:,} values are"


def _external_id(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    named = _named(columns, name_hints.STRONG_IDS, rows, lambda column: not column.is_constant)
    if named is not None:
        return _guessed("external_id", named, _by_name(named, rows))
    for column in columns:
        is_filled = column.filled >= _BY_NAME * rows and column.different >= _WEAK
        if name_hints.plain(column.name) in name_hints.WEAK_IDS and (is_filled or not rows):
            return _guessed("external_id", column, f"{_by_name(column, rows)}, nearly all of them different")
    return None


def _email(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    return _by_pattern(
        "email",
        name_hints.EMAILS,
        columns,
        rows,
        ("an e-mail address", lambda it: it.emails.addresses, lambda it: it.emails.addresses),
    )


def _phone(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    return _by_pattern(
        "phone_no",
        name_hints.PHONES,
        columns,
        rows,
        ("a phone number", lambda it: it.phones.phones, lambda it: it.phones.mobiles),
    )


def _kakao_id(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    named = _named(columns, name_hints.KAKAO_IDS, rows, lambda column: not column.is_constant)
    return None if named is None else _guessed("kakao_user_id", named, _by_name(named, rows))


def _line_id(columns: Sequence[Column], rows: int) -> IdentityGuess | None:
    named = _named(columns, name_hints.LINE_IDS, rows, lambda column: not column.is_constant)
    return None if named is None else _guessed("line_user_id", named, _by_name(named, rows))


def _by_pattern(
    field: str,
    words: frozenset[str],
    columns: Sequence[Column],
    rows: int,
    pattern: tuple[str, Callable[[Column], int], Callable[[Column], int]],
) -> IdentityGuess | None:
    """Return the column whose values match *pattern*: its name for users, a count of likely and of certain matches."""
    what, likely, surely = pattern

    def fits(column: Column) -> bool:
        return likely(column) >= _BY_NAME * column.filled

    found = _all_named(columns, words, rows, fits)
    if found:
        # A mobile number is of one person, a land line of a family or a firm.
        named = max(found, key=lambda column: (surely(column), column.filled))
        looks = f" and {_looks(likely(named), named.filled)} like {what}" if named.filled else ""
        others = [column.name for column in found if column is not named]
        guess = _guessed(field, named, f"by its name{looks}")
        return replace(guess, reviews=(_one_of_several(what, others),)) if others else guess
    for column in columns:
        if column.filled and surely(column) >= _BY_CONTENT * column.filled:
            return _guessed(field, column, f"{_looks(surely(column), column.filled)} like {what}")
    return None


def _named(
    columns: Iterable[Column], words: frozenset[str], rows: int, fits: Callable[[Column], bool]
) -> Column | None:
    """Return the fullest column that has one of *words* as its name and *fits*; without rows the name is enough."""
    return max(_all_named(columns, words, rows, fits), key=lambda column: column.filled, default=None)


def _all_named(
    columns: Iterable[Column], words: frozenset[str], rows: int, fits: Callable[[Column], bool]
) -> list[Column]:
    return [
        column for column in columns if _is_called(column, words) and (not rows or (column.filled and fits(column)))
    ]


def _one_of_several(what: str, others: Sequence[str]) -> Review:
    names = ", ".join(f"'{name}'" for name in others)
    verb = "holds" if len(others) == 1 else "hold"
    return Review(Harm.PEOPLE, f"{names} {verb} {what}, too; that this one identifies a person is a guess")


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
    why = f"only because {_of(best.filled, rows)} rows have it and nearly all are different"
    return [replace(_guessed("external_id", best, why), reviews=(Review(Harm.PEOPLE, "its name says no identity"),))]


def _guessed(field: str, column: Column, why: str) -> IdentityGuess:
    return IdentityGuess(IdentityRule(field, column.name), why)


def _is_measure(column: Column) -> bool:
    """Whether *column* describes a person rather than identifies them."""
    wholes = column.unread(lambda reading: isinstance(reading, WrittenNumber) and reading.shape == "whole")
    numbers = column.unread(lambda reading: isinstance(reading, WrittenNumber))
    is_number = is_nearly_all(numbers.count, column.filled) and wholes.count > 0
    return (
        is_number
        or guess_times(column) is not None
        or name_hints.built_in(column.name) is not None
        or column.texts.longest > _LONGEST
    )


def _by_name(column: Column, rows: int) -> str:
    if not rows:
        return "by its name"
    return f"by its name; {'its only row has' if rows == 1 else f'{_of(column.filled, rows)} rows have'} it"


def _looks(count: int, total: int) -> str:
    return "because its only value looks" if total == 1 else f"because {_of(count, total)} values look"


def _of(count: int, total: int) -> str:
    return f"all {total:,}" if count == total else f"{count:,} of {total:,}"
