"""Guess the mapping of a file: identities, properties and omitted columns, each with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from uploader.api import CONSENTS, PropertyType
from uploader.inference import name_hints
from uploader.inference.boolean_words import has_both, is_known, lists_of
from uploader.inference.column_profile import (
    DATE,
    EMPTY_LIST,
    FRACTION,
    FRACTIONS,
    MOMENT,
    TEXT,
    TEXTS,
    TRUTH,
    WHOLE,
    WHOLES,
    Column,
)
from uploader.inference.consent_guess import (
    are_answers,
    can_answer,
    consent_rule,
    mostly_answers,
    review_of_name,
    review_of_unread,
    unread_consents,
)
from uploader.inference.consent_names import bare_consent, consent
from uploader.inference.file_profile import FileProfile
from uploader.inference.gender_words import gender_words
from uploader.inference.identity_columns import IdentityGuess, identities, without_shared
from uploader.inference.occurrences import Occurrences, without
from uploader.inference.reviews import Harm, Review
from uploader.inference.time_guess import is_nearly_all
from uploader.inference.type_guess import (
    LeftOut,
    TypeGuess,
    cleaned,
    guess,
    text_rule,
    values_of,
)
from uploader.mapping.rules import PropertyRule

_FEW: Final = 20
_SMALL: Final = 0.05
_DOUBLE: Final = "another column has this name, too; give each its own in the file"
_LONGEST_NAME: Final = 300
_DEPRECATED: Final = "df_push_optin"
_SUCCESSOR: Final = "df_push_ads_optin"
_FAMILIES: Final[Mapping[str, PropertyType]] = {
    TEXT: "string",
    WHOLE: "long",
    FRACTION: "double",
    TRUTH: "boolean",
    DATE: "date",
    MOMENT: "datetime",
    TEXTS: "array<string>",
    WHOLES: "array<long>",
    FRACTIONS: "array<double>",
    EMPTY_LIST: "array<string>",
}
_MOST_ARRAYS: Final[Mapping[PropertyType, int]] = {"array<string>": 10, "array<long>": 5, "array<double>": 5}
"""How many properties of each array type a service has at most."""


@dataclass(frozen=True, slots=True)
class PropertyGuess:
    """How a property is made (*rule*), and *why*; *kind* is its type, *reviews* are for a human."""

    rule: PropertyRule
    kind: PropertyType
    why: str
    reviews: tuple[Review, ...] = ()

    @property
    def key(self) -> str:
        """The name of the property."""
        return self.rule.key

    @property
    def column(self) -> str:
        """The column that it is read from."""
        return self.rule.column or ""


@dataclass(frozen=True, slots=True)
class Omission:
    """A column that is not mapped, and *why*; *harm* is None where nobody needs to look at it.

    *instead* is the property to type if a human wants the column to be one.
    """

    column: str
    why: str
    harm: Harm | None = None
    instead: PropertyRule | None = None


@dataclass(frozen=True, slots=True)
class MappingGuess:
    """The guessed mapping of a file. Without identities, or without properties, nothing can be sent."""

    rows: int
    identities: tuple[IdentityGuess, ...]
    properties: tuple[PropertyGuess, ...]
    omissions: tuple[Omission, ...]
    ignored: bool = False
    hidden: bool = False

    @property
    def consents(self) -> list[PropertyGuess]:
        """The properties that are consents."""
        return [each for each in self.properties if each.key in CONSENTS]

    @property
    def reviews(self) -> list[tuple[str, Review]]:
        """What a human has to look at, each with its column: what can do most harm first."""
        found = [(each.column, review) for each in self.identities for review in each.reviews]
        found += [(each.column, review) for each in self.properties for review in each.reviews]
        found += [
            (left.column, Review(left.harm, f"left out: {left.why}", left.instead))
            for left in self.omissions
            if left.harm
        ]
        return sorted(dict.fromkeys(found), key=lambda item: item[1].harm)


def guess_identities(profile: FileProfile) -> list[IdentityGuess]:
    """Return the identity fields of the file that *profile* describes."""
    return identities(profile.columns, profile.rows)


def guess_mapping(
    profile: FileProfile,
    *,
    today: date,
    people: Sequence[IdentityGuess] | None = None,
    shared: Mapping[str, Mapping[str, Occurrences]] | None = None,
) -> MappingGuess:
    """Return the guessed mapping of the file that *profile* describes.

    *people* are its identity fields (None: guessed here), *shared* for each of them the values that stand beside many
    different people. Years of two digits are compared with *today*.
    """
    builder = _MappingBuilder(profile, today)
    builder.add_identities(guess_identities(profile) if people is None else people, shared or {})
    builder.add_properties()
    return MappingGuess(
        rows=profile.rows,
        identities=tuple(builder.identities),
        properties=tuple(_with_limits(builder.properties)),
        omissions=(
            *builder.omissions,
            *(Omission(*each) for each in profile.unmappable),
            *(Omission(name, _DOUBLE, Harm.LOSS) for name in profile.doubles),
        ),
        ignored=profile.ignored,
        hidden=profile.hidden,
    )


class _MappingBuilder:
    """Turns columns into identities, properties or omissions; no key is given twice."""

    def __init__(self, profile: FileProfile, today: date) -> None:
        self.identities: list[IdentityGuess] = []
        self.properties: list[PropertyGuess] = []
        self.omissions: list[Omission] = []
        self._profile = profile
        self._today = today
        # The rows rejected for all columns together must stay below limits.max_rejected.
        self._remaining = max(_FEW, int(profile.rows * _SMALL)) - profile.damaged
        self._passed_over: set[str] = set()
        self._keys: set[str] = set()

    def add_identities(self, people: Sequence[IdentityGuess], shared: Mapping[str, Mapping[str, Occurrences]]) -> None:
        """Add the identity fields *people*, but for those that would cost too many rows."""
        for each in people:
            found = without_shared(each, shared.get(each.field, {}))
            count, is_last = found.unread.count, each is people[-1] and not self.identities
            if count and not self._affords(count) and not is_last:
                why = f"{_not_read(found.unread, found.expected)}, and so many rows would be rejected"
                self.omissions.append(
                    Omission(each.column, f"by its name or values {each.field}, but {why}", Harm.PEOPLE)
                )
            elif count:
                review = Review(Harm.ROWS, _rejected(found.unread, found.expected))
                self.identities.append(replace(found, reviews=(*found.reviews, review)))
            else:
                self.identities.append(found)
        self._passed_over = {each.column for each in self.identities} | {each.column for each in self.omissions}

    def add_properties(self) -> None:
        """Add the columns that are not identities."""
        columns = [column for column in self._profile.columns if column.name not in self._passed_over]
        # A column whose name is the key itself takes it before one whose name only means it.
        self._keys = {column.name for column in columns}
        named = {meant.key for column in columns if (meant := consent(column.name)) is not None}
        found: dict[str, PropertyGuess | Omission] = {}
        for column in sorted(columns, key=_doubt):
            result = found[column.name] = self._guessed(column)
            if isinstance(result, PropertyGuess):
                self._keys.add(result.key)
        for result in map(found.__getitem__, (column.name for column in columns)):
            if isinstance(result, Omission):
                self.omissions.append(result)
            elif result.key == _DEPRECATED and _SUCCESSOR not in self._keys | named:
                self.properties += _with_successor(result)
                self._keys.add(_SUCCESSOR)
            else:
                self.properties.append(result)

    def _guessed(self, column: Column) -> PropertyGuess | Omission:
        unusable = self._unusable(column)
        if unusable is not None:
            return unusable
        meant = consent(column.name) or (bare_consent(column.name) if are_answers(column) else None)
        if meant is None:
            return self._property(column)
        if meant.key is None:
            return _reviewed(self._property(column), review_of_name(column, meant))
        if meant.key != column.name and meant.key in self._keys:
            trouble = f"by its name a consent, but another column is {meant.key} already; if this is the one, write"
            review = Review(Harm.CONSENT, trouble, consent_rule(column, meant.key))
            return _reviewed(self._property(column), review)
        return self._consent(column, meant.key, meant.remark)

    def _unusable(self, column: Column) -> Omission | None:
        if len(column.name) > _LONGEST_NAME:
            return Omission(column.name, f"its name has more than {_LONGEST_NAME} letters")
        if (why := self._emptiness(column)) is not None:
            return Omission(column.name, why)
        oversized = column.texts.oversized
        if oversized.count and not self._affords(oversized.count):
            why = f"over 8 KB in {_rows(oversized)} ({oversized.places}), which would be rejected"
            return Omission(column.name, why, Harm.LOSS)
        return None

    def _emptiness(self, column: Column) -> str | None:
        """Return in which way *column* has no value in any row; None if it has one, or if there are no rows."""
        if not self._profile.rows or column.filled:
            return None
        if not column.gaps.nulls.count:
            return "empty in every row"
        is_all = column.gaps.nulls.count == self._profile.rows - self._profile.damaged
        # Of a consent, a null rejects its row.
        if consent(column.name) is not None or not is_all:
            return None
        return "null in every row; mapped, each null would clear the property"

    def _consent(self, column: Column, key: str, remark: str) -> PropertyGuess | Omission:
        if not column.filled:
            if column.gaps.nulls.count:
                return Omission(column.name, "null in every row, which would reject them all", Harm.CONSENT)
            return Omission(column.name, "empty in every row")
        unread = unread_consents(column)
        if not (mostly_answers if remark else can_answer)(column):
            text = f"by its name perhaps the consent {key}, but its values say neither yes nor no"
            return _reviewed(self._property(column), Review(Harm.CONSENT, text))
        # Rather the whole file is refused than a refusal lost.
        self._affords(unread.count)
        rule = consent_rule(column, key)
        why = f"a consent, by its name; {values_of(column)}"
        reviews = [Review(Harm.CONSENT, remark)] * bool(remark)
        if unread.count:
            reviews.append(review_of_unread(column, rule, unread))
        return PropertyGuess(rule, "boolean", why, tuple(reviews))

    def _property(self, column: Column) -> PropertyGuess | Omission:
        key = name_hints.built_in(column.name)
        is_free = key is not None and (key == column.name or key not in self._keys)
        if key == "df_gender" and is_free and (gender := _gender(column)) is not None:
            return self._settled(column, gender, key)
        kind = self._profile.kinds.get(column.name)
        # No built-in property is a number.
        has_gaps = key is None and column.filled < self._profile.rows - self._profile.damaged
        has_types = self._profile.has_types
        guessed = guess(column, kind, has_types=has_types, has_gaps=has_gaps, today=self._today)
        if isinstance(guessed, LeftOut):
            return Omission(column.name, guessed.why, guessed.harm)
        if key is None or not is_free:
            return self._settled(column, guessed if self._profile.has_types else _one_sided(column, guessed))
        guessed = _fitting(key, column, guessed)
        if key == column.name or _fits(key, column, guessed):
            if name_hints.may_be_login_name(column.name):
                review = Review(Harm.MEANING, f"by its name {key}, or the name that somebody logs in with")
                guessed = replace(guessed, reviews=(*guessed.reviews, review))
            return self._settled(column, replace(guessed, why=f"by its name; {guessed.why}"), key)
        review = Review(Harm.LOSS, f"by its name {key}, but it is of another type")
        return self._settled(column, replace(guessed, reviews=(*guessed.reviews, review)))

    def _settled(self, column: Column, guessed: TypeGuess, key: str | None = None) -> PropertyGuess:
        """Return the property of *guessed* as *key*; what it can't read is omitted if that costs too many rows."""
        rule, reviews = guessed.rule if key is None else replace(guessed.rule, key=key), list(guessed.reviews)
        why = guessed.why
        is_rare = is_nearly_all(guessed.unread.count, column.filled)
        if guessed.unread.count and is_rare and self._affords(guessed.unread.count):
            reviews.append(Review(Harm.ROWS, _rejected(guessed.unread, guessed.expected)))
        elif guessed.unread.count:
            rule = replace(rule, on_error="omit")
            what = f"{_not_read(guessed.unread, guessed.expected)}, and omitted (on_error): {guessed.unread.places}"
            reviews.append(Review(Harm.LOSS, what))
        if column.gaps.nulls.count:
            why += f"; null in {_rows(column.gaps.nulls)}, which clears it"
        if column.texts.oversized.count:
            what = f"over 8 KB in {_rows(column.texts.oversized)}, which rejects it ({column.texts.oversized.places})"
            reviews.append(Review(Harm.ROWS, what))
        return PropertyGuess(rule, _kind(column, rule), why, tuple(reviews))

    def _affords(self, rows: int) -> bool:
        if rows > self._remaining:
            return False
        self._remaining -= rows
        return True


