"""The check reads everything, sends nothing, and refuses what is wrong as a whole."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from tests.make import options, people, repairs
from tests.watching import check
from uploader.app.check import check as whole_check
from uploader.config import Settings
from uploader.errors import ConfigError, InputError
from uploader.model import Reason
from uploader.run.environment import Environment
from uploader.run.events import Checked, Events, RowReason
from uploader.run.flag_conflicts import refuse_double_use
from uploader.run.preflight import pace_of

Load = Callable[..., Settings]


class Heard(Events):
    """Keeps what the check told of each source: its name, and how many rows were read and rejected."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, int, int]] = []

    def checked(self, checked: Checked) -> None:
        assert checked.rows_per_second > 0
        self.jobs.append((checked.run.source, checked.summary.read, checked.summary.rejected))


def refused(world: Environment, *sources: str, **more: object) -> InputError:
    """Return the one reason why the check refuses *sources* as a whole."""
    with pytest.raises(InputError) as caught:
        check(options(*sources, **more), world, Heard())
    return caught.value


def test_a_source_whose_rows_can_all_be_sent_is_0(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ["1,Kim,30", "2,Lee,"])
    heard = Heard()

    status = check(options("people.csv"), world, heard)

    assert (status, heard.jobs) == (0, [("people.csv", 2, 0)])


@pytest.mark.parametrize("content", [None, "letters.txt"])
def test_a_state_folder_that_a_run_would_refuse_is_refused_and_left_as_it_is(
    folder: Path, world: Environment, content: str | None
) -> None:
    people(folder / "people.csv", ["1,Kim,30"])
    state = folder / ".uploader"
    if content is None:
        state.touch()
    else:
        (state / content).mkdir(parents=True)
    mode = state.stat().st_mode

    with pytest.raises(ConfigError, match=r"^state_dir: "):
        check(options("people.csv"), world, Heard())

    assert (state.stat().st_mode, [path.name for path in state.rglob("*")]) == (mode, [content] if content else [])


def test_a_check_makes_no_state_folder(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ["1,Kim,30"])

    assert (check(options("people.csv"), world, Heard()), (folder / ".uploader").exists()) == (0, False)


def test_a_row_that_cannot_be_sent_is_3_and_named(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ["1,Kim,30", "2,Lee,old", ",Park,1"])
    problems: list[tuple[str, int, int, Reason]] = []

    class Problems(Events):
        def reason_found(self, found: RowReason) -> None:
            assert found.kind == "rejected"
            problems.append((found.run.source, found.record.number, found.record.line, found.reason))

    status = check(options("people.csv"), world, Problems())

    assert (status, problems) == (
        3,
        [
            ("people.csv", 2, 3, Reason("not_long", "column 'age': not a whole number")),
            ("people.csv", 3, 4, Reason("no_identity", "no identity: nothing in 'id'")),
        ],
    )


def test_one_bad_source_of_several_is_3_and_all_are_told(folder: Path, world: Environment) -> None:
    people(folder / "a.csv", ["1,Kim,30"])
    people(folder / "b.csv", ["1,Kim,old"])
    people(folder / "c.csv", [])
    heard = Heard()

    status = check(options("a.csv", "b.csv", "c.csv"), world, heard)

    assert (status, heard.jobs) == (3, [("a.csv", 1, 0), ("b.csv", 1, 1), ("c.csv", 0, 0)])


def test_only_the_first_rows_are_looked_at_where_a_limit_is_given(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ["1,Kim,30", "2,Lee,old", "3,Park,old"])
    heard = Heard()

    statuses = [check(options("people.csv", limit=limit), world, heard) for limit in (1, 2)]

    assert (statuses, heard.jobs) == ([0, 3], [("people.csv", 1, 0), ("people.csv", 2, 1)])


@pytest.mark.parametrize(
    ("rejected", "rows", "share", "status"),
    [
        (20, 20, "10%", 3),
        (21, 21, "10%", 4),
        (30, 300, "10%", 3),
        (31, 300, "10%", 4),
        (300, 300, "100%", 3),
        (21, 300, "0%", 4),
    ],
)
def test_too_many_rejected_rows_refuse_a_source(
    rejected: int, rows: int, share: str, status: int, folder: Path
) -> None:
    people(folder / "people.csv", [*["1,Kim,old"] * rejected, *["1,Kim,30"] * (rows - rejected)])
    flags = options("people.csv", overrides=(f"limits.max_rejected={share}",))

    try:
        found = check(flags, Environment({}, BytesIO()), Heard())
    except InputError as error:
        found = error.exit_status

    assert found == status


