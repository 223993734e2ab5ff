"""Explain one row, for people and for programs."""

import json
import shlex
from pathlib import Path

import pytest

from tests.command import Type
from uploader.sandbox import Fault, SandboxRules, running

HEADER = "id,name,age\n"


def write(folder: Path, rows: str, name: str = "people.csv", header: str = HEADER) -> None:
    (folder / name).write_text(header + rows, encoding="utf-8")


def without_time(line: str) -> str:
    before, _, _ = line.partition('"request_datetime"')
    return before + '"request_datetime": …' if before != line else line


def test_a_row_is_shown_from_its_fields_to_its_request(typed: Type, folder: Path) -> None:
    write(folder, "1,Kim,30\n2,O'이,\n")

    ended = typed("explain", "people.csv", "--row", "2")

    assert (ended.status, ended.out) == (0, [])
    assert [without_time(line) for line in ended.err] == [
        "people.csv: row 2 (line 3)",
        "Its fields:",
        '  "id": "2"',
        '  "name": "O\'이"',
        '  "age": ""',
        "Its body:",
        "  {",
        '    "identity": {',
        '      "external_id": "2"',
        "    },",
        '    "user_properties": {',
        '      "df_name": "O\'이"',
        "    },",
        '    "request_datetime": …',
        "  }",
        "Its request, to be pasted into a shell that has the token:",
        (
            "curl -X POST 'https://openapi.dfinery.ai/api/v1/user-profile?service_id=svc' "
            "-H 'Content-Type: application/json' -H \"access_token: $DFINERY_ACCESS_TOKEN\" "
            '-d \'{"identity":{"external_id":"2"},"user_properties":{"df_name":"O\'"\'"\'이"},"request_datetime": …'
        ),
        "No stored run had this row.",
    ]


def test_a_rejected_row_is_shown_with_its_reason_and_no_request(typed: Type, folder: Path) -> None:
    write(folder, "1,Kim,old\n")

    ended = typed("explain", "people.csv", "--row", "1")

    assert (ended.status, ended.err) == (
        0,
        [
            "people.csv: row 1 (line 2)",
            "Its fields:",
            '  "id": "1"',
            '  "name": "Kim"',
            '  "age": "old"',
            "It can't be sent: column 'age': \"old\" is not a whole number.",
            "No stored run had this row.",
        ],
    )


def test_a_damaged_record_is_shown_as_its_text(typed: Type, folder: Path) -> None:
    write(folder, '1,Kim\n2,"a\nb",3,4\n')

    ended = typed("explain", "-", "--row", "2", stdin=(folder / "people.csv").read_bytes())

    assert (ended.status, ended.err) == (
        0,
        [
            "standard input: row 2 (line 3)",
            "Its text, which can't be split into fields:",
            '  "2,\\"a\\nb\\",3,4"',
            "It can't be sent: the record has 4 fields where the header has 3.",
            "No stored run had this row.",
        ],
    )


def test_what_a_terminal_would_obey_is_spelled_out(typed: Type, folder: Path) -> None:
    write(folder, "1,\x1b[31mred\x9b\u202e\x00,\n", header="id,na\u200bme,age\n")

    err = typed("explain", "people.csv", "--row", "1", "--set", "mapping.properties.df_name=id").err

    assert '  "1,\\u001b[31mred\\u009b\\u202e\\u0000,"' in err
    assert "\x1b" not in "".join(err)


def test_of_a_long_value_people_see_the_beginning(typed: Type, folder: Path) -> None:
    write(folder, f"1,{'x' * 9000},30\n")

    err = typed("explain", "people.csv", "--row", "1").err

    assert err[3] == f'  "name": "{"x" * 1999}… (9,002 characters)'
    assert err[5] == "It can't be sent: the properties take more than 8 KB together."


def test_what_a_spreadsheet_may_have_damaged_is_said(typed: Type, folder: Path) -> None:
    write(folder, "1,#N/A,30\n")

    err = typed("explain", "people.csv", "--row", "1").err

    assert [line for line in err if "spreadsheet" in line] == [
        (
            "It is sent as it stands, with a warning: column 'name': "
            '"#N/A" is an error of a spreadsheet, such as #N/A or ####.'
        )
    ]


