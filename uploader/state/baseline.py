"""Store the totals of the last finished run of each source: the baseline of the drift check."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from uploader.check.drift import Baseline, FileTotals
from uploader.errors import StorageError
from uploader.private_files import open_private, private_folder, sync_folder, trouble, write_private

_FORMAT: Final = 1
_LONGEST_SECONDS: Final = 400 * 86_400.0
"""How long a baseline is kept: long enough for a source that comes once a year. Older ones are deleted."""

_NUMBERS: Final = ("rows", "damaged", "sendable")
_COUNTS: Final = ("columns", "consents")


class BaselineStore:
    """The baselines of a state folder, in one small file for each key of a run."""

    def __init__(self, state: Path) -> None:
        """Use the state folder *state*; nothing is created before the first baseline is stored."""
        self._folder = state / "totals"

    def last(self, key: str) -> Baseline | None:
        """Return the baseline of the last finished run of *key*; None if none is stored.

        Raises:
            StorageError: it can't be read.
        """
        path = self._path(key)
        if not os.path.lexists(path):
            return None
        try:
            with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
                return parse_baseline(json.load(file))
        except OSError as error:
            raise trouble(path, error) from None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise StorageError(
                f"{path} is damaged, or of another version of this program: the file can't be compared with the one "
                "before it. Delete it, and the next finished run is stored instead."
            ) from None

    def has_any(self) -> bool:
        """Whether there is a baseline of any source; raises StorageError."""
        try:
            return any(self._folder.glob("*.json"))
        except OSError as error:
            raise trouble(self._folder, error) from None

    def keep(self, key: str, baseline: Baseline) -> None:
        """Store *baseline* as that of the last run of *key*, whole or not at all; raises StorageError."""
        private_folder(self._folder)
        path = self._path(key)
        write_private(path, [baseline_text(baseline)])
        sync_folder(self._folder)
        # What can't be deleted now is deleted by a later run.
        with suppress(OSError):
            self._throw_away_older(path.stat().st_mtime - _LONGEST_SECONDS)

    def _throw_away_older(self, first: float) -> None:
        for path in self._folder.glob("*.json"):
            if path.stat().st_mtime < first:
                path.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def baseline_text(baseline: Baseline) -> bytes:
    """Return the content of the file of *baseline*."""
    facts = {"format": _FORMAT, "finished": baseline.finished, "mapping": baseline.mapping, **asdict(baseline.totals)}
    # A column's name may hold half of a surrogate pair (JSONL); JSON's escapes can express it.
    return (json.dumps(facts, indent=1) + "\n").encode("ascii")


def parse_baseline(facts: Mapping[str, object]) -> Baseline:
    """Return the baseline in *facts*; raises ValueError, LookupError or TypeError if they are not of this format."""
    finished, mapping = facts["finished"], facts["mapping"]
    if facts["format"] != _FORMAT or not isinstance(finished, str) or not isinstance(mapping, str):
        raise ValueError
    rows, damaged, sendable = (_whole(facts[name]) for name in _NUMBERS)
    columns, consents = (_counts(facts[name]) for name in _COUNTS)
    return Baseline(finished, mapping, FileTotals(rows, damaged, sendable, columns, consents))


def _counts(found: object) -> dict[str, int]:
    if not isinstance(found, dict):
        raise TypeError
    return {str(name): _whole(count) for name, count in found.items()}


def _whole(found: object) -> int:
    if not isinstance(found, int):
        raise TypeError
    return found
