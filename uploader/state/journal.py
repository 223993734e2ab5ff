"""Append what became of every row to the journal, before any output or count gets it."""

import os
from pathlib import Path
from typing import Self
from zlib import crc32

from uploader.errors import StorageError
from uploader.model import Outcome, Unchanged, Unsettled
from uploader.private_files import open_private, sync_folder, trouble
from uploader.state.journal_records import (
    Word,
    spell_facts,
    spell_metrics,
    spell_outcome,
    spell_pause,
    spell_registered,
    spell_unchanged,
)
from uploader.state.line_checksums import LINE
from uploader.state.replay import RunState
from uploader.timeline import Interval


class Journal:
    """One run's journal, open for appending; each line is one unbuffered write.

    Nothing more is written after the first write or sync that fails: what follows a torn line is lost anyway, and a
    second sync does not repair a failed one. It is a context manager.
    """

    def __init__(self, path: Path, run_state: RunState) -> None:
        """Append to the file at *path* behind what *run_state* has read; an unfinished line there is cut off.

        Raises:
            StorageError: the file can't be opened or cut.
        """
        self.path = path
        self._checksum = run_state.written.checksum
        self._broken: StorageError | None = None
        self._is_dirty = False
        self._unchanged: tuple[int, int] | None = None
        self._handle = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            if os.fstat(self._handle).st_size != run_state.written.size:
                os.ftruncate(self._handle, run_state.written.size)
        except OSError as error:
            os.close(self._handle)
            raise trouble(path, error) from None

    def __enter__(self) -> Self:
        """Sync the folder, so that the file's name survives a power cut; raises StorageError."""
        sync_folder(self.path.parent)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._handle)

    def record(self, outcome: Outcome | Unsettled, *, again: bool = False) -> None:
        """Append one row's *outcome*; raises StorageError unless the whole line was written.

        Nothing is recorded of a row that is unsettled and had no request. Consecutive unchanged rows share one line,
        which is written before the next other line, or by `flush`.
        """
        if isinstance(outcome, Unchanged):
            number = outcome.request.row.number
            self.record_unchanged(number, number)
        elif not isinstance(outcome, Unsettled) or outcome.attempts:
            self.append(spell_outcome(outcome, again=again))

    def record_unchanged(self, first: int, last: int) -> None:
        """Record, as `record` does, that the rows from *first* to *last* are unchanged; raises StorageError."""
        if self._unchanged is not None and self._unchanged[1] == first - 1:
            self._unchanged = self._unchanged[0], last
        else:
            self.flush()
            self._unchanged = first, last

    def flush(self) -> None:
        """Append the line of the latest unchanged rows, if one is pending; raises StorageError."""
        if self._unchanged is not None:
            waiting, self._unchanged = self._unchanged, None
            self.append(spell_unchanged(*waiting))

    def record_pause(self, seconds: float) -> None:
        """Append that a throttled reply pauses all requests for *seconds* more; raises StorageError."""
        self.append(spell_pause(seconds))

    def record_registered(self, row: int, attempts: int) -> None:
        """Append that the person of *row* was registered with so many *attempts*; raises StorageError."""
        self.append(spell_registered(row, attempts))

    def record_interval(self, interval: Interval) -> None:
        """Append what the run did in *interval*, for its report; raises StorageError."""
        self.append(spell_metrics(interval))

    def record_facts(self, word: Word, facts: dict[str, object]) -> None:
        """Append *facts* of the run; raises StorageError."""
        self.append(spell_facts(word, facts))

    def append(self, payload: bytes) -> None:
        """Append a line with *payload*; raises StorageError."""
        if self._unchanged is not None:
            # The order matters: a later row of a person must not be in the journal before an earlier one.
            self.flush()
        if self._broken is not None:
            raise self._broken
        checksum = crc32(payload, self._checksum)
        line = LINE % (checksum, payload)
        try:
            written = os.write(self._handle, line)
        except OSError as error:
            self._broken = trouble(self.path, error)
            raise self._broken from None
        if written != len(line):
            self._broken = StorageError(f"{self.path}: the disk is full. Make room there, then run again to resume.")
            raise self._broken
        self._checksum = checksum
        self._is_dirty = True

    @property
    def is_dirty(self) -> bool:
        """Whether something was recorded since the last sync."""
        return self._is_dirty or self._unchanged is not None

    def sync(self) -> None:
        """Make what was written survive a power cut; may be called from another thread. Raises StorageError.

        It does not write a pending line of unchanged rows: call `flush` first.
        """
        if self._broken is not None:
            raise self._broken
        self._is_dirty = False
        try:
            os.fdatasync(self._handle)
        except OSError as error:
            self._broken = trouble(self.path, error)
            raise self._broken from None
