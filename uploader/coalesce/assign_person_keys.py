"""Give all rows of a person the same person key, where they need not share an identity value."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from uploader.batch import Batch
from uploader.coalesce.same_person import SamePerson
from uploader.mapping.good_rows import GoodRows
from uploader.model import NoWork, Person, Record, Rejected, Request, Work


class PeopleCollector:
    """Adds each row of the next source to *same_person* in the check, row by row or by the good rows of batches."""

    def __init__(self, same_person: SamePerson) -> None:
        """Add to *same_person*, which has the rows of the sources before."""
        self._same_person = same_person
        self._before = same_person.rows

    def __call__(self, record: Record, work: Request | Rejected) -> None:
        """Add one row."""
        self._same_person.add_numbered(self._before + record.number, work.person)

    def add_people(self, people: Sequence[Person]) -> None:
        """Add the next rows, each about one of *people*."""
        self._same_person.add_people(people)

    def wants_rows(self, _batch: Batch) -> bool:
        """Return False: columns are enough."""
        return False

    def add_good(self, good: GoodRows) -> None:
        """Add the good rows of a batch."""
        self._same_person.add_columns((good.numbers + self._before).to_list(), good.identity)


def with_person_keys(works: Iterator[Work | NoWork], same_person: SamePerson, before: int) -> Iterator[Work | NoWork]:
    """Yield *works*, which are of single rows, with person keys; *before* counts the rows of the earlier sources."""
    for work in works:
        if isinstance(work, Request | Rejected):
            number = work.row.number if isinstance(work, Request) else work.record.number
            person_key = same_person.person_key(before + number)
            yield work if person_key is None else replace(work, person=(*work.person, person_key))
        else:
            yield work