def test_the_refusal_names_the_numbers_the_reason_and_what_to_do(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ["0,Kim,30", *(f"{number},Kim,old" for number in range(1, 23)), ",,"])

    error = refused(world, "people.csv")

    assert str(error) == (
        "people.csv: 23 of 24 rows can't be sent, more than limits.max_rejected (10%); most often: column 'age': "
        "not a whole number (22 rows, first row 2). Nothing was sent. Fix the file or the mapping, or raise "
        "limits.max_rejected."
    )


def test_a_retry_file_is_never_refused_for_its_rejected_rows(folder: Path, world: Environment) -> None:
    header = "id,name,age,_row,_kind,_code,_reason,_attempts\n"
    rows = "".join(f"{number},Kim,old,{number},rejected,not_long,r,0\n" for number in range(1, 50))
    (folder / "people.retry.csv").write_text(header + rows, encoding="utf-8")
    heard = Heard()

    status = check(options("people.retry.csv"), world, heard)

    assert (status, heard.jobs) == (3, [("people.retry.csv", 49, 49)])


def test_a_mapped_column_that_the_header_lacks_refuses_the_source(folder: Path, world: Environment) -> None:
    (folder / "people.csv").write_text("id,nmae,age\n1,Kim,30\n", encoding="utf-8")

    error = refused(world, "people.csv")

    assert str(error) == (
        "people.csv has no column 'name' (it has: id, nmae, age). Did you mean 'nmae'? "
        "Change mapping.properties.df_name in config.yaml."
    )


def test_a_key_that_no_object_has_refuses_a_jsonl_but_not_its_first_rows(folder: Path, world: Environment) -> None:
    (folder / "people.jsonl").write_text('{"id":"1","age":3}\n{"id":"2","age":4}\n', encoding="utf-8")

    error = refused(world, "people.jsonl")
    status = check(options("people.jsonl", limit=1), world, Heard())

    assert str(error) == (
        "people.jsonl has no column 'name' (it has: age, id). Change mapping.properties.df_name in config.yaml."
    )
    assert status == 0


def test_the_summary_of_a_check_says_what_was_found(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ["1,Kim,30", "2,Lee,old"])

    check(options("people.csv", summary=folder / "summary.json"), world, Heard())

    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert {key: summary[key] for key in ("read", "rejected", "sent", "not_attempted", "requests", "exit_status")} == {
        "read": 2,
        "rejected": 1,
        "sent": 0,
        "not_attempted": 1,
        "requests": 0,
        "exit_status": 3,
    }


MESSY = """\
mapping:
  identity: {external_id: id, phone_no: phone}
  properties: {df_name: {column: name, trim: true}, age: {column: age, type: long, thousands: ","}}
"""


def findings_of(world: Environment, *sources: str, **more: object) -> list[dict[str, object]]:
    """Return what a check of *sources* finds as plain data, also if it refuses them."""
    return [dict(report.facts()) for report in whole_check(options(*sources, **more), world).reports]


def test_what_a_check_finds_is_known_as_plain_data(folder: Path, world: Environment) -> None:
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text.partition("mapping:")[0] + MESSY, encoding="utf-8")
    rows = ["1,1012345678, Kim ,30", "", "1,,Lee,old", '2,,Cho,"1,000"']
    (folder / "people.csv").write_text("\n".join(["id,phone,name,age", *rows, ""]), encoding="cp949")

    found = findings_of(world, "people.csv", overrides=("source.encoding=cp949", "rate.requests=100", "rate.burst=5"))

    assert found == [
        {
            "source": "people.csv",
            "format": "csv",
            "encoding": "cp949",
            "retry_file": False,
            "read": 3,
            "sendable": 2,
            "rejected": 1,
            "changed": None,
            "blank_lines": 1,
            "repairs": repairs(trimmed=1, thousands=1),
            "repeated_identities": 1,
            "problems": [
                {
                    "code": "not_long",
                    "reason": "column 'age': not a whole number (thousands: ',')",
                    "rows": 1,
                    "first": [{"row": 2, "line": 4}],
                }
            ],
            "warnings": [
                {
                    "code": "phone_zero",
                    "reason": (
                        "column 'phone' → phone_no: a Korean mobile number without its leading zero; "
                        "write phone_no: {column: phone, phone: KR}"
                    ),
                    "rows": 1,
                    "first": [{"row": 1, "line": 2}],
                }
            ],
            "joined": [],
            "guard": None,
            "requests_per_minute": 88,
            "seconds": 1.4,
            "exit_status": 3,
        }
    ]


