"""Keep what became of every row: the resume point, and the source of every total."""

from uploader.state.baseline import BaselineStore
from uploader.state.in_flight import InFlightFile
from uploader.state.journal import Journal
from uploader.state.journal_records import Begun
from uploader.state.replay import Ledger, Owed, fold
from uploader.state.run_lock import Lock
from uploader.state.run_store import Shelf, Volume, read_volume

__all__ = [
    "BaselineStore",
    "Begun",
    "InFlightFile",
    "Journal",
    "Ledger",
    "Lock",
    "Owed",
    "Shelf",
    "Volume",
    "fold",
    "read_volume",
]
"""`Shelf` finds and makes journals, `Journal` writes one, `fold` reads one."""
