"""Let a run succeed that leaves no more rows than the configuration tolerates, and none with a consent."""

from collections.abc import Mapping
from dataclasses import replace

from uploader.api import CONSENTS
from uploader.config import Settings
from uploader.mapping.field_paths import MISSING, reaching
from uploader.mapping.rules import MappingRules
from uploader.mapping.value_errors import Unreadable
from uploader.model import RAW_COLUMN, Damaged
from uploader.run.environment import Environment
from uploader.run.preflight import opened
from uploader.run.results import FINISHED, SOME_LEFT, SourceResult


def tolerated(result: SourceResult, settings: Settings, environment: Environment) -> SourceResult:
    """Return the finished *result*, as succeeded where `limits.tolerate` allows the rows that it leaves.

    Rows with a consent are never tolerated. They are counted in its retry file, which also has those of the runs that
    it has resumed.

    Raises:
        UploaderError: the retry file can't be read.
    """
    counts, ending = result.counts, result.ending
    if ending is None or ending.exit_status != SOME_LEFT or result.retry_file is None:
        return result
    if not settings.limits.tolerate.allows(counts.not_accepted, read=counts.read):
        return result
    consents = _rows_with_consent(str(result.retry_file), settings, environment)
    status = SOME_LEFT if consents else FINISHED
    return replace(result, ending=replace(ending, exit_status=status, consents_left=consents))


def _rows_with_consent(retry_file: str, settings: Settings, environment: Environment) -> int:
    """Return how many rejected or failed rows in *retry_file* have a consent, or may have one."""
    rules = settings.rules()
    with opened(retry_file, settings, environment) as source, source.read() as reading:
        return sum(
            isinstance(record, Damaged) or (not _was_accepted(record.fields) and _has_consent(record.fields, rules))
            for record in reading
        )


def _was_accepted(fields: Mapping[str, object]) -> bool:
    return fields.get("_kind") == "again"


def _has_consent(fields: Mapping[str, object], rules: MappingRules) -> bool:
    """Whether a row with *fields* gives or takes back a consent, readable or not."""
    if fields.get(RAW_COLUMN):
        # Nobody knows what is in a record that can't be split.
        return True
    columns = [rule.column for rule in rules.properties if rule.key in CONSENTS]
    if rules.other_columns == "send":
        columns += CONSENTS
    return any(column is None or _has_value(column, fields, rules) for column in columns)


def _has_value(column: str, fields: Mapping[str, object], rules: MappingRules) -> bool:
    try:
        value = reaching(column)(fields)
    except Unreadable:
        return True
    # A null in a retry file is one of JSON lines, which rejects its row: an empty cell of Parquet has no key there.
    return value is not MISSING and value not in rules.null_values
