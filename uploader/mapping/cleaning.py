"""Clean the values that the mapping asks to have cleaned, step by step, and count what was changed."""

import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, TypeAlias

from uploader.mapping.field_paths import MISSING
from uploader.mapping.full_width import in_both_widths
from uploader.mapping.invisible_characters import without_end, without_ends, without_start
from uploader.mapping.phone_numbers import PHONE_READERS
from uploader.mapping.rules import CleaningRules, Otherwise
from uploader.mapping.value_errors import Unreadable
from uploader.model import WHOLE_DOUBLES, Json, Reason, WrittenFloat

StepName: TypeAlias = Literal["trim", "strip", "case", "values", "phone", "thousands", "decimal", "hash"]
Clean: TypeAlias = Callable[[object], object]
"""Returns a value cleaned by one step, or as it stands where the step does not apply; raises `Unreadable`."""

STEPS: Final[tuple[StepName, ...]] = ("trim", "strip", "case", "values", "phone", "thousands", "decimal", "hash")
"""The names of all steps, in the order in which they are applied."""

_LISTED: Final = 12
"""How many words of `values` a reason names."""

_WHOLE_FLOAT: Final = re.compile(r"[+-]?[0-9]+\.0")
_ONLY_UNITS: Final = Reason("only_units", "nothing but a unit (strip)")
_NOT_TEXT: Final = Reason("not_string", "neither text nor a whole number")
_NOT_UNICODE: Final = Reason("not_unicode", "half of a surrogate pair, which is no text")


@dataclass(frozen=True, slots=True)
class StepChange:
    """What one step made of a value: *before* and *after* it."""

    step: StepName
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class OmittedValue:
    """A value that is left out of its request; *reason* names the *column* and what was expected."""

    column: str
    key: str
    reason: Reason


Change: TypeAlias = StepChange | OmittedValue


