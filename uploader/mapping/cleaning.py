"""Repair the values that the mapping asks to have repaired, and count them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from uploader.mapping.field_paths import Take
from uploader.mapping.rules import PropertyRule
from uploader.mapping.type_conversion import Reader
from uploader.model import Json


@dataclass(slots=True)
class Repairs:
    """How many values were repaired in rows that can be sent: *trimmed*, or stripped of *thousands* separators."""

    trimmed: int = 0
    thousands: int = 0


def trimming(take: Take, rule: PropertyRule, repairs: Repairs) -> Take:
    """Return a `Take` that trims what *take* finds; of an array, as *rule* declares it, each item is trimmed."""
    is_array = rule.kind is not None and rule.kind.startswith("array<")
    trim = _items_trimmer(rule.separator) if is_array else _trimmed

    def take_trimmed(fields: Mapping[str, object]) -> object:
        value = take(fields)
        trimmed = trim(value)
        if trimmed is None:
            return value
        repairs.trimmed += 1
        return trimmed

    return take_trimmed


def ungrouping(read: Reader, rule: PropertyRule, repairs: Repairs) -> Reader:
    """Return a `Reader` that removes the thousands separators of *rule* before *read*, where they part three digits."""
    separator = rule.thousands or ""
    fraction = r"(?:\.[0-9]*)?" if rule.kind == "double" else ""
    # After a first group of 0, the separator is probably a decimal comma: 0,123 is not 123.
    grouped = re.compile(rf"[+-]?[1-9][0-9]{{0,2}}(?:{re.escape(separator)}[0-9]{{3}})+{fraction}")

    def read_ungrouped(value: object) -> Json:
        if not isinstance(value, str) or grouped.fullmatch(value) is None:
            return read(value)
        found = read(value.replace(separator, ""))
        repairs.thousands += 1
        return found

    return read_ungrouped


def _trimmed(value: object) -> object | None:
    """Return the text *value* trimmed; None where there is nothing to trim."""
    if isinstance(value, str):
        trimmed = value.strip()
        return None if trimmed == value else trimmed
    return None


def _items_trimmer(separator: str) -> Callable[[object], object | None]:
    def trimmed(value: object) -> object | None:
        items = value.split(separator) if isinstance(value, str) else value
        if not isinstance(items, list):
            return None
        found = [item.strip() if isinstance(item, str) else item for item in items]
        if found == items:
            return None
        # A text without a separator stays a text: it may be empty.
        return found[0] if isinstance(value, str) and len(found) == 1 else found

    return trimmed
