"""Show values of rows to those who ask for them, and to nobody else: `--show-values`, and the retry file."""

import json
from collections.abc import Callable, Sequence

import polars as pl
import pytest

from tests.command import Desk, plain, rules
from uploader.sandbox import RunningSandbox

RUN = ("run", "people.csv", "--set", "rate.concurrency=1", "--summary", "summary.json")
MAPPING = """\
mapping:
  identity: {external_id: id}
  properties:
    df_birth: {column: 생년월일, type: date, format: "%Y.%m.%d"}
    df_gender: {column: 성별, values: {남: Male, 여: Female}}
    joined: {column: 가입, type: date, on_error: omit}
    memo: memo
"""
HEADER = "id,생년월일,성별,가입,memo\n"
FOUND = '"1900.02.30" is not a date (%Y.%m.%d)'
ROWS = [
    "1,1990.01.02,남,2020-01-02,x",
    "2,1900.02.30,여,2020-01-02,x",
    "3,1990.01.02,M,2020-01-02,x",
    "4,1990.01.02,M,2020-01-02,x",
    "5,1990.01.02,남,soon,x",
    "6,1990.01.02,여,2020-01-02,#REF!",
]
MESSAGE = "df_name '홍길동' is not allowed"
VALUES = ("1900.02.30", '"M"', "soon", "#REF!", MESSAGE)


def people(desk: Desk, rows: Sequence[str] = ROWS) -> None:
    desk.write("people.csv", HEADER + "".join(f"{row}\n" for row in rows))