@dataclass(slots=True)
class Repairs:
    """How many values of rows that can be sent each step changed, and how many were *omitted*, by column and reason."""

    steps: dict[StepName, int] = field(default_factory=dict)
    omitted: dict[OmittedValue, int] = field(default_factory=dict)

    def count_changes(self, changes: Iterable[Change]) -> None:
        """Count the *changes* of one row."""
        for change in changes:
            if isinstance(change, StepChange):
                self.steps[change.step] = self.steps.get(change.step, 0) + 1
            else:
                self.omitted[change] = self.omitted.get(change, 0) + 1

    def add(self, other: "Repairs") -> None:
        """Add the counts of *other*."""
        for step, count in other.steps.items():
            self.steps[step] = self.steps.get(step, 0) + count
        for value, count in other.omitted.items():
            self.omitted[value] = self.omitted.get(value, 0) + count

    def copy(self) -> "Repairs":
        """Return the counts as they are now."""
        return Repairs(dict(self.steps), dict(self.omitted))

    def facts(self) -> Mapping[str, object]:
        """Return the counts for JSON, without a value of any row."""
        # The first version counted only two steps, the first of them by this name.
        named = {"trimmed" if step == "trim" else step: self.steps.get(step, 0) for step in STEPS}
        omitted = [
            {
                "column": each.column,
                "key": each.key,
                "code": each.reason.code,
                "reason": each.reason.phrase,
                "values": n,
            }
            for each, n in self.omitted.items()
        ]
        return {**named, "omitted": omitted}


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Cleans one value: first at its *ends*, after which it may be *empty*, then by the *others* of its steps.

    A text that is *left* after the first stays as it then is: a word for nothing, of which no step makes a value.
    """

    ends: tuple[tuple[StepName, Clean], ...]
    others: tuple[tuple[StepName, Clean], ...]
    empty: frozenset[str]
    left: Callable[[str], bool] | None = None

    def clean(self, value: object, changes: list[Change]) -> object:
        """Return *value* cleaned, or `MISSING` if it is empty; add to *changes* what each step made of it.

        Raises:
            Unreadable: a step can't read the value.
        """
        if type(value) is str and value in self.empty:
            return MISSING
        value = _applied(self.ends, value, changes)
        if type(value) is str and value in self.empty:
            return MISSING
        if self.left is not None and type(value) is str and self.left(value):
            return value
        return _applied(self.others, value, changes)


def cleaner_of(  # noqa: PLR0913 — the facts about a value: what is empty, its key, its items, and its sign
    rules: CleaningRules,
    *,
    empty: frozenset[str],
    hash_key: bytes,
    separator: str | None = None,
    signed: bool = False,
    left: Callable[[str], bool] | None = None,
) -> Cleaner:
    """Return the cleaner of a value by *rules*; *empty* are the texts that mean no value, *left* is as in `Cleaner`.

    With a *separator*, the value is an array, and each of its items is cleaned. *signed* is whether it is a number,
    whose sign may stand before a unit.
    """
    ends: list[tuple[StepName, Clean]] = []
    others: list[tuple[StepName, Clean]] = []
    if rules.trim:
        ends.append(("trim", _trimmed))
    if rules.strip:
        ends.append(("strip", _stripping(rules.strip, signed=signed)))
    if rules.case is not None:
        others.append(("case", _lowered if rules.case == "lower" else _uppered))
    if rules.values is not None:
        others.append(("values", _mapping(rules.values, rules.otherwise)))
    if rules.phone is not None:
        others.append(("phone", PHONE_READERS[rules.phone]))
    if rules.thousands is not None:
        others.append(("thousands", _ungrouping(rules.thousands, rules.decimal)))
    if rules.decimal is not None:
        others.append(("decimal", _with_point(rules.decimal)))
    if rules.hash is not None:
        others.append(("hash", _hashing(hash_key)))
    if separator is not None:
        ends = [(name, _each_item(clean, separator, may_be_text=True)) for name, clean in ends]
        others = [(name, _each_item(clean, separator, may_be_text=False)) for name, clean in others]
    return Cleaner(tuple(ends), tuple(others), empty, left)


def _applied(steps: Iterable[tuple[StepName, Clean]], value: object, changes: list[Change]) -> object:
    for name, clean in steps:
        after = clean(value)
        # A number that becomes the text of its digits is not changed.
        if after is not value and str(after) != str(value):
            changes.append(StepChange(name, value, after))
        value = after
    return value


def _trimmed(value: object) -> object:
    return without_ends(value) if isinstance(value, str) else value


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _uppered(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _stripping(texts: Iterable[str], *, signed: bool) -> Clean:
    """Return a step that removes *texts* at both ends, with the spaces between them and the value.

    A text is found in its full width, too. What is nothing else has no value: a consent is rejected for it, any other
    value is left out, and counted. A number with a fraction is read as a CSV has it, and stays a number where nothing
    is removed. *signed* is whether the value is a number: then `.0` is removed only where it is all of its fraction.
    """
    longest_first = sorted({spelling for text in texts for spelling in in_both_widths(text)}, key=len, reverse=True)

    def stripped(value: object) -> object:
        text = _digits(value) if isinstance(value, float) else value
        if not isinstance(text, str):
            return value
        before, after = "", text
        while before != after:
            before, after = after, _stripped_once(after, longest_first, signed=signed)
        if text and not after:
            raise Unreadable(_ONLY_UNITS, omits=True)
        return value if after == text else after

    return stripped


def _stripped_once(text: str, units: Sequence[str], *, signed: bool) -> str:
    """Return *text* without the first of *units* that stands at one of its ends."""
    for unit in units:
        if signed and unit == ".0" and _WHOLE_FLOAT.fullmatch(text) is None:
            continue
        if text.endswith(unit):
            return without_end(text[: -len(unit)])
        if text.startswith(unit):
            return without_start(text[len(unit) :])
        if signed and text[:1] in {"+", "-"} and text.startswith(unit, 1):
            return text[0] + without_start(text[1 + len(unit) :])
    return text


def _digits(number: float) -> str | None:
    """Return *number* as a CSV has it, such as `1001.0`; None if it may have lost digits of its whole part."""
    return str(number) if abs(number) < WHOLE_DOUBLES else None


def _mapping(values: Iterable[tuple[str, Json]], otherwise: Otherwise) -> Clean:
    """Return a step that replaces each word of *values*, in whatever form of Unicode its letters are composed."""
    known = dict(values)
    composed = {unicodedata.normalize("NFC", word): value for word, value in known.items()}
    reason = Reason("not_listed", f"not one of values ({_listed(list(known))})")

    def mapped(value: object) -> object:
        word = spelled(value)
        if word is not None:
            found = known.get(word, MISSING)
            if found is MISSING and not word.isascii():
                found = composed.get(unicodedata.normalize("NFC", word), MISSING)
            if found is not MISSING:
                return found
        if otherwise == "keep":
            return value
        raise Unreadable(reason, omits=otherwise == "omit")

    return mapped


def spelled(value: object) -> str | None:
    """Return *value* as a CSV has it; None for what has no such spelling."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | WrittenFloat():
            return str(value)
        case float():
            return repr(value)
        case date():
            return value.isoformat()
        case _:
            return None


