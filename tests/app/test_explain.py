"""One row is explained as it is, as it would be sent, and as the last run left it; nothing changes by it."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import CONFIG, begun_with, options, people, request
from uploader.app.explain import Explanation, LastRun, curl, explain, plain, visible
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings, load
from uploader.errors import ConfigError, InputError
from uploader.model import Damaged, Failed, Reason, Rejected, Row, Sent
from uploader.run.environment import Environment
from uploader.run.fingerprints import key_of
from uploader.run.preflight import opened, prepare
from uploader.run.results import new_source_results
from uploader.run.resume import header_of
from uploader.state import Journal, RunHeader, RunStore, read_run

Load = Callable[..., Settings]
STATE = ".uploader"


@pytest.fixture
def five(folder: Path) -> Path:
    return people(folder / "people.csv", ["1,Kim,30", "2,Lee,old", "3,Park", "4,최,", "5,Jo,1"])


def as_begun(
    settings: Settings, world: Environment, name: str = "people.csv", run_id: str = "20260101T000000Z-a"
) -> RunHeader:
    """Return how a run of *name* begins now, under *run_id*."""
    with opened(name, settings, world) as source:
        job = prepare(source, settings, limit=None, summary=CheckSummary())
        account = new_source_results(options(name))[0]
        return replace(
            header_of(settings, job, account, key_of(settings, source), origin=run_id, full=False), run_id=run_id
        )


def run_of_five(begun: RunHeader, *, finished: bool = True) -> None:
    """Leave the journal of a run of five rows of which the fifth is not attempted unless it is *finished*."""
    shelf = RunStore(Path(STATE))
    volume = shelf.create(begun)
    with Journal(volume.path, volume.state) as journal:
        journal.record_facts("life", {"pid": 1, "at": "t", "in_flight": []})
        journal.record(Sent(request(1), 1, unsure=True))
        journal.record(Rejected(Row(2, {}), (), Reason("not_long", "column 'age': not a whole number")))
        journal.record(Failed(request(3), Reason("50000", "the service had a fault"), 5))
        journal.record(Sent(request(4), 1), again=True)
        if finished:
            journal.record(Sent(request(5), 1))
            journal.record_facts("finished", {"status": 3, "at": "t", "seconds": 1.0})
    if finished:
        shelf.compact(read_run(volume.path))


def last_run(world: Environment, number: int) -> LastRun:
    found = explain(options("people.csv"), number, world).last_run
    assert found is not None
    return found


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


# The row


def test_a_row_is_explained_with_its_fields_and_its_body(five: Path, world: Environment) -> None:
    told = explain(options(five.name), 4, world)

    assert told.record == Row(4, {"id": "4", "name": "최", "age": ""}, 5)
    assert told.body is not None
    assert {**told.body, "request_datetime": "now"} == {
        "identity": {"external_id": "4"},
        "user_properties": {"df_name": "최"},
        "request_datetime": "now",
    }
    assert (told.is_retry, told.warnings, told.last_run) == (False, (), None)


def test_a_row_that_the_mapping_rejects_is_explained_with_its_reason_and_has_no_request(
    five: Path, world: Environment
) -> None:
    told = explain(options(five.name), 2, world)

    reason = Reason("not_long", "column 'age': not a whole number")
    row = Row(2, {"id": "2", "name": "Lee", "age": "old"}, 3)
    assert told == Explanation(
        "people.csv",
        is_retry=False,
        work=Rejected(row, ("external_id=2",), reason),
        curl=None,
        warnings=(),
        service_known=True,
        last_run=None,
    )


def test_a_damaged_record_is_explained_with_its_text_and_its_place(five: Path, world: Environment) -> None:
    told = explain(options(five.name), 3, world)

    assert told.record == Damaged(3, Reason("fields", "the record has 2 fields where the header has 3"), 4, "3,Park")
    assert told.facts() == {
        "source": "people.csv",
        "row": 3,
        "line": 4,
        "retry_file": False,
        "fields": None,
        "text": "3,Park",
        "cleaning": [],
        "body": None,
        "rejected": {"code": "fields", "reason": "the record has 2 fields where the header has 3"},
        "warnings": [],
        "curl": None,
        "last_run": None,
    }


def test_what_a_spreadsheet_may_have_damaged_is_told(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ["1,#N/A,30"])

    told = explain(options("people.csv"), 1, world)

    assert [reason.code for reason in told.warnings] == ["sheet_error"]


@pytest.mark.parametrize(
    ("rows", "found"), [([], "no rows"), (["1,a,1"], "only 1 row"), (["1,a,1"] * 3000, "only 3,000 rows")]
)
def test_a_row_beyond_the_end_is_refused_with_how_many_there_are(
    folder: Path, world: Environment, rows: list[str], found: str
) -> None:
    people(folder / "people.csv", rows)

    with pytest.raises(ConfigError) as refused:
        explain(options("people.csv"), 4000, world)

    assert str(refused.value) == (f"people.csv has {found}; there is no row 4,000. Name another one with --row.")


def test_a_row_before_the_place_where_a_file_breaks_off_is_explained(folder: Path, world: Environment) -> None:
    (folder / "people.csv").write_text('id,name,age\n1,Kim,30\n2,"Lee', encoding="utf-8")

    assert explain(options("people.csv"), 1, world).record == Row(1, {"id": "1", "name": "Kim", "age": "30"}, 2)
    with pytest.raises(InputError):
        explain(options("people.csv"), 2, world)


def test_the_rows_of_standard_input_and_of_a_retry_file_are_explained(folder: Path, world: Environment) -> None:
    content = b"id,name,age,_row,_kind,_code,_reason,_attempts\n1,Kim,30,480,failed,50000,why,5\n"

    told = explain(options("-"), 1, replace(world, stdin=BytesIO(content)))

    assert told.is_retry
    assert isinstance(told.record, Row)
    assert told.record.fields["_row"] == "480"
    assert told.body is not None
    assert told.body["identity"] == {"external_id": "1"}
    assert folder.is_dir()


def test_a_parquet_row_is_plain_data_for_programs(folder: Path, world: Environment) -> None:
    day, moment = date(2024, 3, 5), datetime(2024, 3, 5, tzinfo=UTC)
    pl.DataFrame(
        {"id": ["1"], "name": ["Kim"], "age": [30], "day": [day], "at": [moment], "raw": [b"\xff"], "none": [None]}
    ).write_parquet(folder / "people.parquet")

    facts = explain(options("people.parquet"), 1, world).facts()

    assert json.loads(json.dumps(facts["fields"], allow_nan=False)) == {
        "id": "1",
        "name": "Kim",
        "age": 30,
        "day": "2024-03-05",
        "at": "2024-03-05 00:00:00+00:00",
        "raw": "b'\\xff'",
        "none": None,
    }
    assert facts["line"] is None


def test_what_json_has_no_type_for_is_text() -> None:
    assert plain({"a": [float("nan"), Decimal("1.50"), 2**70, True], "b": {"c": float("inf")}}) == {
        "a": ["nan", "1.50", 2**70, True],
        "b": {"c": "inf"},
    }


# The command to paste


def words_of(command: str, **environ: str) -> list[str]:
    """Return the words that a shell makes of *command*, its first one left out."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{command}\n"
    done = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": os.environ["PATH"], **environ}, check=True, capture_output=True
    )
    return done.stdout.decode().split("\0")[:-1]


