"""Check that a source has the columns that the mapping needs."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

from uploader.api import TIME_KEY
from uploader.errors import ConfigError, InputError
from uploader.mapping.rules import MappingRules, MomentRule, PropertyRule
from uploader.mapping.similar_names import alike_names, differences_of, exact
from uploader.model import OWN_COLUMNS, alike, is_mappable, looks_like_data

BINARY_TEXT: Final = "binary text"
"""The word for a column of bytes that are text in UTF-8: a program wrote texts, and did not mark them as such."""

_MOST_LISTED: Final = 50
_FAMILIAR: Final = 3
"""At least one in this many needed columns must be found; a first row of data may match a few by chance."""


def needed_columns(rules: MappingRules) -> dict[str, str]:
    """Return the columns that *rules* read, each with the first key that reads it."""
    needed: dict[str, str] = {}
    for name, column in rules.identity_columns.items():
        needed.setdefault(column, f"mapping.identity.{name}")
    for rule in rules.properties:
        if rule.column is not None:
            needed.setdefault(rule.column, f"mapping.properties.{rule.key}")
    if rules.request_datetime is not None:
        needed.setdefault(rules.request_datetime.column, "mapping.request_datetime")
    return needed


def within_structs(columns: Sequence[str], kinds: Mapping[str, str]) -> list[str]:
    """Return the paths in *kinds* that lead into structs of *columns*.

    A field with a dot in its own name is left out: each dot of a path is a step.
    """
    steps = {name: name.split(".") for name in kinds if name not in columns}
    return [
        name for name, parts in steps.items() if all(".".join(parts[:place]) in kinds for place in range(1, len(parts)))
    ]


def check_columns(needed: Mapping[str, str], found: Sequence[str], *, source: str, config: str) -> None:
    """Raise InputError if there are `missing_columns`."""
    fault = missing_columns(needed, found, source=source, config=config)
    if fault is not None:
        raise InputError(fault)


def missing_columns(needed: Mapping[str, str], found: Sequence[str], *, source: str, config: str) -> str | None:
    """Return which columns of *needed* are spelled otherwise, or not *found*, and what to change; None if all are."""
    missing = [column for column in needed if column not in found]
    if not missing:
        return None
    near = _other_spellings(missing, needed, found)
    others = [column for column in missing if column not in near]
    if not near:
        return f"{source} has {_unlike(others, needed, found, config)}"
    facts = "; nor ".join(
        f"'{column}', but {exact(name)} (other {differences_of(column, name)})" for column, name in near.items()
    )
    advice = ", ".join(f"{exact(name)} at {needed[column]}" for column, name in near.items())
    spelled = f"{source} has no column {facts}. Write {advice} in {config}."
    return f"{spelled} It has {_unlike(others, needed, found, config)}" if others else spelled


def _unlike(missing: Sequence[str], needed: Mapping[str, str], found: Sequence[str], config: str) -> str:
    """Return the words for the *missing* columns, to which none of *found* is alike, and what to change."""
    shown = [name for name in found if name not in OWN_COLUMNS and is_mappable(name)]
    keys = _listed([needed[column] for column in missing])
    names = [f"'{column}'" for column in missing]
    what = f"no column{'s' if len(missing) > 1 else ''} {_listed(names)}"
    if not needed.keys() & set(shown) and len(missing) == len(needed):
        # Without a header, these "names" may be a person's data: they are not shown.
        return (
            f"no column '{missing[0]}', nor any other that the mapping names. Is its first line a header, "
            f"and is source.delimiter right? Otherwise change {needed[missing[0]]} in {config}."
        )
    if _may_be_a_row(len(needed) - len(missing), needed, shown):
        return (
            f"{what}. What it has is not shown, since some of that looks like data rather than like names. "
            f"Is its first line a header? Otherwise change {keys} in {config}."
        )
    near = {column: names[0] for column in missing if (names := difflib.get_close_matches(column, shown, n=1))}
    hints = [f"'{name}'" if len(missing) == 1 else f"'{name}' for '{column}'" for column, name in near.items()]
    hint = f" Did you mean {', '.join(hints)}?" if hints else ""
    return f"{what} (it has: {_listed(shown)}).{hint} Change {keys} in {config}."


def _other_spellings(missing: Sequence[str], needed: Mapping[str, str], found: Sequence[str]) -> dict[str, str]:
    """Return those of *missing* that are *found* only in another case, Unicode form, or with other spaces."""
    others = (name for name in found if name not in OWN_COLUMNS and name not in needed and is_mappable(name))
    names = {alike(name): name for name in others}
    return {column: name for column in missing if (name := alike_names(column, names)) is not None}


def _may_be_a_row(known: int, needed: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether *names* may be a person's data: too few needed columns are *known*, or a name looks like data."""
    return _FAMILIAR * known < len(needed) or any(looks_like_data(name) for name in names if name not in needed)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LISTED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_MOST_LISTED])} and {more:,} more"


def refuse_binary_texts(needed: Mapping[str, str], kinds: Mapping[str, str], *, source: str) -> None:
    """Raise InputError if a typed column (Parquet) of *needed* holds texts, and is of the type of bytes."""
    for column, key in needed.items():
        if kinds.get(column) == BINARY_TEXT:
            raise InputError(
                f"{source}: column '{column}' ({key}) is Binary, and holds text in UTF-8. Write it as text, "
                "for example by CAST(… AS STRING) in Spark or BigQuery, by .cast(pl.String) in polars."
            )


def check_kinds(properties: Sequence[PropertyRule], moment: MomentRule | None, kinds: Mapping[str, str]) -> None:
    """Raise ConfigError if a typed column (Parquet) would be read differently from its retry file."""
    for rule in properties:
        if kinds.get(rule.column or "") == "naive datetime" and rule.kind is None:
            raise ConfigError(
                f"mapping.properties.{rule.key}: column '{rule.column}' holds times without a zone. "
                f"Write {{column: {rule.column}, type: datetime, timezone: Asia/Seoul}}."
            )
    formats = [(f"properties.{rule.key}", rule.column or "", rule.times.formats) for rule in properties]
    if moment is not None:
        formats.append((TIME_KEY, moment.column, moment.formats))
    for key, column, given in formats:
        if given and kinds.get(column) in {"date", "datetime", "naive datetime"}:
            raise ConfigError(f"mapping.{key}.format: column '{column}' holds dates, not text. Remove `format`.")
