"""The check of a source that comes in batches: the same summary, the same refusals, and rows where they are needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests import make
from tests.check.row_batches import FakeMapper, batches_of
from tests.make import jsonl
from uploader.batch import Batch, CellForm
from uploader.check.batch_observers import MapBatch
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings, load
from uploader.errors import InputError
from uploader.mapping import Plan
from uploader.model import Record, Rejected, Request
from uploader.run.environment import Environment
from uploader.run.events import Events, RowReason
from uploader.run.job import BatchReader, Job
from uploader.run.preflight import opened, prepare
from uploader.run.refusals import refuse_joined, registered_names
from uploader.source import Fingerprint, Reading, ReadTrace, Source

CONFIG = """\
api: {service_id: svc, access_token: canary}
mapping:
  identity: {external_id: id, email: mail}
  properties: {df_name: name, age: {column: age, type: long}}
"""


@dataclass
class FakeReading:
    """A pass over the rows of a source, three of them in a batch."""

    reading: Reading
    form: CellForm

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.reading.close()

    def __iter__(self) -> Iterator[Batch]:
        records: list[Record] = [*self.reading]
        return batches_of(records, range(3, len(records), 3), self.form, lambda record: record.number % 7 > 0)

    @property
    def fingerprint(self) -> Fingerprint:
        return self.reading.fingerprint

    @property
    def trace(self) -> ReadTrace | None:
        return self.reading.trace


@dataclass
class FakeReader:
    """Reads *source* in batches; *passes* counts how often, *mappers* are those that were asked for."""

    source: Source
    maps: bool = True
    passes: int = 0
    mappers: list[FakeMapper] = field(default_factory=list)

    def read(self, follows: ReadTrace | None) -> FakeReading:
        self.passes += 1
        return FakeReading(self.source.read(follows), "text" if self.source.format == "csv" else "json")

    def mapper(self, plan: Plan) -> MapBatch | str:
        if not self.maps:
            return "it maps nothing"
        self.mappers.append(FakeMapper(plan))
        return self.mappers[-1]

    def reader(self) -> BatchReader:
        return BatchReader(self.read, self.mapper)


def csv(path: Path, count: int, *, shared: str = "") -> Path:
    rows = (f"u{n},{shared or f'm{n}@example.com'},Kim,{'old' if n % 5 == 0 else n}" for n in range(1, count + 1))
    path.write_text("\n".join(("id,mail,name,age", *rows, "")), encoding="utf-8")
    return path


Both = tuple[Job, Job, FakeReader]


@pytest.fixture
def loaded(folder: Path) -> Callable[[str], Settings]:
    def load_text(text: str) -> Settings:
        return load(make.config(folder, text), overrides=(), environ={})

    return load_text


@pytest.fixture
def both(loaded: Callable[[str], Settings], world: Environment) -> Callable[..., Both]:
    """Return what checks a file row by row and in batches."""

    def check(path: Path, *, limit: int | None = None, maps: bool = True, settings: Settings | None = None) -> Both:
        settings = settings or loaded(CONFIG)
        with opened(str(path), settings, world) as source:
            by_rows = prepare(source, settings, limit=limit, summary=CheckSummary())
            fake = FakeReader(source, maps)
            in_batches = prepare(source, settings, limit=limit, summary=CheckSummary(), batches=fake.reader())
        return by_rows, in_batches, fake

    return check


def facts(job: Job) -> dict[str, object]:
    one = job.summary
    return {
        "counts": (one.read, one.rejected, one.damaged, one.duplicates),
        "problems": one.problems.facts(),
        "warnings": one.warnings.facts(),
        "repairs": one.repairs.facts(),
        "joined": one.joined,
        "profile": None if one.column_profile is None else one.column_profile.totals(),
        "fingerprint": job.fingerprint,
    }


@pytest.mark.parametrize("shared", ["", "info@example.com"])
def test_a_file_in_batches_is_checked_as_row_by_row(tmp_path: Path, both: Callable[..., Both], shared: str) -> None:
    by_rows, in_batches, fake = both(csv(tmp_path / "people.csv", 40, shared=shared))

    assert facts(in_batches) == facts(by_rows)
    # It is read again only where a value may join people.
    assert fake.passes == (2 if shared else 1)
    assert fake.mappers[0].rows_mapped >= 35


def test_who_would_be_joined_is_refused_in_the_same_words(
    tmp_path: Path, both: Callable[..., Both], loaded: Callable[[str], Settings]
) -> None:
    by_rows, in_batches, _ = both(csv(tmp_path / "people.csv", 40, shared="info@example.com"))

    with pytest.raises(InputError) as wanted:
        refuse_joined(by_rows, loaded(CONFIG))
    with pytest.raises(InputError) as found:
        refuse_joined(in_batches, loaded(CONFIG))
    assert str(found.value) == str(wanted.value)


def test_the_first_rows_alone_and_a_plan_that_needs_rows_are_checked_row_by_row(
    tmp_path: Path, both: Callable[..., Both]
) -> None:
    path = csv(tmp_path / "people.csv", 40)

    for by_rows, in_batches, fake in (both(path, limit=10), both(path, maps=False)):
        assert facts(in_batches) == facts(by_rows)
        assert fake.passes == 0


def test_a_jsonl_without_a_mapped_key_is_refused_in_the_same_words(
    tmp_path: Path, loaded: Callable[[str], Settings], world: Environment
) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text(jsonl(*({"id": f"u{n}", "Mail": "x", "name": "Kim"} for n in range(30))), encoding="utf-8")
    settings, said = loaded(CONFIG), []

    with opened(str(path), settings, world) as source:
        for reader in (None, FakeReader(source).reader()):
            with pytest.raises(InputError) as error:
                prepare(source, settings, limit=None, summary=CheckSummary(), batches=reader)
            said.append(str(error.value))
    assert said[0] == said[1]
    assert "mail" in said[0].lower()


def test_a_key_that_is_not_registered_is_refused_at_the_same_row(
    tmp_path: Path, loaded: Callable[[str], Settings], world: Environment
) -> None:
    rows = [
        {"id": f"u{n}", "mail": "", "name": "Kim", "age": 1, **({"odd": "x"} if n == 11 else {})} for n in range(30)
    ]
    path = tmp_path / "people.jsonl"
    path.write_text(jsonl(*rows), encoding="utf-8")
    text = CONFIG + "  other_columns: send\nregistered: {name: string, age: long}\n"
    settings, found = loaded(text.replace("df_name: name, ", "")), []

    with opened(str(path), settings, world) as source:
        for reader in (None, FakeReader(source).reader()):
            summary = CheckSummary()
            with pytest.raises(InputError) as error:
                prepare(
                    source,
                    settings,
                    limit=None,
                    summary=summary,
                    observers=[*registered_names(source, settings)],
                    batches=reader,
                )
            found.append((str(error.value), summary.read))
    assert found[0] == found[1]
    assert "odd" in found[0][0]


def test_reasons_are_given_in_the_order_of_the_rows(
    tmp_path: Path, loaded: Callable[[str], Settings], world: Environment
) -> None:
    path, settings = csv(tmp_path / "people.csv", 40), loaded(CONFIG)
    heard: list[list[int]] = []

    with opened(str(path), settings, world) as source:
        for reader in (None, FakeReader(source).reader()):
            numbers: list[int] = []

            class Numbers(Events):
                def __init__(self, numbers: list[int]) -> None:
                    self.numbers = numbers

                def reason_found(self, found: RowReason) -> None:
                    self.numbers.append(found.record.number)

            prepare(
                source,
                settings,
                limit=None,
                summary=CheckSummary(),
                events=Numbers(numbers),
                batches=reader,
            )
            heard.append(numbers)

    assert heard[0] == heard[1] == [*range(5, 41, 5)]


def test_an_observer_of_rows_gets_each_of_them(
    tmp_path: Path, loaded: Callable[[str], Settings], world: Environment
) -> None:
    path, settings = csv(tmp_path / "people.csv", 40), loaded(CONFIG)
    heard: list[tuple[int, bool]] = []

    def observe(record: Record, work: Request | Rejected) -> None:
        heard.append((record.number, isinstance(work, Request)))

    with opened(str(path), settings, world) as source:
        prepare(
            source,
            settings,
            limit=None,
            summary=CheckSummary(),
            observers=[observe],
            batches=FakeReader(source).reader(),
        )

    assert heard == [(number, number % 5 > 0) for number in range(1, 41)]
