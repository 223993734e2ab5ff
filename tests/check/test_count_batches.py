"""A check by batches finds what a check row by row finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import polars as pl
import pytest
from hypothesis import Phase, example, find, given, settings
from hypothesis import strategies as st

from tests.check.row_batches import NOW, FakeMapper, batches_of
from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.batch import Batch, CellForm
from uploader.check import count_batches as counting
from uploader.check.batch_observers import NotGoodObserver, NumberedObserver, RowObserver
from uploader.check.column_profile import ColumnProfile
from uploader.check.column_sieve import ColumnSieve
from uploader.check.count_batches import count_batches
from uploader.check.joined_identities import JoinedIdentities, JoinedValue
from uploader.check.joined_in_batches import JoinedInBatches
from uploader.check.source_summary import CheckSummary, FoundColumns
from uploader.mapping import Plan
from uploader.mapping.identity_hashes import hashes_of
from uploader.mapping.rules import CleaningRules, MappingRules, PropertyRule
from uploader.model import Damaged, MaxJoined, Reason, Record, Rejected, Request, Row

COLUMNS = {"external_id": "id", "phone_no": "phone", "email": "mail"}
QUOTES = Reason("quotes", "a quote that does not end")
LIMITS = MaxJoined(2)
SLOTS = 1 << 12


def planned() -> Plan:
    rules = MappingRules(
        identity_rules(COLUMNS),
        (
            PropertyRule("df_name", "name", cleaning=CleaningRules(trim=True)),
            PropertyRule("age", "age", kind="long", cleaning=CleaningRules(thousands=",")),
            PropertyRule("level", "level", kind="long", on_error="omit"),
            PropertyRule("df_push_optin", "push"),
            PropertyRule("vip", "vip", kind="boolean"),
        ),
        null_values=("", "-"),
    )
    return compile_plan(rules, source="people", config="c", columns=None)


_PEOPLE = {
    "id": st.sampled_from(["u1", "u2", "u3", "longer-than-twelve-bytes"]),
    "phone": st.sampled_from(["", "01011112222", "01033334444"]),
    "mail": st.sampled_from(["", "a@example.com", "b@example.com"]),
    "age": st.sampled_from(["1", "1,000"]),
}
"""What nothing is to be said about."""

_TEXT = st.sampled_from(["", "-", "a", 'é"\\', " x ", "true", "1,000", "none"])
_MORE = {"name": _TEXT, "push": st.sampled_from(["true", "false", ""]), "memo": _TEXT}
_ODD = {
    "id": st.sampled_from(["", "N/A"]),
    "phone": st.just("1012345678"),
    "mail": st.just(" c@example.com"),
    "age": st.sampled_from(["", "old"]),
    "level": st.sampled_from(["1", "", "high"]),
    "vip": st.sampled_from(["true", "no", "perhaps"]),
}
_NAMES = (*_PEOPLE, "name", "push", "memo", "level", "vip")


@pytest.fixture(scope="module", autouse=True)
def short_columns() -> Iterator[None]:
    """Look at the persons of a few records at a time, so that a small table has several columns of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_MOST_PERSONS", 4)
        yield


@dataclass(frozen=True)
class Table:
    """Records in their order, how they are cut into batches, and which rows of them are in tables and surely mapped."""

    records: Sequence[Record]
    cuts: Sequence[int]
    form: CellForm
    outside: frozenset[int]
    unsure: frozenset[int]

    def batches(self) -> Iterator[Batch]:
        return batches_of(self.records, self.cuts, self.form, lambda record: record.number not in self.outside)

    def mapper(self, plan: Plan) -> FakeMapper:
        return FakeMapper(plan, lambda row: row.number not in self.unsure)


