"""Say what the check found of one source as plain data, for programs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from uploader.check.source_summary import Survey
from uploader.counts import Problems
from uploader.rate import Pace
from uploader.run.drift_check import Comparison
from uploader.run.results import Account
from uploader.source import Source


@dataclass(slots=True)
class Finding:
    """What the check found of one source, as far as it came; *source* is None until it is opened.

    *comparison* is None where nothing is there to compare it with.
    """

    account: Account
    survey: Survey
    pace: Pace
    source: Source | None = None
    comparison: Comparison | None = None

    def facts(self) -> Mapping[str, object]:
        """Return what was found, without a value of any row; `error` is there where the check was ended by one."""
        survey, source, rate = self.survey, self.source, self.pace.rate
        encoding = None if source is None or source.format == "parquet" else source.encoding
        facts = {
            "source": self.account.source,
            "format": None if source is None else source.format,
            "encoding": encoding,
            "retry_file": source is not None and source.is_retry,
            "read": survey.read,
            "sendable": survey.sendable,
            "rejected": survey.rejected,
            "changed": None if survey.changed is None else survey.to_send,
            "blank_lines": self.account.blank_lines,
            "repairs": asdict(survey.repairs),
            "repeated_identities": survey.repeated,
            "problems": _listed(survey.problems),
            "warnings": _listed(survey.warnings),
            "guard": None if self.comparison is None else self.comparison.facts(),
            "requests_per_minute": round(rate * 60),
            "seconds": round(survey.to_send / rate, 1),
            "exit_status": self.account.exit_status,
        }
        return facts if self.account.error is None else {**facts, "error": self.account.error}


def _listed(problems: Problems) -> list[Mapping[str, object]]:
    return [
        {
            "code": reason.code,
            "reason": reason.phrase,
            "rows": problem.count,
            "first": [{"row": number, "line": line or None} for number, line in problem.places],
        }
        for reason, problem in problems.most_frequent()
    ]
