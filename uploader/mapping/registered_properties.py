"""Find what the service would drop in silence: properties that are not registered, or of another type."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, get_args

from uploader.api import BUILT_IN_TYPES, PropertyType
from uploader.mapping.field_paths import is_path, root_of
from uploader.mapping.required_columns import needed_columns
from uploader.mapping.rules import MappingRules, PropertyRule
from uploader.model import OWN_COLUMNS, column_in_words

_TYPES: Final = frozenset(get_args(PropertyType))

_TEXTS: Final = frozenset({"string", "date", "datetime"})
"""The types that are strings in JSON: only its values show whether a text is a date."""


def unregistered(  # noqa: PLR0913 — the facts about a source: its columns, their kinds, and the short form's
    rules: MappingRules,
    registered: Mapping[str, PropertyType],
    *,
    columns: Sequence[str],
    kinds: Mapping[str, str],
    short_form: PropertyType | None,
    config: str,
) -> str | None:
    """Return which properties of *rules* are not among *registered*, or are sent as another type; None if none are.

    *columns* and their *kinds* are those of the source (none where each record brings its own keys). *short_form* is
    the type that a property without a declared one has (None: that of each value).
    """
    known = {**registered, **BUILT_IN_TYPES}
    faults = [*_faults(rules, known, kinds, short_form)]
    if rules.other_columns == "send":
        faults += [
            f"{column_in_words(column, ())} (other_columns: send) is not registered{_near(column, known)}"
            for column in unregistered_columns(rules, registered, columns)
        ]
    if not faults:
        return None
    return (
        f"{config}: the service would accept and not store what is not registered as it is sent: "
        f"{'; '.join(faults)}. Correct the mapping, or registered where the console shows something else. "
        "Nothing was sent."
    )


def unregistered_columns(
    rules: MappingRules, registered: Mapping[str, PropertyType], columns: Sequence[str]
) -> list[str]:
    """Return those of *columns* that `other_columns: send` would send under a name that is not *registered*."""
    needed = needed_columns(rules)
    unsent = OWN_COLUMNS | needed.keys() | {root_of(column) for column in needed if is_path(column)}
    return [name for name in columns if name not in unsent | registered.keys() | BUILT_IN_TYPES.keys()]


def _faults(
    rules: MappingRules, known: Mapping[str, PropertyType], kinds: Mapping[str, str], short_form: PropertyType | None
) -> Iterator[str]:
    for rule in rules.properties:
        wanted, sent = known.get(rule.key), _sent_as(rule, kinds, short_form)
        if wanted is None:
            yield f"mapping.properties.{rule.key} is not registered{_near(rule.key, known)}"
        elif sent is not None and sent != wanted and not _may_be(sent, wanted):
            yield f"mapping.properties.{rule.key} is sent as {sent}, and registered as {wanted}"


def _sent_as(rule: PropertyRule, kinds: Mapping[str, str], short_form: PropertyType | None) -> str | None:
    """Return the type that the values of *rule* have in the body; None where only each value shows it."""
    if rule.kind is not None:
        return rule.kind
    if rule.column is None:
        return "string"
    kind = kinds.get(rule.column)
    return short_form if kind is None else kind if kind in _TYPES else None


def _may_be(sent: str, wanted: str) -> bool:
    """Whether a value *sent* as one type may be stored as the *wanted* one."""
    return {sent, wanted} <= _TEXTS and "string" in {sent, wanted}


def _near(name: str, known: Mapping[str, PropertyType]) -> str:
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]}?)" if close else ""
