"""Guess how a column that may be a consent is read, and what a human has to look at.

A refusal never becomes a consent, and is never lost in silence: what can't be read rejects its row.
"""

from dataclasses import replace
from typing import Final

from uploader.inference.boolean_words import found_in_consent, is_neutral, lists_of_consent, meaning_in_consent
from uploader.inference.column_profile import FRACTION, TEXT, TRUTH, WHOLE, Column
from uploader.inference.consent_names import ConsentName
from uploader.inference.occurrences import Occurrences
from uploader.inference.reviews import Harm, Review
from uploader.mapping.rules import CleaningRules, PropertyRule

_ANSWERS: Final = frozenset({TEXT, WHOLE, FRACTION, TRUTH})
_USUAL: Final = ("y", "n")
_EXAMPLE: Final = "df_sms_ads_optin"


def consent_rule(column: Column, key: str) -> PropertyRule:
    """Return how *column* is read as the consent *key*: it never has words for nothing."""
    words = _known_words(column)
    cleaning = CleaningRules(trim=column.texts.trimmed.count > 0)
    rule = PropertyRule(key, column.name, cleaning=cleaning)
    if FRACTION in column.types.held:
        # A number such as 1.0 is no word of a list.
        found = {**dict.fromkeys(words), **dict.fromkeys(("true", "false") if TRUTH in column.types.held else ())}
        values = tuple((word, meaning_in_consent(word)) for word in found)
        return replace(rule, cleaning=replace(cleaning, values=values)) if values else rule
    lists = lists_of_consent(words)
    return rule if lists.is_default else replace(rule, kind="boolean", true=lists.true, false=lists.false)


def unread_consents(column: Column) -> Occurrences:
    """Return the values of *column* that are not valid for a consent: unknown words, words for nothing, and nulls."""
    unknown = column.words.unknown(_is_known)
    others = [*column.gaps.words.values(), column.gaps.nulls]
    rows = sorted({*unknown.rows, *(row for occurrences in others for row in occurrences.rows)})
    return Occurrences(unknown.count + sum(occurrences.count for occurrences in others), rows[:3])


def are_answers(column: Column) -> bool:
    """Whether all values of *column* are words for yes and no, or for nothing."""
    return column.filled > 0 and column.types.held <= _ANSWERS and not column.words.unknown(_is_known).count


def can_answer(column: Column) -> bool:
    """Whether some value of *column* is of a type that can say yes or no, as a date can't."""
    return bool(column.types.held & _ANSWERS)


def mostly_answers(column: Column) -> bool:
    """Whether at least half of the values of *column*, but for words for nothing, are yes or no."""
    return can_answer(column) and 2 * column.words.unknown(_is_known).count <= column.filled


def review_of_unread(column: Column, rule: PropertyRule, unread: Occurrences) -> Review:
    """Return the review of the values *unread* of the consent that *rule* reads from *column*."""
    is_one = unread.count == 1
    text = (
        f"{unread.count:,} {'value is' if is_one else 'values are'} not true or false{_kinds_of(column, unread)}, "
        f"which rejects {'its row' if is_one else 'their rows'}: {unread.places}"
    )
    nothing = (*column.gaps.words, *(word for word in column.stand_ins.said_nothing if not _is_known(word)))
    spelled = column.gaps.words | column.stand_ins.said_nothing
    unknown = unread.count - column.gaps.nulls.count - sum(spelled[word].count for word in nothing)
    advice = ["a consent can't be null, but its key may be missing"] if column.gaps.nulls.count else []
    advice += ["add the unknown words to true or false"] if unknown else []
    advice += ["if the words for nothing mean no, add them to false"] if nothing else []
    instead = _with_false(column, rule, nothing) if unknown or nothing else None
    return Review(Harm.CONSENT, "; ".join([text, *advice]), instead)


def review_of_name(column: Column, meant: ConsentName) -> Review:
    """Return the review of *column*, which its name *meant* keeps from being mapped."""
    key = meant.likely or (_EXAMPLE if meant.is_unnamed else None)
    if key is None:
        why = f"{meant.trouble}; the service has no consent for it" if meant.is_refusal else meant.trouble
        return Review(Harm.CONSENT, why)
    such = ", for each kind of message, a line such as" if meant.is_unnamed else ""
    if meant.is_refusal:
        instead = _reversed(column, key)
        return Review(
            Harm.CONSENT, meant.trouble + (f"; if all others agreed, write{such}" if instead else ""), instead
        )
    return Review(Harm.CONSENT, f"{meant.trouble}; if it is one, write{such}", consent_rule(column, key))


def _is_known(word: str) -> bool:
    return meaning_in_consent(word) is not None


def _known_words(column: Column) -> list[str]:
    return [word for word in column.words.short if _is_known(word)]


def _kinds_of(column: Column, unread: Occurrences) -> str:
    """Return the kinds of the values *unread* in brackets, without a value that may be personal."""
    said = [occurrences for word, occurrences in column.stand_ins.said_nothing.items() if not _is_known(word)]
    nothing = sum(occurrences.count for occurrences in (*column.gaps.words.values(), *said))
    nulls = column.gaps.nulls.count
    counts = (("words for nothing", nothing), ("null", nulls), ("unknown", unread.count - nothing - nulls))
    found = [f"{count:,} {kind}" for kind, count in counts if count]
    return f" ({', '.join(found)})" if nothing or nulls else ""


def _with_false(column: Column, rule: PropertyRule, nothing: tuple[str, ...]) -> PropertyRule:
    """Return *rule* with the words for *nothing* as no."""
    if rule.cleaning.values is not None:
        values = (*rule.cleaning.values, *((word, False) for word in nothing))
        return replace(rule, cleaning=replace(rule.cleaning, values=values))
    lists = found_in_consent(_known_words(column) or _USUAL)
    return replace(rule, kind="boolean", true=lists.true, false=(*lists.false, *nothing))


def _reversed(column: Column, key: str) -> PropertyRule | None:
    """Return how the refusals of *column* are read as the consent *key*; None where its words may be no refusals."""
    words = _known_words(column)
    if not all(map(is_neutral, words)):
        return None
    rule = PropertyRule(key, column.name, cleaning=CleaningRules(trim=column.texts.trimmed.count > 0))
    if column.types.held & {TRUTH, FRACTION}:
        found = (*words, *(("true", "false") if TRUTH in column.types.held else ()))
        values = tuple((word, not meaning_in_consent(word)) for word in found)
        return replace(rule, cleaning=replace(rule.cleaning, values=values))
    lists = found_in_consent(words or _USUAL)
    return replace(rule, kind="boolean", true=lists.false, false=lists.true)
