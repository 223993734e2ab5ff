"""Find the unchanged rows of many batches at once, so that nothing is made of them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import polars as pl

from uploader.changes.unchanged_rows import UnchangedRows
from uploader.mapping import Plan
from uploader.mapping.batch_works import MappedRows
from uploader.mapping.good_rows import persons_of
from uploader.model import Person

_ON_THE_WAY: Final = 1024
"""More rows than the stages between the works and `UnchangedRows.skip_unchanged` hold."""


class UnchangedInBatches:
    """Finds rows that `UnchangedRows.skip_unchanged` would skip, whatever becomes of the rows around them.

    It leaves out each person of whom another row is not skipped, must be sent again, or is joined to others.
    """

    def __init__(  # noqa: PLR0913 — what decides about a row, each asked for by name
        self,
        unchanged_rows: UnchangedRows,
        plan: Plan,
        *,
        leaves_all: Callable[[], bool],
        must_resend: Callable[[Person], bool],
        resends_some: Callable[[], bool],
        joined_rows: Callable[[int, int], Sequence[int]],
    ) -> None:
        """Use *unchanged_rows*; *plan* tells the people of the rows that are not good.

        *leaves_all* returns whether no row of the source may be stale. *must_resend* returns whether a person has a
        row in the retry file, *resends_some* whether anybody has. *joined_rows* returns which of the rows from one to
        another are joined to others of their person.
        """
        self._unchanged_rows = unchanged_rows
        self._plan = plan
        self._leaves_all = leaves_all
        self._must_resend = must_resend
        self._resends_some = resends_some
        self._joined_rows = joined_rows
        self._taken: deque[Person] = deque(maxlen=_ON_THE_WAY)
        self.record_taken = self._taken.append
        """Record that the work of a row about a person was taken: *unchanged_rows* may not know the person yet."""

    @property
    def is_wanted(self) -> bool:
        """Whether it may find some now; raises StorageError."""
        return self._unchanged_rows.finds_sure_rows and self._leaves_all()

    def find(self, batches: Sequence[MappedRows]) -> Sequence[pl.Series]:
        """Return for each of *batches* which rows of its table are unchanged; raises StorageError."""
        identity = pl.concat([rows.mapped.identity for rows in batches])
        bodies = pl.concat([_where(rows.good, rows.mapped.bodies) for rows in batches])
        others = [*self._taken, *(person for rows in batches for person in self._others_of(rows))]
        unchanged = self._unchanged_rows.surely_unchanged(identity, bodies, others)
        found, begin = list[pl.Series](), 0
        for rows in batches:
            end = begin + rows.batch.table.height
            found.append(unchanged[begin:end])
            begin = end
        return found

    def _others_of(self, rows: MappedRows) -> Iterator[Person]:
        """Yield the people of *rows* of whom no row may be skipped here."""
        yield from map(self._plan.person, rows.left)
        batch, identity = rows.batch, rows.mapped.identity
        joined = self._joined_rows(batch.first, batch.first + batch.count - 1)
        if joined:
            is_joined = batch.numbers.is_in(pl.Series(joined, dtype=pl.Int64).implode())
            yield from persons_of(identity.filter(is_joined))
        if self._resends_some():
            yield from filter(self._must_resend, persons_of(identity))


def _where(rows: pl.Series, texts: pl.Series) -> pl.Series:
    return texts if rows.all() else pl.select(pl.when(rows).then(texts)).to_series()
