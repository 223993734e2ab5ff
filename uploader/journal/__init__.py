"""Keep what became of every row: the resume point, and the source of every total."""

from uploader.journal.entries import Begun
from uploader.journal.flight import Flight
from uploader.journal.fold import Ledger, Owed, fold
from uploader.journal.lock import Lock
from uploader.journal.quota import Place, Quota
from uploader.journal.shelf import Shelf, Volume, read_volume
from uploader.journal.totals import PastTotals
from uploader.journal.writer import Journal

__all__ = [
    "Begun",
    "Flight",
    "Journal",
    "Ledger",
    "Lock",
    "Owed",
    "PastTotals",
    "Place",
    "Quota",
    "Shelf",
    "Volume",
    "fold",
    "read_volume",
]
"""`Shelf` finds and makes journals, `Journal` writes one, `fold` reads one."""
