"""Define what records the outcome of each row, one recorder after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from uploader.model import Outcome, RetryKind, Unsettled

Record: TypeAlias = Callable[[Outcome | Unsettled], None]
RecordResent: TypeAlias = Callable[[Outcome, RetryKind], None]


@dataclass(frozen=True, slots=True)
class Recorder:
    """What one recorder does with the outcome of a row, and with that of a row that must be sent again.

    The kind says why it must be sent again. None does nothing.
    """

    usual: Record | None
    resent: RecordResent | None

    @classmethod
    def of_all(cls, record: Record) -> "Recorder":
        """Return a recorder that does the same in both cases."""
        return cls(record, lambda outcome, _: record(outcome))

    @classmethod
    def of_resent(cls, record: RecordResent) -> "Recorder":
        """Return a recorder of rows that must be sent again only."""
        return cls(None, record)


class Recorders:
    """Several recorders in an order; each row costs only those that have something to do with it."""

    def __init__(self, in_order: Sequence[Recorder]) -> None:
        """Use the recorders *in_order*."""
        self.usual = tuple(recorder.usual for recorder in in_order if recorder.usual is not None)
        """What is called, one after another, with the outcome of a row."""
        self.resent = tuple(recorder.resent for recorder in in_order if recorder.resent is not None)
        """The same for a row that must be sent again."""