def _listed(words: list[str]) -> str:
    shown = ", ".join(word if word.isprintable() else ascii(word)[1:-1] for word in words[:_LISTED])
    return shown if len(words) <= _LISTED else f"{shown} and {len(words) - _LISTED} more"


def _ungrouping(separator: str, decimal: str | None) -> Clean:
    """Return a step that removes *separator* where it parts groups of three digits."""
    point = decimal or "."
    fraction = "" if point == separator else rf"(?:{re.escape(point)}[0-9]*)?"
    # After a first group of 0, the separator is probably a decimal comma: 0,123 is not 123.
    grouped = re.compile(rf"[+-]?[1-9][0-9]{{0,2}}(?:{re.escape(separator)}[0-9]{{3}})+{fraction}")

    def ungrouped(value: object) -> object:
        if isinstance(value, str) and grouped.fullmatch(value) is not None:
            return value.replace(separator, "")
        return value

    return ungrouped


def _with_point(mark: str) -> Clean:
    """Return a step that makes the decimal *mark* a point; a text that has a point already is no such number."""
    other = Reason("not_double", f"not a number (decimal: {mark})")

    def with_point(value: object) -> object:
        if not isinstance(value, str):
            return value
        if "." in value:
            raise Unreadable(other)
        return value.replace(mark, ".")

    return with_point


def _hashing(key: bytes) -> Clean:
    """Return a step that makes the keyed hash of a value: HMAC with SHA-256 (RFC 2104), in hexadecimal digits."""

    def hashed(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Unreadable(_NOT_TEXT)
        try:
            return hmac.digest(key, str(value).encode(), "sha256").hex()
        except UnicodeEncodeError:
            raise Unreadable(_NOT_UNICODE) from None

    return hashed


def _each_item(clean: Clean, separator: str, *, may_be_text: bool) -> Clean:
    """Return a step that cleans each item of an array, which may be a text with a *separator* between the items.

    An item that *clean* omits is left out; the value is omitted where no item is left. With *may_be_text*, a text
    without a separator stays a text, since it may be empty.
    """

    def cleaned(value: object) -> object:
        items = value.split(separator) if isinstance(value, str) else value
        if not isinstance(items, list):
            return value
        found = []
        omitted: Unreadable | None = None
        for item in items:
            try:
                found.append(clean(item))
            except Unreadable as unreadable:
                if not unreadable.omits:
                    raise
                omitted = unreadable
        if omitted is not None and not found:
            raise omitted
        if found == items:
            return value
        return found[0] if may_be_text and isinstance(value, str) and len(found) == 1 else found

    return cleaned
