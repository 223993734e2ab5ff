"""Hold each source against the last finished run of it, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from uploader.check.drift import Difference, DriftBounds, FileTotals, PeopleChanged, differences, sentence
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings
from uploader.errors import InputError
from uploader.run.fingerprints import reading_of
from uploader.state import BaselineStore

_ADVICE = "Nothing was sent. If it is meant so, type `uploader run SOURCE... --accept`."


@dataclass(frozen=True, slots=True)
class DriftComparison:
    """How the source called *name* differs from that of the run that *finished* then: in nothing, if *found* is empty.

    A retry file, the first rows of a file and what has no run before it are compared with nothing.
    """

    name: str
    finished: str
    found: Sequence[Difference]

    def __str__(self) -> str:
        """Return it in one sentence for people."""
        return sentence(self.name, self.finished, list(self.found))

    def facts(self) -> Mapping[str, object]:
        """Return it as plain data."""
        return {"last_finished": self.finished, "differences": [asdict(difference) for difference in self.found]}


def compare_with_baseline(
    name: str, key: str, summary: CheckSummary, settings: Settings, baselines: BaselineStore
) -> DriftComparison | None:
    """Return how the source called *name*, whose runs are known by *key*, differs from the last one in *baselines*.

    None where it is not guarded, or nothing is known of an earlier run. Raises StorageError.
    """
    guard, column_profile = settings.guarded, summary.column_profile
    baseline = None if guard is None or column_profile is None else baselines.last(key)
    if guard is None or column_profile is None or baseline is None:
        return None
    bounds = DriftBounds(rows=guard.rows, empty=guard.empty, changed=guard.changed, consents=guard.consents)
    people = None
    # Another mapping makes other bodies of the same people: what is remembered of them is void.
    if summary.changed is not None and baseline.mapping == reading_of(settings):
        people = PeopleChanged(summary.known, summary.changed)
    return DriftComparison(
        name, baseline.finished, differences(baseline.totals, column_profile.totals(), bounds, people)
    )


def refuse_drift(comparisons: Sequence[DriftComparison | None]) -> None:
    """Raise InputError, which tells all that differs, when some of *comparisons* found anything."""
    drifted = [str(comparison) for comparison in comparisons if comparison is not None and comparison.found]
    if drifted:
        raise InputError(f"{' '.join(drifted)} {_ADVICE}")


def baseline_totals(summary: CheckSummary) -> FileTotals | None:
    """Return what the next run of a source is compared with; None where it is not guarded, or there is not one row.

    A file without rows says nothing of its columns: that it was accepted makes it no measure for the next.
    """
    return None if summary.column_profile is None or not summary.read else summary.column_profile.for_baseline()
