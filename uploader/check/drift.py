"""Compare the totals of a file with the baseline, and name what differs too much."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from uploader.model import looks_like_data

_OFF = 1.0
"""A bound of 100% is no bound (`guard.rows: 100%`): a file may grow to three times its size."""


@dataclass(frozen=True, slots=True)
class FileTotals:
    """The totals of one file.

    Of its *rows*, *damaged* can't be split into fields and *sendable* can be sent. *columns* holds for each column in
    how many undamaged rows it is empty, *consents* for each consent in how many sendable rows it is true.
    """

    rows: int
    damaged: int
    sendable: int
    columns: Mapping[str, int]
    consents: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The totals of an earlier file, the time when its run *finished* (ISO 8601), and the digest of its *mapping*."""

    finished: str
    mapping: str
    totals: FileTotals


@dataclass(frozen=True, slots=True)
class DriftBounds:
    """How far a file may differ, as parts of 1; 1 is no bound.

    *rows* bounds the change of their number, up or down. *empty* bounds the rise of a column's share of empty cells,
    *consents* the rise of a consent's share of true. *changed* bounds the share of the known people that changed.
    """

    rows: float
    empty: float
    changed: float
    consents: float


@dataclass(frozen=True, slots=True)
class PeopleChanged:
    """How many people of the file are *known* from earlier runs, and how many of these *changed*."""

    known: int
    changed: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs too much: a *code* for programs, a *phrase* with both figures for people."""

    code: str
    phrase: str


def differences(
    before: FileTotals, now: FileTotals, bounds: DriftBounds, people: PeopleChanged | None = None
) -> list[Difference]:
    """Return what differs by more than *bounds* between two files; *people* is None if they can't be compared.

    For a file without rows, only the number of rows is compared.
    """
    found = [*_rows(before, now, bounds.rows)]
    if now.rows:
        found += _columns(before, now, bounds.empty)
        found += _consents(before, now, bounds.consents)
        found += _people(people, bounds.changed)
    return found


def sentence(name: str, finished: str, found: list[Difference]) -> str:
    """Return a sentence on how the file *name* differs from that of the last run, which *finished* then."""
    phrases = "; ".join(difference.phrase for difference in found)
    return f"{name} differs too much from the last finished run ({finished[:10]}): {phrases}."


def _rows(before: FileTotals, now: FileTotals, bound: float) -> Iterator[Difference]:
    if before.rows and bound < _OFF:
        change = (now.rows - before.rows) / before.rows
        if _exceeds(abs(change), bound):
            phrase = f"{now.rows:,} rows instead of {before.rows:,} ({change:+.1%}, guard.rows {_percent(bound)})"
            yield Difference("rows", phrase)


def _columns(before: FileTotals, now: FileTotals, bound: float) -> Iterator[Difference]:
    if bound >= _OFF:
        return
    split_before, split_now = before.rows - before.damaged, now.rows - now.damaged
    if not split_before or not split_now:
        return
    for name, empty_before in before.columns.items():
        empty = now.columns.get(name)
        if empty is None:
            # A path into an object is counted only while the mapping reads it: it may still be there.
            # A name that looks like data was stored by an earlier version of this program.
            if name.partition(".")[0] not in now.columns and not looks_like_data(name):
                yield Difference("column", f"column '{name}' is gone (guard.empty {_percent(bound)})")
            continue
        share_before, share = empty_before / split_before, empty / split_now
        if _exceeds(share - share_before, bound):
            phrase = f"column '{name}' empty in {share:.1%} of rows instead of {share_before:.1%}"
            yield Difference("empty", f"{phrase} (guard.empty {_percent(bound)})")


def _consents(before: FileTotals, now: FileTotals, bound: float) -> Iterator[Difference]:
    if not before.sendable or not now.sendable:
        return
    for name, true in now.consents.items():
        share_before, share = before.consents.get(name, 0) / before.sendable, true / now.sendable
        if _exceeds(share - share_before, bound):
            phrase = f"consent {name} true in {share:.1%} of rows instead of {share_before:.1%}"
            yield Difference("consent", f"{phrase} (guard.consents {_percent(bound)})")


def _people(people: PeopleChanged | None, bound: float) -> Iterator[Difference]:
    if people is None or not people.known:
        return
    share = people.changed / people.known
    if _exceeds(share, bound):
        phrase = f"{people.changed:,} of {people.known:,} known people changed ({share:.1%}, guard.changed "
        yield Difference("changed", f"{phrase}{_percent(bound)})")


def _exceeds(share: float, bound: float) -> bool:
    # Floats are not exact: 0.22 - 0.02 is slightly more than 0.2.
    return round(share - bound, 9) > 0


def _percent(bound: float) -> str:
    return f"{bound * 100:.6g}%"