def _doubt(column: Column) -> tuple[int, int, bool]:
    """Return what puts the columns whose names are clearest first; those that name no key come last."""
    meant = consent(column.name)
    if meant is not None and meant.key is not None:
        return 0, meant.doubt, column.inside
    key = name_hints.built_in(column.name)
    if key is not None:
        return 1, name_hints.doubt_of_built_in(column.name), column.inside
    return 2, 0, False


def _with_successor(deprecated: PropertyGuess) -> list[PropertyGuess]:
    """Return the property of the *deprecated* consent, and beside it that of the consent in its place."""
    why = f"{_DEPRECATED} is deprecated: it is sent as {_SUCCESSOR}, too; delete the one that your service does not use"
    review = Review(Harm.CONSENT, why)
    successor = replace(deprecated, rule=replace(deprecated.rule, key=_SUCCESSOR), reviews=(), why=_SUCCESSOR_WHY)
    return [replace(deprecated, reviews=(review, *deprecated.reviews)), successor]


_SUCCESSOR_WHY: Final = f"the same column, in the place of {_DEPRECATED}"


def _gender(column: Column) -> TypeGuess | None:
    """Return *column* with the constant of the API for each of its words; None if these mean no genders."""
    words = gender_words(column.words.short) if column.types.held <= {TEXT, WHOLE} else None
    if words is None:
        return None
    known = {word for word, _ in words.values}
    unread = without(
        column.words.unknown(known),
        [column.words.short[word] for word in words.nothing] + [*column.stand_ins.said_nothing.values()],
    )
    if 2 * unread.count > column.filled:
        return None
    rule = cleaned(column, text_rule(column), *words.nothing, *column.stand_ins.said_nothing)
    reviews: tuple[Review, ...] = ()
    if words.are_codes:
        reviews = (Review(Harm.MEANING, "that 1 is Male and 2 is Female is a guess"),)
    if not words.are_constants or unread.count:
        rule = replace(rule, cleaning=replace(rule.cleaning, values=words.values))
    why = "by its name; each word as the constant of the service"
    return TypeGuess(rule, why, unread, "a word for a gender", reviews)