def test_what_a_check_finds_in_several_sources_ends_with_the_one_that_it_refuses(
    folder: Path, world: Environment
) -> None:
    people(folder / "a.csv", ["1,Kim,30"])
    people(folder / "b.csv", ["1,Kim,old"] * 30)
    people(folder / "c.csv", ["1,Kim,30"])

    found = findings_of(world, "a.csv", "b.csv", "c.csv")

    told = [tuple(facts.get(name) for name in ("source", "format", "read", "exit_status")) for facts in found]
    assert told == [("a.csv", "csv", 1, 0), ("b.csv", "csv", 30, 4), ("c.csv", None, 0, 4)]
    errors = [str(facts.get("error"))[:48] for facts in found]
    assert errors == ["None", "b.csv: 30 of 30 rows can't be sent, more than li", "None"]


@pytest.mark.slow
def test_what_was_found_before_a_source_turned_out_wrong_is_known(folder: Path, world: Environment) -> None:
    (folder / "people.csv").write_bytes(b"id,name,age\n1,Kim,30\n2,Lee,old\n" + b"3,Cho,1\n" * 60000 + b"4,\xff,1\n")

    (found,) = findings_of(world, "people.csv")

    assert found["exit_status"] == 4
    assert found["rejected"] == 1
    assert str(found["error"]).startswith("people.csv")


def test_a_retry_file_and_a_parquet_are_called_what_they_are(folder: Path, world: Environment) -> None:
    header = "id,name,age,_row,_kind,_code,_reason,_attempts\n"
    (folder / "people.retry.csv").write_text(header + "1,Kim,3,1,failed,500,r,1\n", encoding="utf-8")
    pl.DataFrame({"id": ["1"], "name": ["Kim"], "age": [3]}).write_parquet(folder / "people.parquet")

    found = findings_of(world, "people.retry.csv", "people.parquet")

    assert [(facts["format"], facts["encoding"], facts["retry_file"]) for facts in found] == [
        ("csv", "utf-8", True),
        ("parquet", None, False),
    ]


def test_a_path_that_leads_somewhere_in_one_object_of_a_jsonl_is_no_missing_column(
    folder: Path, world: Environment
) -> None:
    mapped = ("mapping.properties.df_name=person.name", "mapping.properties.age={column: person.age, type: long}")
    lines = '{"id": "1", "person": {"name": "Kim"}}\n{"id": "2", "person": {"name": "Lee", "age": 4}}\n'
    (folder / "people.jsonl").write_text(lines, encoding="utf-8")
    (folder / "others.jsonl").write_text(lines.replace('"age"', '"years"'), encoding="utf-8")

    status = check(options("people.jsonl", overrides=mapped), world, Heard())
    error = refused(world, "others.jsonl", overrides=mapped)

    assert status == 0
    assert str(error) == (
        "others.jsonl has no column 'person.age' (it has: id, person, person.name). Did you mean 'person.name'? "
        "Change mapping.properties.age in config.yaml."
    )


def test_a_check_leaves_nothing_behind(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ["1,Kim,30", "2,Lee,old"])

    check(options("people.csv"), world, Heard())

    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "people.csv"]


def test_standard_input_is_read_from_the_world(folder: Path, world: Environment) -> None:
    assert folder.is_dir()
    heard = Heard()

    check(options("-"), replace(world, stdin=BytesIO(b"id,name,age\n1,Kim,30\n")), heard)

    assert heard.jobs == [("-", 1, 0)]


@pytest.mark.parametrize(
    ("sources", "more", "words"),
    [
        (("-", "-"), {}, "SOURCE '-' is given twice; standard input can be read once."),
        (("-", "/dev/stdin"), {}, "SOURCE '/dev/stdin' is given twice; standard input can be read once."),
        (("/dev/fd/0", "-"), {}, "SOURCE '-' is given twice; standard input can be read once."),
        (("a.csv", "./a.csv"), {}, "SOURCE './a.csv' is given twice. Name it once."),
        (("a.csv", "link.csv"), {}, "SOURCE 'link.csv' is given twice. Name it once."),
        (
            ("a.csv", "b.csv"),
            {"retry_file": Path("r.csv")},
            "--retry-file goes with one SOURCE; with several, set output.retry_file to a template.",
        ),
    ],
)
def test_flags_that_cannot_go_together_are_refused(
    folder: Path, sources: tuple[str, ...], more: dict[str, object], words: str
) -> None:
    (folder / "link.csv").symlink_to("a.csv")

    with pytest.raises(ConfigError) as caught:
        refuse_double_use(options(*sources, **more))

    assert str(caught.value) == words


def test_the_pace_stays_within_the_share_of_the_limit(settings: Load) -> None:
    pace = pace_of(
        settings("rate.requests=1000", "rate.per=10s", "rate.share=50%", "rate.burst=4", "rate.concurrency=8")
    )

    assert pace.burst + pace.rate * 10 <= 500
    assert pace.rate > 45
