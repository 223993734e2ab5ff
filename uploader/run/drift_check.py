"""Hold each source against the last finished run of it, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from uploader.check.drift import Bounds, Difference, People, Totals, differences, sentence
from uploader.check.source_summary import Survey
from uploader.config import Settings
from uploader.errors import InputError
from uploader.run.fingerprints import reading_of
from uploader.state import PastTotals

_ADVICE = "Nothing was sent. If it is meant so, type `uploader run SOURCE... --accept`."


@dataclass(frozen=True, slots=True)
class Comparison:
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


def compared(name: str, key: str, survey: Survey, settings: Settings, past: PastTotals) -> Comparison | None:
    """Return how the source called *name*, whose runs are known by *key*, differs from the last one in *past*.

    None where it is not guarded, or nothing is known of an earlier run. Raises StorageError.
    """
    guard, census = settings.guarded, survey.census
    before = None if guard is None or census is None else past.last(key)
    if guard is None or census is None or before is None:
        return None
    bounds = Bounds(rows=guard.rows, empty=guard.empty, changed=guard.changed, consents=guard.consents)
    people = None
    # Another mapping makes other bodies of the same people: what is remembered of them is void.
    if survey.changed is not None and before.mapping == reading_of(settings):
        people = People(survey.known, survey.changed)
    return Comparison(name, before.finished, differences(before.totals, census.totals(), bounds, people))


def refuse_if_unlike(comparisons: Sequence[Comparison | None]) -> None:
    """Raise InputError, which tells all that differs, when some of *comparisons* found anything."""
    unlike = [str(comparison) for comparison in comparisons if comparison is not None and comparison.found]
    if unlike:
        raise InputError(f"{' '.join(unlike)} {_ADVICE}")


def to_keep(survey: Survey) -> Totals | None:
    """Return what the next run of a source is compared with; None where it is not guarded, or there is not one row.

    A file without rows says nothing of its columns: that it was accepted makes it no measure for the next.
    """
    return None if survey.census is None or not survey.read else survey.census.lasting()