def _without(fields: Mapping[str, object], is_early: bool) -> Mapping[str, object]:  # noqa: FBT001 — one of two cases
    return {name: value for name, value in fields.items() if not is_early or name not in {"memo", "push"}}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Draw a table of either form, of some dozen records."""
    form: CellForm = draw(st.sampled_from(["text", "json"]))
    has_keys = form == "json"
    odd = {
        name: st.one_of(values, st.none(), st.integers(0, 3)) if has_keys else values for name, values in _ODD.items()
    }
    base = dict.fromkeys(_NAMES, "") if not has_keys else {}
    clean = st.fixed_dictionaries(_PEOPLE, optional=_MORE)
    some = st.tuples(clean, st.fixed_dictionaries({}, optional=odd)).map(lambda both: {**both[0], **both[1]})
    one = st.one_of(clean, clean, some, st.none()).map(lambda fields: None if fields is None else {**base, **fields})
    contents = draw(st.lists(one, min_size=draw(st.sampled_from([0, 20])), max_size=30))
    # A key may be new after many rows.
    late = draw(st.sampled_from([0, 12])) if has_keys else 0
    records = [
        Damaged(number, QUOTES, number + 1, "x")
        if fields is None
        else Row(number, _without(fields, number < late), number + 1)
        for number, fields in enumerate(contents, 1)
    ]
    numbers = st.frozensets(st.integers(1, 30), max_size=5)
    return Table(records, draw(st.lists(st.integers(1, 30), max_size=6)), form, draw(numbers), draw(numbers))


@dataclass
class Found:
    """All that a check has found."""

    summary: CheckSummary
    repairs: object
    reasons: list[tuple[int, Reason]] = field(default_factory=list)
    problems: list[int] = field(default_factory=list)
    picked: list[tuple[int, bool]] = field(default_factory=list)
    each: list[Record] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        one, profile = self.summary, self.summary.column_profile
        assert profile is not None
        names = one.columns if one.columns.unseen else None
        return {
            "counts": (one.read, one.rejected, one.damaged, one.duplicates),
            "names": names,
            "problems": one.problems.facts(),
            "warnings": one.warnings.facts(),
            "repairs": (one.repairs.facts(), self.repairs),
            "profile": (profile.totals(), [*profile.totals().columns]),
            "baseline": profile.for_baseline(),
            "joined": sorted(one.joined, key=repr),
            "reasons": self.reasons,
            "rejected": self.problems,
            "picked": self.picked,
            "each": self.each,
        }


def watched(found: Found, plan: Plan, *, needs_each: bool) -> list[RowObserver]:
    """Return observers of every kind, which write down what they get."""

    def give_reasons(record: Record, work: Request | Rejected) -> None:
        several = [work.reason] if isinstance(work, Rejected) else [*plan.omitted_from(work), *plan.suspect(work)]
        found.reasons.extend((record.number, reason) for reason in several)

    def give_problem(record: Record, work: Request | Rejected) -> None:
        if isinstance(work, Rejected):
            found.problems.append(record.number)

    def pick(record: Record, work: Request | Rejected) -> None:
        if record.number in {3, 8}:
            found.picked.append((record.number, isinstance(work, Request)))

    observers: list[RowObserver] = [NotGoodObserver(give_reasons), NotGoodObserver(give_problem)]
    observers.append(NumberedObserver(pick, {3, 8}))
    return [*observers, lambda record, _: found.each.append(record)] if needs_each else observers


def begun(table: Table) -> tuple[Plan, Found]:
    """Return a plan, and an empty result; as in `prepare`, keys are unseen only where there are no columns."""
    plan = planned()
    has_keys = table.form == "json"
    summary = CheckSummary(FoundColumns({"id", "age", "gone", "a.b"} if has_keys else set()))
    summary.column_profile = ColumnProfile(
        None if has_keys else _NAMES, mapped=["id", "age", "a.b"], null_values=["", "-", 'é"\\']
    )
    return plan, Found(summary, plan.repairs)


def by_rows(table: Table, *, needs_each: bool = False) -> dict[str, object]:
    plan, found = begun(table)
    summary = found.summary
    joined = summary.joined_identities = JoinedIdentities(LIMITS, COLUMNS, slots=SLOTS)
    observers = watched(found, plan, needs_each=needs_each)
    for record, work in summary.count_rows(table.records, plan, NOW):
        for observe in observers:
            observe(record, work)
    summary.joined_identities = None

    @contextmanager
    def again() -> Iterator[Sequence[Record]]:
        yield table.records

    summary.joined = joined.find(planned(), again)
    return found.facts()


def by_batches(table: Table, *, needs_each: bool = False) -> dict[str, object]:
    plan, found = begun(table)
    summary, mapper = found.summary, table.mapper(plan)
    joined = JoinedInBatches(LIMITS, COLUMNS, slots=SLOTS)
    count_batches(
        summary,
        table.batches(),
        plan,
        NOW,
        map_batch=mapper,
        observers=watched(found, plan, needs_each=needs_each),
        joined=joined,
    )

    @contextmanager
    def again() -> Iterator[Iterator[Batch]]:
        yield table.batches()

    summary.joined = joined.find(planned(), mapper, again)
    return found.facts()


LATE_KEY = Table(
    [
        Row(number, {"id": f"u{number}", "age": "1", **({"memo": "x", "name": "y"} if number > 20 else {})}, number + 1)
        for number in range(1, 30)
    ],
    [15],
    "json",
    frozenset(),
    frozenset(),
)
"""A key that is new in the second batch, after those rows that somebody wants."""


@given(tables(), st.booleans())
@example(LATE_KEY, False)  # noqa: FBT003 — the same
@settings(max_examples=40)
def test_a_check_by_batches_finds_what_a_check_by_rows_finds(table: Table, needs_each: bool) -> None:  # noqa: FBT001 — one of two cases
    assert by_batches(table, needs_each=needs_each) == by_rows(table, needs_each=needs_each)


# The test above is tested: each of these is a way to be wrong that it has to see.


def without_others(batch: Batch, places: Sequence[int] | None = None) -> Iterator[Record]:
    return map(batch.row, range(batch.table.height) if places is None else places)


def good_rows_only(_batch: Batch, _places: Sequence[int] | None = None) -> Iterator[Record]:
    return iter(())


def rows_before_others(batch: Batch, places: Sequence[int] | None = None) -> Iterator[Record]:
    return iter([*without_others(batch, places), *batch.others])


class ForgetfulSieve(ColumnSieve):
    """Forgets what the last batch saw."""

    def add(self, hashes: pl.Series, marks: pl.Series) -> None:
        had_candidates = self.has_candidates
        self.__init__(2, SLOTS)  # type: ignore[misc] # it begins again
        super().add(hashes, marks)
        self.has_candidates |= had_candidates


class BlindSieve(ColumnSieve):
    """Sees a value that is twice in one column only once."""

    def add(self, hashes: pl.Series, marks: pl.Series) -> None:
        first = hashes.is_first_distinct()
        super().add(hashes.filter(first), marks.filter(first))


def python_hashes(identity: pl.DataFrame) -> pl.DataFrame:
    return identity.with_columns(
        pl.Series(name, [None if value is None else hash(value) % 2**64 for value in identity[name]], dtype=pl.UInt64)
        for name in identity.columns
    )


def hashes_of_good_rows_apart(calls: list[int]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return what hashes every second frame in another way."""

    def hashed(identity: pl.DataFrame) -> pl.DataFrame:
        calls.append(1)
        return python_hashes(identity) if len(calls) % 2 else hashes_of(identity)

    return hashed


