"""Find the constants of a mapping, and the values that a map of words sends, that the service would not store."""

from collections.abc import Iterator

from uploader.api import GENDERS
from uploader.config.error_messages import MisfitError
from uploader.config.secret_masking import is_short
from uploader.mapping.rules import PropertyRule
from uploader.mapping.type_conversion import kind_of, reader
from uploader.mapping.value_errors import Unreadable
from uploader.model import Json


def unstorable_values(rule: PropertyRule) -> Iterator[MisfitError]:
    """Yield the constant of *rule*, or each word of its `values`, if what is sent is not what the property can hold."""
    if rule.column is None:
        if (why := _why_not(rule, rule.value)) is not None:
            yield MisfitError(f" is {why}", "properties", rule.key, "value")
    # What a word becomes is a number only after the steps that follow.
    elif rule.cleaning.thousands is None and rule.cleaning.decimal is None:
        yield from _unstorable_words(rule)


def _unstorable_words(rule: PropertyRule) -> Iterator[MisfitError]:
    is_array = (kind_of(rule) or "").startswith("array<")
    for word, sent in rule.cleaning.values or ():
        why = None if sent is None else _why_not(rule, [sent] if is_array else sent)
        if why is not None:
            name = f"'{word}'" if is_short(word) else "one of the words"
            yield MisfitError(f": what {name} becomes is {why}", "properties", rule.key, "values")


def _why_not(rule: PropertyRule, value: Json) -> str | None:
    """Return what *value* is instead of a value of *rule*, and what to write."""
    try:
        read = reader(rule)(value)
    except Unreadable as unreadable:
        return f"{unreadable.reason.phrase}; write one of type {kind_of(rule)}"
    if rule.key == "df_gender" and read not in GENDERS:
        return f"no gender that the service has; write one of {', '.join(GENDERS)}"
    return None
