"""Find the groups of rows of a source that can become one request, and the last row of each group."""

from array import array
from types import TracebackType
from typing import Final, Self

from uploader.coalesce.same_person import RunNumbers, SamePerson
from uploader.mapping.good_rows import GoodRows
from uploader.model import Person

_DISSOLVED: Final = -1
"""In place of the last row: these rows can't become one request."""

_MOST_COUNTED: Final = 255


class PersonGroups:
    """The rows of a source that belong to the same person (`SamePerson`) and can become one request.

    Every row is added once, in any order. Rows that can't become one request belong to no group. These are the rows of
    a person who has a rejected row, or two values of one identity field (a request names one, the other would be lost).
    It is a context manager, since `SamePerson` is one.
    """

    def __init__(self, same_person: SamePerson) -> None:
        """Start with no row; *same_person* is for this source alone, and is empty too."""
        self._same_person = same_person
        self._fields: dict[str, int] = {}
        self._named = bytearray(1)
        self._unfit = array("Q")
        self._lasts: RunNumbers = array("i")

    def __enter__(self) -> Self:
        """Return the groups."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete what *same_person* has on disk."""
        self._same_person.forget_values()

    def add_row(self, number: int, person: Person, *, is_fit: bool) -> None:
        """Add row *number*, about *person*; *is_fit* is whether it can be sent. Raises StorageError."""
        named = self._named
        self._same_person.add_numbered(number, person)
        named.extend(bytes(max(number + 1 - len(named), 0)))
        for value in person:
            named[number] |= self._bit_of(value.partition("=")[0])
        if not is_fit:
            self._unfit.append(number)

    def add_good(self, good: GoodRows) -> None:
        """Add the good rows of a batch; raises StorageError."""
        if not good.count:
            return
        numbers, named = good.numbers.to_list(), self._named
        self._same_person.add_columns(numbers, good.identity)
        named.extend(bytes(max(numbers[-1] + 1 - len(named), 0)))
        for column in good.identity.iter_columns():
            bit = self._bit_of(column.name)
            for number in numbers if not column.null_count() else good.numbers.filter(column.is_not_null()).to_list():
                named[number] |= bit

    def seal(self) -> None:
        """Find the groups, once all rows are added, and free what only that needs; raises StorageError."""
        same_person = self._same_person
        same_person.unite()
        if not same_person.is_empty:
            self._lasts = self._last_rows()
            self._dissolve_unfit()
        same_person.forget_values()
        self._named.clear()

    def group_of(self, number: int) -> int | None:
        """Return the group of row *number*; None where that row is sent alone."""
        root = self._same_person.root(number)
        return root if root and self._lasts[root] != _DISSOLVED else None

    def rows_in_groups(self, first: int, last: int) -> list[int]:
        """Return which of the rows from *first* to *last* are in a group."""
        rows = self._same_person.rows_with_keys(first, last)
        return [row for row in rows if self.group_of(row) is not None]

    def last_of(self, group: int) -> int:
        """Return the number of the last row of *group*."""
        return self._lasts[group]

    def _bit_of(self, field: str) -> int:
        bit = self._fields.get(field)
        if bit is None:
            bit = self._fields[field] = 1 << len(self._fields)
        return bit

    def _last_rows(self) -> RunNumbers:
        """Return the last row of each person, at the index of its root row; merges the fields that their rows name."""
        lasts, named, root_of = self._same_person.numbers(), self._named, self._same_person.root
        for number in range(1, len(named)):
            root = root_of(number)
            if root:
                lasts[root] = number
                named[root] |= named[number]
        return lasts

    def _dissolve_unfit(self) -> None:
        """Dissolve the groups that have a row which can't be sent, or two values of one field."""
        lasts, root_of = self._lasts, self._same_person.root
        for number in self._unfit:
            lasts[root_of(number)] = _DISSOLVED
        # A person with more values than fields has two values of one field.
        counts = bytearray(len(self._named))
        for row, _ in self._same_person.values():
            root = root_of(row)
            if root and counts[root] < _MOST_COUNTED:
                counts[root] += 1
                if counts[root] > self._named[root].bit_count():
                    lasts[root] = _DISSOLVED