def test_for_programs_all_is_json_and_nothing_else_is_said(typed: Type, folder: Path) -> None:
    write(folder, "1,Kim,30\n")

    ended = typed("explain", "people.csv", "--row", "1", "--json")

    assert (ended.status, ended.err) == (0, [])
    facts = json.loads("\n".join(ended.out))
    words = shlex.split(facts.pop("curl"))
    assert json.loads(words[-1]) == facts.pop("body")
    assert facts == {
        "source": "people.csv",
        "row": 1,
        "line": 2,
        "retry_file": False,
        "fields": {"id": "1", "name": "Kim", "age": "30"},
        "text": None,
        "cleaning": [],
        "rejected": None,
        "warnings": [],
        "last_run": None,
    }


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--row", "3"), 2, "people.csv has only 2 rows; there is no row 3. Name another one with --row."),
        (("--row", "1", "--set", "mapping.identity.email=mail"), 4, "people.csv has no column 'mail'"),
        (("--row", "0"), 2, "Error: Invalid value for '--row'"),
        ((), 2, "Error: Missing option '--row'"),
    ],
)
def test_what_cannot_be_explained_says_why(
    typed: Type, folder: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    write(folder, "1,Kim,30\n2,Lee,\n")

    ended = typed("explain", "people.csv", *words)

    assert (ended.status, ended.out) == (status, [])
    assert ended.err[-1].startswith(said)


def test_without_a_service_id_it_says_what_it_needs_to_tell_of_runs(typed: Type, folder: Path) -> None:
    write(folder, "1,Kim,30\n")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(config.partition("\n")[2], encoding="utf-8")

    ended = typed("explain", "people.csv", "--row", "1")

    assert ended.status == 0
    assert ended.err[-1] == ("Past runs can't be looked up without the service ID: set DFINERY_SERVICE_ID.")


def test_what_a_run_got_back_is_told_of_each_of_its_rows(typed: Type, folder: Path) -> None:
    write(folder, "1,Kim,30\n2,Lee,old\n3,Park,3\n3,Park,4\n5,Jo,5\n")
    faults = tuple(map(Fault.parse, ("code=40001 for age=3", "drop-after for age=5")))
    with running(SandboxRules(limit=100_000, per=1.0, faults=faults)) as server:
        flags = ("--set", f"api.base_url={server.url}", "--set", "limits.max_rejected=100%")
        run = typed("run", "people.csv", *flags, "--set", "retry.base=1ms", "--set", "retry.attempts=2")
        rows = ("1", "2", "3", "4", "5")
        told = [line for row in rows for line in typed("explain", "people.csv", "--row", row, *flags).err[-2:]]

    assert run.status == 3
    begun = told[1].partition(": accepted")[0]
    assert begun.startswith("Run 20")
    assert begun.endswith(" (finished)")
    assert [line for line in told if not line.startswith(("curl", "It can't"))] == [
        f"{begun}: accepted.",
        f"{begun}: rejected by the check: column 'age': not a whole number.",
        f"{begun}: rejected after 1 attempt: refused by the service: VALIDATION_FAILURE (40001).",
        f"{begun}: accepted, but to be sent again after an earlier row of the same person that was not.",
        f"{begun}: failed after 2 attempts: the connection ended before the reply.",
        "  It may have been sent twice: a reply was lost.",
    ]


def test_what_changed_since_the_run_is_told(typed: Type, folder: Path) -> None:
    write(folder, "1,Kim,30\n2,Lee,3\n")
    with running(SandboxRules(limit=100_000, per=1.0, faults=(Fault.parse("drop-after times 1"),))) as server:
        flags = ("--set", f"api.base_url={server.url}")
        run = typed("run", "people.csv", "--limit", "1", *flags, "--set", "retry.base=1ms")
        limited = typed("explain", "people.csv", "--row", "1", *flags).err[-2:]
        typed("run", "people.csv", *flags)
    write(folder, "1,Kim,31\n2,Lee,3\n")
    changed = typed("explain", "people.csv", "--row", "1", *flags, "--set", "mapping.properties.df_name=id").err[-2:]

    assert run.status == 0
    assert limited[0].endswith(" (finished): accepted.")
    assert limited[1:] == [
        "  It was a run with --limit: whether the file has changed since is unknown.",
    ]
    assert changed == [
        "  The file has changed since: it may have been another row.",
        "  The mapping has changed since: what was sent may differ.",
    ]


def test_a_row_of_a_retry_file_is_shown_with_why_it_is_there(typed: Type, folder: Path) -> None:
    write(folder, "1,Kim,30,480,failed,50000,why,5\n", header="id,name,age,_row,_kind,_code,_reason,_attempts\n")

    err = typed("explain", "people.csv", "--row", "1").err

    assert err[5:10] == [
        '  "_row": "480"',
        '  "_kind": "failed"',
        '  "_code": "50000"',
        '  "_reason": "why"',
        '  "_attempts": "5"',
    ]