def test_the_command_is_what_a_run_sends_with_the_token_of_the_shell_that_it_is_pasted_into(settings: Load) -> None:
    body = '{"a":"it\'s \\"한글\\"\\n$HOME `id` \\\\ ! %s"}'.encode()

    command = curl(settings("api.service_id=a b&c'd".replace(" ", "_")), body)

    assert "canary" not in command
    assert words_of(command, DFINERY_ACCESS_TOKEN="from the shell") == [
        "-X",
        "POST",
        "https://openapi.dfinery.ai/api/v1/user-profile?service_id=a_b%26c'd",
        "-H",
        "Content-Type: application/json",
        "-H",
        "access_token: from the shell",
        "-d",
        body.decode(),
    ]


def test_without_a_service_id_the_command_takes_it_from_the_shell(folder: Path, world: Environment) -> None:
    config = CONFIG.replace("svc", "'${DFINERY_SERVICE_ID}'").replace("canary", "'${DFINERY_ACCESS_TOKEN}'")
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    people(folder / "people.csv", ["1,Kim,30"])

    told = explain(options("people.csv"), 1, world)

    assert (told.service_known, told.last_run) == (False, None)
    assert told.curl is not None
    assert words_of(told.curl, DFINERY_SERVICE_ID="svc-1")[2].endswith("/user-profile?service_id=svc-1")


def test_a_token_of_the_configuration_is_nowhere_in_an_explanation(five: Path, world: Environment) -> None:
    assert "canary" not in repr(explain(options(five.name), 1, world))


