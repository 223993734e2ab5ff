"""Keep the state of every run on disk: what became of each row, from which a run resumes and every total comes."""

from uploader.state.baseline import BaselineStore
from uploader.state.history import History, OpenRecord
from uploader.state.in_flight import InFlightFile
from uploader.state.journal import Journal
from uploader.state.journal_records import (
    CheckedRows,
    Destination,
    RowOrigin,
    RunBasis,
    RunHeader,
    RunJob,
    RunPlace,
    spell_retry_identity,
)
from uploader.state.replay import RowToResend, RunState, replay
from uploader.state.run_lock import RunLock
from uploader.state.run_store import RunStore, StoredRun, read_run

__all__ = [
    "BaselineStore",
    "CheckedRows",
    "Destination",
    "History",
    "InFlightFile",
    "Journal",
    "OpenRecord",
    "RowOrigin",
    "RowToResend",
    "RunBasis",
    "RunHeader",
    "RunJob",
    "RunLock",
    "RunPlace",
    "RunState",
    "RunStore",
    "StoredRun",
    "read_run",
    "replay",
    "spell_retry_identity",
]
"""`RunStore` finds and creates journals, `Journal` writes one, `replay` reads one."""
