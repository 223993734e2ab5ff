"""People and groups are the same whether their rows come one by one or in batches."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.check.row_batches import batches_of
from uploader.batch import Batch
from uploader.coalesce.assign_person_keys import PeopleCollector
from uploader.coalesce.merge_rows import GroupCollector
from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.same_person import SamePerson
from uploader.mapping.good_rows import GoodRows
from uploader.mapping.identity_hashes import identity_of
from uploader.model import Person, Reason, Rejected, Request, Row

FOLDER = Path(tempfile.gettempdir())
FIELDS = ("external_id", "email", "phone_no")
_VALUES = st.sampled_from(["a", "b", "c", "d", "e", "longer-than-twelve-bytes"])
_PEOPLE = st.dictionaries(st.sampled_from(FIELDS), _VALUES, max_size=3).map(
    lambda named: tuple(f"{field}={value}" for field, value in named.items())
)
_ROWS = st.lists(st.tuples(_PEOPLE, st.sampled_from(["good", "good", "warned", "rejected"])), max_size=25)
_CUTS = st.lists(st.integers(1, 25), max_size=4)

Watched = tuple[Person, str]


def show(collector: GroupCollector | PeopleCollector, rows: Sequence[Watched], cuts: Sequence[int] | None) -> None:
    """Show *rows* to *collector*: one by one, or the good ones of each batch after the others."""

    def one_by_one(record: Row, person: Person, kind: str) -> None:
        rejected = Rejected(record, person, Reason("no", "no"))
        collector(record, rejected if kind == "rejected" else Request(record, person, b""))

    records = [Row(number, {"n": "x"}) for number in range(1, len(rows) + 1)]
    if cuts is None:
        for record, (person, kind) in zip(records, rows, strict=True):
            one_by_one(record, person, kind)
        return
    for batch in batches_of(records, cuts, "text", lambda _: True):
        add_batch(collector, batch, rows, one_by_one)


def add_batch(
    collector: GroupCollector | PeopleCollector,
    batch: Batch,
    rows: Sequence[Watched],
    one_by_one: Callable[[Row, Person, str], None],
) -> None:
    of_batch = [rows[number - 1] for number in batch.numbers]
    is_good = [kind == "good" for _, kind in of_batch]
    for at, (person, kind) in enumerate(of_batch):
        if kind != "good":
            one_by_one(batch.row(at), person, kind)
    kept = [person for person, kind in of_batch if kind == "good"]
    numbers = batch.numbers.filter(is_good) if is_good else batch.numbers
    collector.add_good(GoodRows(batch, numbers, batch.table, identity_of(kept, FIELDS), batch.numbers))


def groups_of(rows: Sequence[Watched], cuts: Sequence[int] | None, **limits: int) -> dict[int, tuple[int, ...]]:
    """Return the rows of each group, by its last row."""
    found: dict[int, tuple[int, ...]] = {}
    with PersonGroups(SamePerson(FOLDER, **limits)) as groups:
        show(GroupCollector(groups), rows, cuts)
        groups.seal()
        for number in range(1, len(rows) + 1):
            group = groups.group_of(number)
            if group is not None:
                last = groups.last_of(group)
                found[last] = (*found.get(last, ()), number)
    return found


def people_of(
    sources: Sequence[tuple[Sequence[Watched], Sequence[int] | None]], **limits: int
) -> list[tuple[int, ...]]:
    """Return the rows of each person of several sources, each of which comes one by one or in batches."""
    found: dict[int, tuple[int, ...]] = {}
    with SamePerson(FOLDER, **limits) as same_person:
        for rows, cuts in sources:
            show(PeopleCollector(same_person), rows, cuts)
        assert same_person.rows == sum(len(rows) for rows, _ in sources)
        same_person.unite()
        for number in range(1, same_person.rows + 1):
            root = same_person.root(number)
            if root:
                found[root] = (*found.get(root, ()), number)
    return sorted(found.values())


@given(_ROWS, _CUTS)
@settings(max_examples=60)
def test_groups_are_the_same_in_batches(rows: list[Watched], cuts: list[int]) -> None:
    wanted = groups_of(rows, None)

    assert groups_of(rows, cuts) == wanted
    assert groups_of(rows, cuts, most_hashes=64, batch=4) == wanted


@given(st.lists(st.tuples(_ROWS, st.one_of(st.none(), _CUTS)), min_size=1, max_size=3))
@settings(max_examples=60)
def test_people_are_the_same_in_whatever_way_each_source_comes(
    sources: list[tuple[list[Watched], list[int] | None]],
) -> None:
    assert people_of(sources) == people_of([(rows, None) for rows, _ in sources])


@pytest.mark.parametrize("is_first_by_rows", [True, False])
def test_a_person_in_a_small_and_in_a_large_source_is_one(*, is_first_by_rows: bool) -> None:
    rows = [(("email=a",), "good"), (("email=b",), "warned"), (("external_id=1", "email=b"), "good")]
    ways = [(rows, None), (rows, [2])]

    found = people_of(ways if is_first_by_rows else ways[::-1])

    assert found == [(1, 4), (2, 3, 5, 6)]