@given(st.text())
def test_a_body_says_the_same_when_nothing_of_it_is_hidden(text: str) -> None:
    body = json.dumps({"a": text}, ensure_ascii=False, indent=2)

    shown = visible(body)

    assert json.loads(shown) == {"a": text}
    assert shown.replace("\n", "").isprintable()


# The last run


@pytest.mark.usefixtures("five")
def test_a_finished_run_tells_what_became_of_each_row(world: Environment, settings: Load) -> None:
    run_of_five(as_begun(settings(), world))

    found = [last_run(world, number) for number in (1, 2, 3, 4, 5)]

    assert [(one.fate, one.code, one.reason, one.attempts) for one in found] == [
        ("accepted", "", "", None),
        ("rejected", "not_long", "column 'age': not a whole number", 0),
        ("failed", "50000", "the service had a fault", 5),
        ("again", "", "", 1),
        ("accepted", "", "", None),
    ]
    assert {(one.run_id, one.ended, one.file_changed, one.mapping_changed) for one in found} == {
        ("20260101T000000Z-a", "finished", False, False)
    }


@pytest.mark.usefixtures("five")
def test_an_interrupted_run_tells_which_rows_were_not_attempted_and_which_perhaps_sent_twice(
    world: Environment, settings: Load
) -> None:
    run_of_five(as_begun(settings(), world), finished=False)

    found = [last_run(world, number) for number in (1, 5)]

    assert [(one.ended, one.fate, one.maybe_sent_twice) for one in found] == [
        ("interrupted", "accepted", True),
        ("interrupted", "not attempted", False),
    ]


@pytest.mark.usefixtures("five")
def test_the_newest_run_that_had_the_row_is_the_one_that_is_told(world: Environment, settings: Load) -> None:
    whole = as_begun(settings(), world)
    run_of_five(whole)
    RunStore(Path(STATE)).create(begun_with(whole, run_id="20260102T000000Z-b", rows=2, limit=2, content=""))
    RunStore(Path(STATE)).create(replace(whole, run_id="20260103T000000Z-c", key="another"))

    found = [last_run(world, number) for number in (2, 3)]

    assert [(one.run_id, one.fate, one.file_changed) for one in found] == [
        ("20260102T000000Z-b", "not attempted", None),
        ("20260101T000000Z-a", "failed", False),
    ]


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_of_runs_begun_in_one_second_the_one_written_last_is_told(
    world: Environment, settings: Load, order: str
) -> None:
    for moment, letter in enumerate(order, 1):
        whole = replace(as_begun(settings(), world), run_id=f"20260101T000000Z-{letter}")
        os.utime(RunStore(Path(STATE)).create(whole).path, (moment, moment))

    assert last_run(world, 1).run_id == f"20260101T000000Z-{order[-1]}"


def test_a_file_or_a_mapping_that_changed_since_the_run_is_told(five: Path, world: Environment, settings: Load) -> None:
    run_of_five(as_begun(settings(), world))

    five.write_text(five.read_text(encoding="utf-8") + "6,Han,1\n", encoding="utf-8")
    other_file = last_run(world, 1)
    changed = replace(options(five.name), overrides=("mapping.properties.df_name=id",))
    other_both = explain(changed, 1, world).last_run

    assert (other_file.file_changed, other_file.mapping_changed) == (True, False)
    assert other_both is not None
    assert (other_both.file_changed, other_both.mapping_changed) == (True, True)


def test_the_run_of_another_service_is_not_told(five: Path, world: Environment, settings: Load) -> None:
    run_of_five(as_begun(settings("api.service_id=other"), world))

    assert explain(options(five.name), 1, world).last_run is None


def test_explaining_makes_no_state_and_changes_none(
    five: Path, folder: Path, world: Environment, settings: Load
) -> None:
    explain(options(five.name), 1, world)
    assert not (folder / STATE).exists()
    began = as_begun(settings(), world)
    with RunStore(folder / STATE).lock("x", since="t"):
        run_of_five(began, finished=False)
    explain(options(five.name), 1, world)
    before = files(folder)

    explain(options(five.name), 1, world)

    assert files(folder) == before


def test_a_configuration_without_credentials_is_enough(folder: Path, world: Environment) -> None:
    (folder / "config.yaml").write_text(CONFIG.partition("\n")[2], encoding="utf-8")
    people(folder / "people.csv", ["1,Kim,30"])
    with pytest.raises(ConfigError):
        load(Path("config.yaml"), environ={})

    assert explain(options("people.csv"), 1, world).body is not None
