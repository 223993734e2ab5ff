"""Collect the values that the check and the service found wrong, for a user who asked to see them (--show-values)."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from uploader.counts import Problem
from uploader.model import Reason, Record
from uploader.outputs.shown_values import phrase_with_values

ShownValues: TypeAlias = Callable[[Reason], Sequence[tuple[str, Problem]]]
"""Returns the phrases of a reason with the values that rows of one source have, each with these rows."""

_MOST_KEPT: Final = 1_000
"""At most this many different values are kept for one reason."""

_MOST_SHOWN: Final = 5
"""At most this many of them are printed, the most frequent first."""


class FoundValues:
    """The values that rows have where something else was expected, by the source's name and the reason.

    They are held in memory only, and printed only by the command that collected them.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._found: dict[tuple[str, Reason], dict[str, Problem]] = {}

    def add(self, source: str, record: Record, reason: Reason, message: str) -> None:
        """Add what *reason* is about in *record*, a row of *source*, and the *message* of the service on it."""
        phrase = phrase_with_values(record, reason, message)
        if phrase == reason.phrase:
            return
        of_reason = self._found.setdefault((source, reason), {})
        if phrase in of_reason or len(of_reason) < _MOST_KEPT:
            of_reason.setdefault(phrase, Problem()).add(record.number, record.line)

    def in_source(self, source: str) -> ShownValues:
        """Return what gives the most frequent values of each reason in *source*."""

        def of(reason: Reason) -> Sequence[tuple[str, Problem]]:
            found = self._found.get((source, reason), {})
            return sorted(found.items(), key=lambda item: -item[1].count)[:_MOST_SHOWN]

        return of


def no_values(_: Reason) -> Sequence[tuple[str, Problem]]:
    """Return no value: nobody asked for them."""
    return ()