def _one_sided(column: Column, guessed: TypeGuess) -> TypeGuess:
    """Return *guessed*, or a boolean if its text is nothing but words for yes, or nothing but words for no."""
    words = {word.casefold() for word in column.words.short}
    is_text = guessed.rule.kind is None and column.types.held == {TEXT} and guessed.rule.cleaning.phone is None
    if not is_text or name_hints.is_prose(column.name) or column.words.unknown(is_known).count or has_both(words):
        return guessed
    rule = replace(guessed.rule, kind="boolean")
    if words <= {"true", "false"}:
        return TypeGuess(rule, f"a boolean: the only word is {next(iter(words))}")
    lists = lists_of(words)
    text = "the same answer in every row that has one; if it is yes or no, write"
    review = Review(Harm.LOSS, text, replace(rule, true=lists.true, false=lists.false))
    return replace(guessed, reviews=(*guessed.reviews, review))


def _fitting(key: str, column: Column, guessed: TypeGuess) -> TypeGuess:
    """Return *guessed*, or text if the built-in *key* is a text and *column* can be read as one."""
    if guessed.rule.kind is None or not column.types.held <= {TEXT, WHOLE}:
        return guessed
    if key == "df_birth" and (key != column.name or guessed.rule.kind == "date"):
        return guessed
    rule = text_rule(column)
    return TypeGuess(
        replace(rule, kind="string") if WHOLE in column.types.held else rule, "text, as the service has it"
    )


