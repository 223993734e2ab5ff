"""What the configuration asks to be cleaned is sent clean, counted, explained, and sent again when that changes."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

import polars as pl
import pytest

from tests.command import Desk
from tests.make import repairs
from uploader.sandbox import RunningSandbox

Start = Callable[..., RunningSandbox]

MAPPING: Final = """\
mapping:
  hash_key: ${HASH_KEY}
  identity:
    external_id: {column: mail, trim: true, case: lower, hash: hmac-sha256}
    phone_no: {column: phone, phone: KR}
  properties:
    df_name: {column: name, trim: true}
    df_gender: {column: sex, values: {남: Male, 여: Female}}
    spent: {column: spent, type: long, strip: [원], thousands: ",", on_error: omit}
    rate: {column: rate, type: double, decimal: ","}
"""
ROWS: Final = [
    {
        "mail": " Kim@example.com",
        "phone": "010-1234-5678",
        "name": "김 ",
        "sex": "남",
        "spent": "1,000원",
        "rate": "1,5",
    },
    {"mail": "lee@example.com", "phone": "1022223333", "name": "이", "sex": "여", "spent": "12,34", "rate": "2"},
    {"mail": "han@example.com", "phone": "12345", "name": " 한", "sex": "남", "spent": "1,000", "rate": "3"},
]


def written(desk: Desk, suffix: str) -> str:
    """Write the rows in the format of *suffix*, and return the file's name."""
    frame, buffer = pl.DataFrame(ROWS), BytesIO()
    match suffix:
        case "csv":
            frame.write_csv(buffer)
        case "jsonl":
            frame.write_ndjson(buffer)
        case _:
            frame.write_parquet(buffer)
    return desk.write(f"people.{suffix}", buffer.getvalue()).name


def sent(server: RunningSandbox) -> list[Any]:
    bodies = [json.loads(request.body) for request in server.sandbox.requests()]
    return [(body["identity"], body["user_properties"]) for body in bodies]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_three_formats_are_cleaned_alike(desk: Desk, sandbox: Start, suffix: str) -> None:
    desk.environ["HASH_KEY"] = "linnet-0815"
    server = sandbox()
    desk.configure(server.url, mapping=MAPPING)

    ended = desk.type("run", written(desk, suffix), "--summary", "summary.json")

    assert ended.status == 3
    kim, lee = sent(server)
    assert kim[0]["phone_no"] == "821012345678"
    assert len(kim[0]["external_id"]) == 64
    assert kim[1] == {"df_name": "김", "df_gender": "Male", "spent": 1000, "rate": 1.5}
    assert lee[0]["phone_no"] == "821022223333"
    assert lee[1] == {"df_name": "이", "df_gender": "Female", "rate": 2.0}
    reason = "column 'spent': not a whole number (thousands: ',')"
    assert desk.summary()["repairs"] == {
        **repairs(trimmed=2, strip=1, case=1, values=2, phone=2, thousands=1, decimal=1, hash=2),
        "omitted": [{"column": "spent", "key": "spent", "code": "not_long", "reason": reason, "values": 1}],
    }
    assert [line for line in ended.err.splitlines() if "value" in line and line.startswith("  ")] == [
        "  2 values were trimmed (trim: true).",
        "  1 value was freed of texts at the ends (strip).",
        "  1 value was put into one case (case).",
        "  2 values were replaced by what is sent for them (values).",
        "  2 values were written as the API writes phone numbers (phone).",
        "  1 value was freed of separators (thousands).",
        "  1 value was given a decimal point (decimal).",
        "  2 values were hashed (hash).",
        f"  1 value was omitted: {reason}.",
    ]
    assert "column 'phone' → phone_no: not a phone number of Korea (phone: KR)" in ended.err
    assert "linnet-0815" not in "".join(
        path.read_text("utf-8", "replace") for path in desk.folder.rglob("*") if path.is_file()
    )


def test_explain_shows_each_value_its_steps_and_what_is_sent(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9", mapping=MAPPING)

    ended = desk.type("explain", written(desk, "csv"), "--row", "1")

    lines = ended.err.splitlines()
    begin = lines.index("What its values are cleaned to:")
    assert lines[begin + 1].startswith(
        '  column \'mail\' → external_id: " Kim@example.com" → trim → "Kim@example.com"'
        ' → case → "kim@example.com" → hash → "'
    )
    assert lines[begin + 2 : begin + 8] == [
        '  column \'phone\' → phone_no: "010-1234-5678" → phone → "821012345678"',
        '  column \'name\' → df_name: "김 " → trim → "김"',
        '  column \'sex\' → df_gender: "남" → values → "Male"',
        '  column \'spent\': "1,000원" → strip → "1,000" → thousands → "1000"',
        '  column \'rate\': "1,5" → decimal → "1.5"',
        "  The hash is made with a placeholder, since the variable of mapping.hash_key is not set.",
    ]


def test_explain_shows_what_is_omitted(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9", mapping=MAPPING)
    name = written(desk, "csv")

    said = desk.type("explain", name, "--row", "2").err
    facts = json.loads(desk.type("explain", name, "--row", "2", "--json").out)

    assert """  omitted: column 'spent': "12,34" is not a whole number (thousands: ',')""" in said.splitlines()
    assert [each["omitted"] for each in facts["cleaning"] if each["omitted"]] == [
        {"code": "not_long", "reason": "column 'spent': not a whole number (thousands: ',')"}
    ]


@pytest.mark.parametrize(
    "change",
    [
        ("mapping.properties.df_name.trim=true",),
        ("mapping.identity.external_id.case=upper",),
        ("mapping.properties.df_name.on_error=omit",),
    ],
    ids=" ".join,
)
def test_a_changed_step_sends_everybody_again(desk: Desk, sandbox: Start, change: tuple[str, ...]) -> None:
    server = sandbox()
    plain = "mapping:\n  identity: {external_id: {column: id}}\n  properties: {df_name: {column: name}}\n"
    desk.configure(server.url, mapping=plain, more="changed_only: true\n")
    desk.people(3)
    desk.type("run", "people.csv", "--summary", "summary.json")
    again = desk.type("run", "people.csv", "--summary", "summary.json")
    assert (again.status, desk.books()) == (0, {"unchanged": 3})

    desk.type("run", "people.csv", "--summary", "summary.json", *(word for one in change for word in ("--set", one)))

    assert desk.books() == {"sent": 3}


def test_a_changed_key_of_the_hashes_sends_everybody_again(desk: Desk, sandbox: Start) -> None:
    server = sandbox()
    hashed = (
        "mapping:\n  hash_key: ${HASH_KEY}\n  identity: {external_id: id}\n"
        "  properties: {p: {column: name, hash: hmac-sha256}}\n"
    )
    desk.configure(server.url, mapping=hashed, more="changed_only: true\n")
    desk.people(2)
    found = []
    for key in ("one-key", "one-key", "another-key"):
        desk.environ["HASH_KEY"] = key
        desk.type("run", "people.csv", "--summary", "summary.json")
        found.append(desk.books())

    assert found == [{"sent": 2}, {"unchanged": 2}, {"sent": 2}]


def test_a_dry_run_needs_no_key_of_hashes(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9", mapping=MAPPING)

    assert desk.type("check", written(desk, "csv")).status == 3
    assert desk.type("run", "people.csv", "--sandbox").status == 3
