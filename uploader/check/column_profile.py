"""Count the empty cells of each column, and the rows that give each consent."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from uploader.api import CONSENTS
from uploader.batch import Batch, has_cells
from uploader.check.drift import FileTotals
from uploader.endpoints import USER_PROFILE, Endpoint
from uploader.mapping.field_paths import MISSING, Take, is_path, reaching
from uploader.mapping.good_rows import GoodRows
from uploader.mapping.value_errors import Unreadable
from uploader.model import Damaged, Record, Rejected, Request, looks_like_data

_MOST_KEYS: Final = 10_000
"""At most this many different JSON keys are counted; a file with more has data in its keys."""

_RARE: Final = 0.01
"""A key that a smaller share of the objects fills is not stored: it comes and goes, and may be data."""

_FEW: Final = 2
"""A key that fewer objects fill is not stored: it may be one person's data."""


class ColumnProfile:
    """The counts of one source: numbers and column names, no values of rows.

    It has one state, counting, row by row or by the good rows of batches: `totals` and `for_baseline` return what was
    counted so far.
    """

    def __init__(
        self,
        columns: Sequence[str] | None,
        *,
        mapped: Iterable[str],
        null_values: Iterable[str],
        endpoint: Endpoint = USER_PROFILE,
    ) -> None:
        """Count *columns* (None where each record brings its own keys) and the *mapped* paths into objects.

        *endpoint* knows which consents a body gives.
        """
        self._endpoint = endpoint
        known = _nameable(columns or (), set(mapped := tuple(mapped)))
        self._mapped = frozenset(mapped)
        self._has_keys = columns is None
        self._count_cells = self._count_keys if columns is None else self._count_columns
        self._paths: dict[str, Take] = {name: reaching(name) for name in mapped if is_path(name) and name not in known}
        self._empty = frozenset(null_values)
        # Below a header the empty cells are counted, since they are few; of JSON keys the filled ones.
        self._blank = dict.fromkeys(known, 0)
        self._filled = dict.fromkeys(self._paths, 0)
        self._true = dict.fromkeys(CONSENTS, 0)
        self._rows = self._damaged = self._sendable = 0

    def add_row(self, record: Record, work: Request | Rejected) -> None:
        """Count *record*, and the consents that *work* sends for it."""
        self._rows += 1
        if isinstance(record, Damaged):
            self._damaged += 1
            return
        self._count_cells(record.fields)
        if self._paths:
            self._count_paths(record.fields)
        if isinstance(work, Request):
            self._sendable += 1
            for name in self._endpoint.consents_given(work.body):
                self._true[name] += 1

    def wants_rows(self, batch: Batch) -> bool:
        """Whether *batch* has keys that are new: they are kept in the order in which the rows name them."""
        filled = self._filled
        return (
            self._has_keys and len(filled) < _MOST_KEYS and has_cells(batch, set(batch.table.columns) - filled.keys())
        )

    def add_good(self, good: GoodRows) -> None:
        """Count the good rows of a batch, and the consents that they send."""
        from uploader.check.filled_cells import filled_at, filled_cells  # noqa: PLC0415 polars starts slowly

        self._rows += good.count
        self._sendable += good.count
        table, form, counted = good.table, good.batch.form, self._filled if self._has_keys else self._blank
        for name, filled in filled_cells(
            table, form, [name for name in table.columns if name in counted], self._empty
        ).items():
            counted[name] += filled if self._has_keys else good.count - filled
        for name in self._paths.keys() - set(table.columns):
            # A row of JSON in a table has no objects, and a text is none.
            self._filled[name] += filled_at(table, name, self._empty) if form == "typed" else 0
        texts = self._endpoint.true_consents
        true = good.bodies.filter(good.bodies.str.contains(self._endpoint.any_true_consent, literal=True))
        for name, text in texts.items() if len(true) else ():
            self._true[name] += int(true.str.contains(text, literal=True).sum())

    def totals(self) -> FileTotals:
        """Return the counts of all columns, without unmapped keys that look like data."""
        split = self._rows - self._damaged
        columns = {
            **self._blank,
            **{name: split - count for name, count in self._filled.items() if self._may_be_named(name)},
        }
        return FileTotals(self._rows, self._damaged, self._sendable, columns, dict(self._true))

    def for_baseline(self) -> FileTotals:
        """Return the counts to be stored as the baseline: without JSON keys that hardly any object fills."""
        totals = self.totals()
        split = self._rows - self._damaged
        least = max(_FEW, _RARE * split) if self._has_keys else 0.0
        kept = {name: count for name, count in totals.columns.items() if split - count >= least}
        return replace(totals, columns=kept)

    def _may_be_named(self, name: str) -> bool:
        return name in self._mapped or not looks_like_data(name)

    def _count_columns(self, fields: Mapping[str, object]) -> None:
        empty = self._empty
        for name, value in fields.items():
            if (value is None or (type(value) is str and value in empty)) and name in self._blank:
                self._blank[name] += 1

    def _count_keys(self, fields: Mapping[str, object]) -> None:
        filled, empty = self._filled, self._empty
        for name, value in fields.items():
            if name not in filled:
                if len(filled) >= _MOST_KEYS:
                    continue
                filled[name] = 0
            if value is not None and (type(value) is not str or value not in empty):
                filled[name] += 1

    def _count_paths(self, fields: Mapping[str, object]) -> None:
        for name, take in self._paths.items():
            # A key with this whole name is counted as a key already.
            if name not in fields and self._is_filled(take, fields):
                self._filled[name] += 1

    def _is_filled(self, take: Take, fields: Mapping[str, object]) -> bool:
        try:
            value = take(fields)
        except Unreadable:
            return False
        return value is not MISSING and value is not None and (type(value) is not str or value not in self._empty)


def _nameable(columns: Sequence[str], mapped: Container[str]) -> Sequence[str]:
    """Return the *columns* that may be stored: only the *mapped* ones if any other looks like data."""
    others = [name for name in columns if name not in mapped]
    return [name for name in columns if name in mapped] if any(map(looks_like_data, others)) else columns
