"""Guess the mapping of a file: identities, properties and omitted columns, each with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from uploader.api import CONSENTS
from uploader.inference import name_hints
from uploader.inference.boolean_words import BooleanWords, lists_of
from uploader.inference.candidate_types import OWN, STRING, CandidateType
from uploader.inference.column_profile import DATE, TEXT, WHOLE, Column
from uploader.inference.file_profile import FileProfile
from uploader.inference.identity_columns import IdentityGuess, identities
from uploader.inference.type_guess import LeftOut, TypeGuess, consent_trouble, guess, known_words, values_of

_FEW: Final = 20
_SMALL: Final = 0.05
_TENTH: Final = 10
_LONGEST_NAME: Final = 300


@dataclass(frozen=True, slots=True)
class PropertyGuess:
    """A property *key*, its *column*, its type (*form*), and *why*; *lists* are the words of a boolean."""

    key: str
    column: str
    form: CandidateType
    why: str
    lists: BooleanWords | None = None


@dataclass(frozen=True, slots=True)
class Omission:
    """A column that is not mapped, and *why*."""

    column: str
    why: str


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


def guess_mapping(profile: FileProfile) -> MappingGuess:
    """Return the guessed mapping of the file that *profile* describes."""
    columns = profile.columns
    people = identities(columns, profile.rows)
    taken = {identity.column for identity in people}
    builder = _MappingBuilder(profile, [column for column in columns if column.name not in taken])
    return MappingGuess(
        rows=profile.rows,
        identities=tuple(people),
        properties=tuple(builder.properties),
        omissions=(*builder.omissions, *(Omission(*each) for each in profile.unmappable)),
        ignored=profile.ignored,
        hidden=profile.hidden,
    )


class _MappingBuilder:
    """Turns the columns that are not identities into properties or omissions; no key is given twice."""

    def __init__(self, profile: FileProfile, columns: Sequence[Column]) -> None:
        self.properties: list[PropertyGuess] = []
        self.omissions: list[Omission] = []
        self._profile = profile
        # The rows rejected for all columns together must stay below limits.max_rejected.
        self._remaining = max(_FEW, int(profile.rows * _SMALL)) - profile.damaged
        # A column whose name is the key itself takes it before one whose name only means it.
        self._keys = {column.name for column in columns}
        for column in columns:
            result = self._guessed(column)
            if isinstance(result, PropertyGuess):
                self.properties.append(result)
                self._keys.add(result.key)
            else:
                self.omissions.append(result)

    def _guessed(self, column: Column) -> PropertyGuess | Omission:
        if len(column.name) > _LONGEST_NAME:
            return Omission(column.name, f"its name has more than {_LONGEST_NAME} letters")
        if column.oversized and not self._affords(column.oversized):
            first = f"first: row {column.first_oversized:,}"
            return Omission(
                column.name, f"LOOK: over 8 KB in {_rows(column.oversized)} ({first}), which would be rejected"
            )
        meant = name_hints.consent(column.name)
        if meant is None:
            return self._property(column)
        if meant.key is not None and (meant.key == column.name or meant.key not in self._keys):
            return self._consent(column, meant.key, meant.remark)
        trouble = meant.trouble or f"by its name a consent, but another column is {meant.key} already"
        return self._remarked(self._property(column), f"LOOK: {trouble}")

    def _consent(self, column: Column, key: str, remark: str) -> PropertyGuess | Omission:
        unread, first = consent_trouble(column)
        is_few = unread * _TENTH <= column.filled + column.nulls
        if unread and not (is_few and self._affords(unread)):
            why = (
                f"LOOK: by its name the consent {key}, but {unread:,} of {column.filled + column.nulls:,} values are "
                f"neither true nor false (first: row {first:,}), and so many rows would be rejected"
            )
            return Omission(column.name, why)
        lists = lists_of(known_words(column))
        whys = [f"a consent, by its name; {values_of(column) if column.filled else 'empty in every row'}"]
        whys += [remark] * bool(remark)
        if unread:
            are = "is" if unread == 1 else "are"
            whys.append(f"LOOK: {unread:,} {are} neither true nor false (first: row {first:,}), which rejects the row")
        return PropertyGuess(key, column.name, CandidateType("boolean"), "; ".join(whys), lists)

    def _property(self, column: Column) -> PropertyGuess | Omission:
        guessed = guess(column, self._profile.kinds.get(column.name), has_types=self._profile.has_types)
        if isinstance(guessed, LeftOut):
            return Omission(column.name, guessed.why)
        nulls = f"null in {_rows(column.nulls)}, which clears it" if column.nulls else ""
        oversized = f"LOOK: over 8 KB in {_rows(column.oversized)}, which rejects it" if column.oversized else ""
        return self._remarked(self._named(column, guessed), "; ".join(filter(None, (nulls, oversized))))

    def _named(self, column: Column, guessed: TypeGuess) -> PropertyGuess:
        """Return the property of *column*, under the built-in name that it means, else under its own."""
        key = name_hints.built_in(column.name)
        if key is not None and (key == column.name or key not in self._keys):
            guessed = _fitting(key, column, guessed)
            if key == column.name or _fits(key, column, guessed):
                why = f"by its name; {guessed.why}"
                return PropertyGuess(key, column.name, guessed.form, why, guessed.lists)
            guessed = replace(guessed, why=f"{guessed.why}; by its name {key}, but it is of another type")
        return PropertyGuess(column.name, column.name, guessed.form, guessed.why, guessed.lists)

    def _remarked(self, result: PropertyGuess | Omission, remark: str) -> PropertyGuess | Omission:
        return replace(result, why=f"{result.why}; {remark}") if remark else result

    def _affords(self, rows: int) -> bool:
        if rows > self._remaining:
            return False
        self._remaining -= rows
        return True


def _fitting(key: str, column: Column, guessed: TypeGuess) -> TypeGuess:
    """Return *guessed*, or text if the built-in *key* is a text and *column* can be read as one."""
    if key == "df_birth" or guessed.form == OWN or not column.holds <= {TEXT, WHOLE}:
        return guessed
    return TypeGuess(STRING if WHOLE in column.holds else OWN, "text, as the service has it")


def _fits(key: str, column: Column, guessed: TypeGuess) -> bool:
    """Whether the built-in *key* has the type that is *guessed* for *column*."""
    if key == "df_birth":
        return guessed.form.kind == "date" or (guessed.form == OWN and column.holds == {DATE})
    return guessed.form == STRING or (guessed.form == OWN and column.holds <= {TEXT})


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