@pytest.fixture
def service(desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Configure a service that refuses rows with a message of its own."""

    def configure(*faults: str, mapping: str = MAPPING, message: str = MESSAGE) -> None:
        monkeypatch.setattr("uploader.sandbox.api_replies.MESSAGES", {"20000": "OK", "40001": message})
        desk.configure(sandbox(rules(*faults)).url, mapping=mapping)

    return configure


def test_a_check_shows_what_it_found_beside_what_was_expected(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1", mapping=MAPPING)
    people(desk)

    ended = desk.type("check", "people.csv", "--show-values")

    assert (ended.status, ended.err.splitlines()[:-1]) == (
        3,
        [
            "people.csv: 6 rows, 3 can be sent, 3 can't.",
            "  column '성별' → df_gender: \"M\" is not one of values (남, 여): row 3 (line 4), row 4 (line 5)",
            f"  column '생년월일' → df_birth: {FOUND}: row 2 (line 3)",
            "  3 values were replaced by what is sent for them (values).",
            "  1 value was omitted: column '가입' → joined: \"soon\" is not a date (%Y-%m-%d): row 5 (line 6).",
            "  Warnings, of rows that can be sent all the same:",
            "    column 'memo': \"#REF!\" is an error of a spreadsheet, such as #N/A or ####: row 6 (line 7)",
        ],
    )


def test_a_check_says_what_was_expected_and_no_value_unless_it_is_asked(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1", mapping=MAPPING)
    people(desk)

    ended = desk.type("check", "people.csv", "-v", "--json")

    lines = ended.err.splitlines()
    assert "people.csv: row 2 (line 3): column '생년월일' → df_birth: not a date (%Y.%m.%d)" in lines
    assert "  column '생년월일' → df_birth: not a date (%Y.%m.%d): row 2 (line 3)" in lines
    assert "  1 value was omitted: column '가입' → joined: not a date (%Y-%m-%d)." in lines
    assert [value for value in VALUES if value in ended.err + ended.out] == []


def test_each_row_is_named_with_its_value_if_both_are_asked_for(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1", mapping=MAPPING)
    people(desk)

    ended = desk.type("check", "people.csv", "-v", "--show-values")

    assert ended.err.splitlines()[:3] == [
        f"people.csv: row 2 (line 3): column '생년월일' → df_birth: {FOUND}",
        "people.csv: row 3 (line 4): column '성별' → df_gender: \"M\" is not one of values (남, 여)",
        "people.csv: row 4 (line 5): column '성별' → df_gender: \"M\" is not one of values (남, 여)",
    ]


def test_of_many_values_the_most_frequent_are_shown_and_the_other_rows_counted(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1", mapping=MAPPING)
    people(desk, [f"{n},1990.01.02,{'M' if n > 10 else f'x{n}'},2020-01-02,x" for n in range(1, 21)])

    lines = desk.type("check", "people.csv", "--show-values").err.splitlines()

    label = "column '성별' → df_gender:"
    expected = "not one of values (남, 여)"
    assert lines == [
        "people.csv: 20 rows, 0 can be sent, 20 can't.",
        f'  {label} "M" is {expected} (10 rows): row 11 (line 12), row 12 (line 13), row 13 (line 14), …',
        *(f'  {label} "x{n}" is {expected}: row {n} (line {n + 1})' for n in range(1, 5)),
        f"  {label} {expected} (6 other rows)",
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_values_of_other_formats_are_shown_as_they_stand_there(desk: Desk, suffix: str) -> None:
    mapping = "mapping: {identity: {external_id: id}, properties: {age: {column: home.age, type: long}}}\n"
    desk.configure("http://127.0.0.1:1", mapping=mapping)
    rows = [{"id": "1", "home": {"age": 1.5}}, {"id": "2", "home": {"age": 2.0}}]
    if suffix == "jsonl":
        desk.write("people.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        pl.DataFrame(rows).write_parquet(desk.folder / "people.parquet")

    ended = desk.type("check", f"people.{suffix}", "--show-values")

    assert any(
        line.startswith("  column 'home.age' → age: 1.5 is not a whole number: row 1")
        for line in ended.err.splitlines()
    )


def test_a_run_shows_values_and_the_message_of_the_service(desk: Desk, service: Callable[..., None]) -> None:
    service("code=40001 for external_id=6")
    people(desk)

    ended = desk.type(*RUN, "--show-values")

    problems = [
        "  column '성별' → df_gender: \"M\" is not one of values (남, 여): row 3 (line 4), row 4 (line 5)",
        f"  column '생년월일' → df_birth: {FOUND}: row 2 (line 3)",
    ]
    assert (ended.status, plain(ended.err)[:-2]) == (
        3,
        [
            "people.csv: 3 of 6 rows can't be sent.",
            *problems,
            "  Warnings, of rows that can be sent all the same:",
            "    column 'memo': \"#REF!\" is an error of a spreadsheet, such as #N/A or ####: row 6 (line 7)",
            "people.csv: 6 rows, 3 requests in 0 s",
            "  accepted               2",
            "  rejected               4",
            "  failed                 0",
            "  3 values were replaced by what is sent for them (values).",
            "  1 value was omitted: column '가입' → joined: \"soon\" is not a date (%Y-%m-%d): row 5 (line 6).",
            "Not accepted:",
            *problems,
            f'  refused by the service: VALIDATION_FAILURE (40001): "{MESSAGE}": row 6 (line 7)',
        ],
    )


REASONS = [
    (2, f"column '생년월일' → df_birth: {FOUND}"),
    (3, "column '성별' → df_gender: \"M\" is not one of values (남, 여)"),
    (4, "column '성별' → df_gender: \"M\" is not one of values (남, 여)"),
    (6, f'refused by the service: VALIDATION_FAILURE (40001): "{MESSAGE}"'),
]


@pytest.mark.parametrize("flags", [(), ("--show-values",), ("-q", "--show-values")], ids=" ".join)
def test_the_retry_file_says_both_and_nothing_else_that_is_written_does(
    desk: Desk, service: Callable[..., None], flags: Sequence[str]
) -> None:
    service("code=40001 for external_id=6")
    people(desk)

    ended = desk.type(*RUN, "-vv", *flags)

    assert [(row[0], row[3]) for row in desk.retry_rows()] == REASONS
    assert_not_kept(desk)
    if flags != ("--show-values",):
        assert [value for value in VALUES if value in ended.err + ended.out] == []


STOPPING = ("code=40001 for external_id=1", "code=40001 for external_id=6", "code=40201 for external_id=5 times 1")
"""Row 2 is refused before the run stops, row 7 after it was resumed; row 1 is accepted first."""


@pytest.mark.parametrize("spoil", [b"", b"9,half a r"], ids=["whole", "half a row more"])
def test_a_resumed_run_keeps_the_reasons_that_its_retry_file_had(
    desk: Desk, service: Callable[..., None], monkeypatch: pytest.MonkeyPatch, spoil: bytes
) -> None:
    service(*STOPPING)
    people(desk, [ROWS[0].replace("1", "0", 1), *ROWS])

    first = desk.type(*RUN)
    before = [(row[0], row[3]) for row in desk.retry_rows()]
    path = desk.folder / "people.retry.csv"
    path.write_bytes(path.read_bytes() + spoil)
    monkeypatch.setattr("uploader.sandbox.api_replies.MESSAGES", {"20000": "OK", "40001": "another"})
    second = desk.type(*RUN)

    assert (first.status, second.status) == (5, 3)
    of_check = [(number + 1, reason) for number, reason in REASONS[:3]]
    of_service = (2, REASONS[-1][1])
    assert before == [of_service, *of_check]
    assert [(row[0], row[3]) for row in desk.retry_rows()] == [
        of_service,
        *of_check,
        (7, REASONS[-1][1].replace(MESSAGE, "another")),
    ]
    assert_not_kept(desk)


def test_a_resumed_run_shows_its_values_and_counts_the_rows_whose_message_is_gone(
    desk: Desk, service: Callable[..., None]
) -> None:
    service(*STOPPING)
    people(desk, [ROWS[0].replace("1", "0", 1), *ROWS])

    assert desk.type(*RUN).status == 5
    lines = desk.type(*RUN, "--show-values").err.splitlines()

    phrase = "refused by the service: VALIDATION_FAILURE (40001)"
    start = lines.index(f'  {phrase}: "{MESSAGE}": row 7 (line 8)')
    assert lines[start + 1] == f"  {phrase} (1 other row)"


def test_the_rows_merged_into_a_refused_one_have_its_message(desk: Desk, service: Callable[..., None]) -> None:
    service("code=40001 for external_id=1")
    people(desk, [ROWS[0], "1,1990.01.03,남,2020-01-02,y"])

    assert desk.type(*RUN, "--set", "coalesce=true").status == 3

    assert [(row[0], row[3]) for row in desk.retry_rows()] == [(1, REASONS[-1][1]), (2, REASONS[-1][1])]


def test_a_dry_run_says_why_the_sandbox_refuses_a_row(desk: Desk) -> None:
    mapping = (
        "mapping: {identity: {external_id: id}, properties: {joined: {column: joined, type: string}}}\n"
        "registered: {joined: date}\n"
    )
    desk.configure("http://127.0.0.1:1", mapping=mapping)
    desk.write("people.csv", "id,joined\n1,2024-01-02\n2,soon\n")

    ended = desk.type("run", "people.csv", "--sandbox", "--show-values")

    why = '"joined: wanted date, found a string of another form"'
    assert f"  refused by the service: VALIDATION_FAILURE (40001): {why}: row 2 (line 3)" in ended.err.splitlines()


def test_the_retry_file_of_an_encoding_without_an_arrow_says_it_all_the_same(
    desk: Desk, service: Callable[..., None]
) -> None:
    mapping = "mapping: {identity: {external_id: id}, properties: {df_birth: {column: born, type: date}}}\n"
    service("code=40001 for external_id=2", mapping=mapping)
    desk.write("people.csv", "id,born\n1,é\n2,1990-01-02\n".encode("cp1252"))

    assert desk.type(*RUN, "--set", "source.encoding=cp1252").status == 3

    lines = (desk.folder / "people.retry.csv").read_bytes().decode("cp1252").splitlines()
    assert 'column \'born\' -> df_birth: ""é"" is not a date (%Y-%m-%d)' in lines[1]
    assert "df_name '\\ud64d\\uae38\\ub3d9' is not allowed" in lines[2]


def test_values_with_escape_sequences_reach_no_terminal(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1", mapping=MAPPING)
    people(desk, ["1,\x1b[2J\u202e,남,2020-01-02,x"])

    ended = desk.type("check", "people.csv", "--show-values")

    assert '"\\u001b[2J\\u202e" is not a date (%Y.%m.%d)' in ended.err
    assert "\x1b" not in ended.err


def test_the_value_that_joins_people_and_an_odd_identity_are_shown(desk: Desk) -> None:
    mapping = "mapping: {identity: {external_id: id, phone_no: 폰}, properties: {memo: memo}}\n"
    desk.configure("http://127.0.0.1:1", mapping=mapping)
    rows = [f"m{number},01000000000,x\n" for number in range(7)]
    desk.write("people.csv", "".join(["id,폰,memo\n", *rows, "1001.0,01012345678,x\n", "9,N/A,x\n"]))

    checked, ran = (desk.type(*words, "people.csv", "--show-values") for words in (("check",), ("run", "--sandbox")))
    silent = desk.type("run", "people.csv", "--sandbox", "--summary", "summary.json")

    odd = "column 'id' → external_id: \"1001.0\" is a number with .0, as programs write it that took the ID for one; "
    nothing = "column '폰' → phone_no: \"N/A\" is a word for nothing (such as N/A or -), which is no identity"
    assert (checked.status, ran.status, silent.status) == (4, 4, 4)
    for ended in (checked, ran):
        assert f"  {odd}expected the ID without .0: row 8 (line 9)" in ended.err.splitlines()
        assert f"    {nothing}: row 9 (line 10)" in ended.err.splitlines()
    beside = "people, each with another value of column 'id' → external_id (in 7 rows: 1, 2, 3, …)"
    assert f"  column '폰' → phone_no: \"01000000000\" joins 7 {beside}" in checked.err.splitlines()
    places = "row 1 (line 2), row 2 (line 3), row 3 (line 4), …"
    assert f'  phone_no "01000000000" joins 7 people: {places}' in ran.err.splitlines()
    for ended in (checked, ran):
        assert f"people.csv: column '폰' → phone_no: \"01000000000\" joins 7 {beside}. Nothing was sent" in ended.err
        assert "one value" not in ended.err
    assert f"people.csv: column '폰' → phone_no: one value joins 7 {beside}. Nothing was sent" in silent.err
    values = ("01000000000", "1001.0", '"N/A"')
    kept = silent.err + (desk.folder / "summary.json").read_text(encoding="utf-8")
    assert [value for value in values if value in kept] == []


def assert_not_kept(desk: Desk) -> None:
    """Assert that neither the summary nor the state folder holds a value, in any spelling."""
    kept = [desk.folder / "summary.json", *(desk.folder / ".uploader").rglob("*")]
    texts = [text for value in VALUES for text in (value, json.dumps(value)[1:-1], value.strip('"'))]
    long = [text.encode() for text in texts if len(text) > 3]
    files = [path for path in kept if path.is_file()]
    assert any(b"not a date" in path.read_bytes() for path in files)
    assert [(path, text) for path in files for text in long if text in path.read_bytes()] == []
