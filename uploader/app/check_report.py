"""Report what the check found in one source as plain data, for programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader.check.joined_identities import JoinedValue
from uploader.check.source_summary import CheckSummary
from uploader.rate import Pace
from uploader.run.drift_check import DriftComparison
from uploader.run.results import SourceResult
from uploader.source import Source


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the check has found in one source so far; *source* is None if it was not opened.

    *comparison* is None if there is no baseline to compare with.
    """

    result: SourceResult
    summary: CheckSummary
    pace: Pace
    source: Source | None = None
    comparison: DriftComparison | None = None
    identity_columns: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> Mapping[str, object]:
        """Return the report without values of rows; it has the key `error` if an error ended the check."""
        summary, source, rate = self.summary, self.source, self.pace.rate
        encoding = None if source is None or source.format == "parquet" else source.encoding
        facts = {
            "source": self.result.source,
            "format": None if source is None else source.format,
            "encoding": encoding,
            "retry_file": source is not None and source.is_retry,
            "read": summary.read,
            "sendable": summary.sendable,
            "rejected": summary.rejected,
            "changed": None if summary.changes is None else summary.to_send,
            "blank_lines": self.result.findings.blank_lines,
            "repairs": summary.repairs.facts(),
            "repeated_identities": summary.duplicates.count,
            "problems": summary.problems.facts(),
            "warnings": summary.warnings.facts(),
            "joined": [self._joined(joined) for joined in summary.joined],
            "guard": None if self.comparison is None else self.comparison.facts(),
            "requests_per_minute": round(rate * 60),
            "seconds": round(summary.to_send / rate, 1),
            "exit_status": self.result.exit_status,
        }
        ending = self.result.ending
        return facts if ending is None or ending.error is None else {**facts, "error": ending.error}

    def _joined(self, joined: JoinedValue) -> Mapping[str, object]:
        """Return what *joined* would do, without its value."""
        return {
            "field": joined.name,
            "column": self.identity_columns.get(joined.name),
            "beside": joined.beside,
            "people": joined.people,
            "more": joined.is_at_least,
            "rows": joined.rows,
            "first": [{"row": number, "line": line or None} for number, line in joined.places],
        }
