"""Check that a source has the columns that the mapping needs."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

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
    """Raise InputError for the columns of *needed* that are spelled otherwise, or for the first that is not *found*."""
    _refuse_other_spellings(needed, found, source, config)
    for column, key in needed.items():
        if column in found:
            continue
        shown = [name for name in found if name not in OWN_COLUMNS and is_mappable(name)]
        if not needed.keys() & set(shown):
            # Without a header, these "names" may be a person's data: they are not shown.
            raise InputError(
                f"{source} has no column '{column}', nor any other that the mapping names. Is its first line a "
                f"header, and is source.delimiter right? Otherwise change {key} in {config}."
            )
        if _may_be_a_row(needed, shown):
            raise InputError(
                f"{source} has no column '{column}'. What it has is not shown, since some of that looks like data "
                f"rather than like names. Is its first line a header? Otherwise change {key} in {config}."
            )
        near = difflib.get_close_matches(column, shown, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise InputError(
            f"{source} has no column '{column}' (it has: {_listed(shown)}).{hint} Change {key} in {config}."
        )


def _refuse_other_spellings(needed: Mapping[str, str], found: Sequence[str], source: str, config: str) -> None:
    """Raise InputError where a name is *found* only in another case, Unicode form, or with other spaces."""
    missing = [column for column in needed if column not in found]
    others = (name for name in found if name not in OWN_COLUMNS and name not in needed and is_mappable(name))
    names = {alike(name): name for name in others} if missing else {}
    near = {column: name for column in missing if (name := alike_names(column, names)) is not None}
    if near:
        facts = "; nor ".join(
            f"'{column}', but {exact(name)} (other {differences_of(column, name)})" for column, name in near.items()
        )
        advice = ", ".join(f"{exact(name)} at {needed[column]}" for column, name in near.items())
        raise InputError(f"{source} has no column {facts}. Write {advice} in {config}.")


def _may_be_a_row(needed: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether *names* may be a person's data: too few needed columns are among them, or one looks like data."""
    found = sum(column in names for column in needed)
    return _FAMILIAR * found < len(needed) or any(looks_like_data(name) for name in names if name not in needed)


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
    formats = [(f"properties.{rule.key}", rule.column or "", rule.formats) for rule in properties]
    if moment is not None:
        formats.append(("request_datetime", moment.column, moment.formats))
    for key, column, given in formats:
        if given and kinds.get(column) in {"date", "datetime", "naive datetime"}:
            raise ConfigError(f"mapping.{key}.format: column '{column}' holds dates, not text. Remove `format`.")
