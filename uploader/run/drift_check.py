"""Compare each source with its last finished run, before anything is sent."""

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
    """How the source *name* differs from its last run, which *finished* then; *found* is empty if it does not differ.

    A retry file, the first rows of a file, and a source without an earlier run are not compared.
    """

    name: str
    finished: str
    found: Sequence[Difference]

    def __str__(self) -> str:
        """Return the differences in one sentence."""
        return sentence(self.name, self.finished, list(self.found))

    def facts(self) -> Mapping[str, object]:
        """Return the comparison as plain data."""
        return {"last_finished": self.finished, "differences": [asdict(difference) for difference in self.found]}


def compare_with_baseline(
    name: str, key: str, summary: CheckSummary, settings: Settings, baselines: BaselineStore
) -> DriftComparison | None:
    """Return how the source *name*, whose runs have the *key*, differs from its last one in *baselines*.

    None where it is not guarded, or has no baseline. Raises StorageError.
    """
    guard, column_profile = settings.guard, summary.column_profile
    baseline = None if guard is None or column_profile is None else baselines.last(key)
    if guard is None or column_profile is None or baseline is None:
        return None
    bounds = DriftBounds(rows=guard.rows, empty=guard.empty, changed=guard.changed, consents=guard.consents)
    people = None
    # Another mapping makes other bodies of the same people: what is stored of them can't be compared.
    if summary.changes is not None and baseline.mapping == reading_of(settings):
        people = PeopleChanged(summary.changes.known, summary.changes.changed)
    return DriftComparison(
        name, baseline.finished, differences(baseline.totals, column_profile.totals(), bounds, people)
    )


def nothing_to_compare_with(name: str, job: str) -> str:
    """Return the line that says that the source *name* has no earlier run to compare with, nor has its *job*."""
    if job:
        return f"{name}: nothing to compare with: no run of the job {job} has finished before."
    return (
        f"{name}: nothing to compare with: no run of a file of this name has finished before. "
        "If its name changes every night, set source.name."
    )


def refuse_drift(comparisons: Sequence[DriftComparison | None]) -> None:
    """Raise InputError, which names all differences, when some of *comparisons* found any."""
    drifted = [str(comparison) for comparison in comparisons if comparison is not None and comparison.found]
    if drifted:
        raise InputError(f"{' '.join(drifted)} {_ADVICE}")


def baseline_totals(summary: CheckSummary) -> FileTotals | None:
    """Return what the next run of a source is compared with; None where it is not guarded, or has no rows.

    A file without rows says nothing of its columns: even if it was accepted, it is no baseline for the next run.
    """
    return None if summary.column_profile is None or not summary.read else summary.column_profile.for_baseline()