def _fits(key: str, column: Column, guessed: TypeGuess) -> bool:
    """Whether the built-in *key* has the type that is *guessed* for *column*."""
    kind = guessed.rule.kind
    if key == "df_birth":
        return kind == "date" or (kind is None and column.types.held == {DATE})
    return kind == "string" or (kind is None and column.types.held <= {TEXT})


def _kind(column: Column, rule: PropertyRule) -> PropertyType:
    """Return the type that the values of *column* have when *rule* reads them."""
    if rule.kind is not None:
        return rule.kind
    family = next(iter(column.types.held - {EMPTY_LIST}), EMPTY_LIST if column.types.held else TEXT)
    return _FAMILIES.get(family, "string")


def _with_limits(properties: Sequence[PropertyGuess]) -> list[PropertyGuess]:
    """Return *properties*, with a review where there are more arrays than a service can have."""
    counts: dict[PropertyType, int] = {}
    found: list[PropertyGuess] = []
    for each in properties:
        counts[each.kind] = counts.get(each.kind, 0) + 1
        most = _MOST_ARRAYS.get(each.kind)
        if most is not None and counts[each.kind] > most:
            review = Review(Harm.LOSS, f"a service has at most {most} properties of type {each.kind}")
            found.append(replace(each, reviews=(*each.reviews, review)))
        else:
            found.append(each)
    return found


def _reviewed(result: PropertyGuess | Omission, review: Review) -> PropertyGuess | Omission:
    if isinstance(result, Omission):
        harm = min(review.harm, result.harm or review.harm)
        return replace(result, why=f"{result.why}; {review.text}", harm=harm, instead=review.instead)
    return replace(result, reviews=(review, *result.reviews))


def _not_read(unread: Occurrences, expected: str) -> str:
    return f"{unread.count:,} {'value is' if unread.count == 1 else 'values are'} not {expected}"


def _rejected(unread: Occurrences, expected: str) -> str:
    is_one = unread.count == 1
    return f"{_not_read(unread, expected)}, which rejects {'its row' if is_one else 'their rows'}: {unread.places}"


def _rows(occurrences: Occurrences) -> str:
    return "1 row" if occurrences.count == 1 else f"{occurrences.count:,} rows"
