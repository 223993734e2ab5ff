"""Give all rows of a person the same person key, where they need not share an identity value."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from uploader.coalesce.same_person import SamePerson
from uploader.model import NoWork, Record, Rejected, Request, Work


def collecting_people(same_person: SamePerson) -> Callable[[Record, Request | Rejected], None]:
    """Return a function that adds each row of the next source to *same_person*, in the check."""
    add_row = same_person.add_row

    def collect(_: Record, work: Request | Rejected) -> None:
        add_row(work.person)

    return collect


def with_person_keys(works: Iterator[Work | NoWork], same_person: SamePerson, before: int) -> Iterator[Work | NoWork]:
    """Yield *works*, which are of single rows, with person keys; *before* counts the rows of the earlier sources."""
    for work in works:
        if isinstance(work, Request | Rejected):
            number = work.row.number if isinstance(work, Request) else work.record.number
            person_key = same_person.person_key(before + number)
            yield work if person_key is None else replace(work, person=(*work.person, person_key))
        else:
            yield work