NEVER = property(lambda _: lambda _batch: False)
NOTHING = property(lambda _: lambda *_: None)


@pytest.mark.parametrize(
    ("place", "name", "broken"),
    [
        (counting, "records_of", good_rows_only),
        (counting, "records_of", without_others),
        (counting, "records_of", rows_before_others),
        ("uploader.check.joined_in_batches", "ColumnSieve", ForgetfulSieve),
        ("uploader.check.joined_in_batches", "ColumnSieve", BlindSieve),
        ("uploader.check.joined_in_batches._Pass", "_sendable", staticmethod(iter)),
        (counting, "hashes_of", hashes_of_good_rows_apart([])),
        ("uploader.check.column_profile.ColumnProfile", "wants_rows", NEVER),
        ("uploader.check.column_profile.ColumnProfile", "add_good", NOTHING),
        ("uploader.check.source_summary.CheckSummary", "wants_rows", NEVER),
        ("uploader.check.batch_observers.NumberedObserver", "wants_rows", NEVER),
        ("uploader.mapping.cleaning.Repairs", "add", NOTHING),
    ],
)
def test_a_wrong_check_by_batches_is_seen(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, broken: object
) -> None:
    if isinstance(place, str):
        monkeypatch.setattr(f"{place}.{name}", broken)
    else:
        monkeypatch.setattr(place, name, broken)

    def is_seen(table: Table) -> bool:
        return by_batches(table) != by_rows(table)

    wanted = settings(max_examples=300, phases=[Phase.generate], deadline=None, database=None)
    assert is_seen(LATE_KEY) or find(tables(), is_seen, settings=wanted).records


def test_a_value_that_joins_people_is_found_where_its_rows_are_in_several_batches() -> None:
    rows = [Row(number, {"id": f"u{number}", "phone": "01011112222", "age": "1"}, number + 1) for number in range(1, 8)]
    clean = Table(rows, range(1, 8), "text", frozenset({2}), frozenset({5}))

    assert by_batches(clean)["joined"] == [
        JoinedValue(
            "phone_no", "01011112222", "external_id", 7, is_at_least=False, rows=7, places=((1, 2), (2, 3), (3, 4))
        )
    ]


def test_a_batch_of_which_no_row_is_wanted_makes_none() -> None:
    rows = [Row(number, {"id": f"u{number}", "age": "1"}, number + 1) for number in range(1, 50)]
    made: list[int] = []

    def counting_rows(batch: Batch) -> Batch:
        def row(at: int) -> Row:
            made.append(at)
            return batch.row(at)

        return replace(batch, _row=row)

    table = Table(rows, (), "text", frozenset(), frozenset())
    batches = [*table.batches()]
    mapped = {id(batch.table): table.mapper(planned())(batch) for batch in batches}
    count_batches(
        summary := CheckSummary(),
        map(counting_rows, batches),
        planned(),
        NOW,
        map_batch=lambda batch: mapped[id(batch.table)],
    )

    assert (summary.read, summary.sendable, made) == (49, 49, [])
