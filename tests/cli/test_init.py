"""What `uploader init` writes and says, and that it can be used as it is."""

import bz2
import csv
import gzip
import json
import stat
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from tests.command import Type

pytestmark = pytest.mark.no_cover

SAMPLES: Final = Path(__file__).parents[2] / "samples"
PEOPLE: Final = """\
회원번호,이름,이메일,휴대폰,생년월일,나이,등급,푸시수신동의,문자수신거부,가입일시,a: b
0001,이하은,p1@example.com,010-1111-2222,1990-01-02,31,골드,동의,N,2024-01-02 03:04:05,yes
0002,김유나,p2@example.com,010-1111-2223,1991-02-03,32,실버,거부,Y,2024-01-03 03:04:05,no
0003,임현우,p3@example.com,010-1111-2224,1992-03-04,,골드,동의,N,2024-01-04 03:04:05,1
"""
WRITTEN: Final = """\
# yaml-language-server: $schema=config.schema.json
# Guessed from people.csv, from all its 3 rows. Each guess says why; what is marked REVIEW needs a
# look.

api:
  service_id: ${DFINERY_SERVICE_ID}       # of your service, from the environment
  access_token: ${DFINERY_ACCESS_TOKEN}   # its import API token; or access_token_file: PATH

source:
  encoding: cp949                             # it is not UTF-8, and the whole file reads as this
  # so the header and the first records fall into the same number of cells
  delimiter: ";"

mapping:
  # Who a row is about. Rows that share one of these values are one person.
  identity:
    external_id: 회원번호                     # by its name; all 3 rows have it
    # by its name and because all 3 values look like an e-mail address
    email: 이메일
    # by its name and because all 3 values look like a phone number
    phone_no: {column: 휴대폰, phone: KR}

  # What is stored: the name as it is registered in the console, and its column. Change the names.
  properties:
    df_name: 이름                             # by its name; text
    df_birth: {column: 생년월일, type: date}  # by its name; all 3 values are dates
    나이: {column: 나이, type: long}          # all 2 values are whole numbers
    df_membership: 등급                       # by its name; text
    # a consent, by its name; 3 values
    # REVIEW: df_push_optin is deprecated: it is sent as df_push_ads_optin, too; delete the one
    # that your service does not use
    df_push_optin: {column: 푸시수신동의, type: boolean, true: [동의], false: [거부]}
    # the same column, in the place of df_push_optin
    df_push_ads_optin: {column: 푸시수신동의, type: boolean, true: [동의], false: [거부]}
    # all 3 values are words for true and false
    # REVIEW: by its name it says who refused, the opposite of a consent; if all others agreed,
    # write
    # df_sms_ads_optin: {column: 문자수신거부, type: boolean, true: ["n"], false: ["y"]}
    문자수신거부: {column: 문자수신거부, type: boolean}
    # REVIEW: times without a zone are read as Asia/Seoul, a guess
    가입일시: {column: 가입일시, type: datetime, timezone: Asia/Seoul}  # all 3 values are times
    "a: b": {column: "a: b", type: boolean}   # all 3 values are words for true and false

# The names and types of your properties as the console shows them; correct them. What is not so
# registered, the service would accept and not store. Names that begin with df_ need none.
registered:
  나이: long
  문자수신거부: boolean
  가입일시: datetime
  "a: b": boolean

# The limit of your service; these are the defaults.
# rate:
#   requests: 10000           # so many requests …
#   per: 1m                   # … in each window
#   share: 0.95               # how much of it this run may use
"""
TWINS: Final[dict[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "cp949": ("csv", lambda content: content.decode().encode("cp949", "replace")),
    "utf-16": ("csv", lambda content: content.decode().encode("utf-16")),
    "utf-8 with a mark": ("csv", lambda content: content.decode().encode("utf-8-sig")),
    "semicolons": ("csv", lambda content: content.decode().replace(",", ";").encode()),
    "tabs": ("tsv", lambda content: content.decode().replace(",", "\t").encode()),
    "cp949 with bars": (
        "txt",
        lambda content: content.decode().replace("|", "/").replace(",", "|").encode("cp949", "replace"),
    ),
    "gzip": ("csv.gz", gzip.compress),
    "bzip2": ("csv.bz2", bz2.compress),
}
"""Ways to write the CSV sample, each with the suffix of its name."""

BEGINNING: Final = b"".join((SAMPLES / "profiles.csv").read_bytes().splitlines(keepends=True)[:1_101])
"""The header of the CSV sample and its first rows: enough of every kind of value, two broken ones among them."""


FAST: Final = ("--set", "rate.requests=1000000")


@pytest.fixture
def empty_folder(folder: Path) -> Path:
    """Return the working directory, without a `config.yaml`."""
    (folder / "config.yaml").unlink()
    return folder


def test_the_whole_configuration_is_as_it_is_meant(typed: Type, empty_folder: Path) -> None:
    (empty_folder / "people.csv").write_bytes(PEOPLE.replace(",", ";").encode("cp949"))

    ended = typed("init", "people.csv")

    assert (ended.status, ended.out) == (0, [])
    assert ended.err == [
        "config.yaml is written, guessed from all 3 rows of people.csv:",
        "  encoding: cp949",
        "  delimiter: ;",
        "  identity: external_id from '회원번호', email from '이메일', phone_no from '휴대폰'",
        "  9 properties",
        "  consent: df_push_optin from '푸시수신동의'",
        "  consent: df_push_ads_optin from '푸시수신동의'",
        "REVIEW these first, what can do most harm at the top:",
        (
            "  '푸시수신동의': df_push_optin is deprecated: it is sent as df_push_ads_optin, too; delete the one that "
            "your service does not use"
        ),
        "  '문자수신거부': by its name it says who refused, the opposite of a consent; if all others agreed, write",
        '    df_sms_ads_optin: {column: 문자수신거부, type: boolean, true: ["n"], false: ["y"]}',
        "  '가입일시': times without a zone are read as Asia/Seoul, a guess",
        "config.schema.json is written too: editors complete and check config.yaml by it.",
        "Each guess says why in a comment. Look them through, then type:",
        "  uploader check people.csv",
        "  uploader run people.csv --sandbox",
    ]
    assert (empty_folder / "config.yaml").read_text(encoding="utf-8") == WRITTEN


@pytest.mark.long
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_sample_is_guessed_checked_and_rehearsed_without_any_editing(
    typed: Type, empty_folder: Path, suffix: str
) -> None:
    source = f"people.{suffix}"
    (empty_folder / source).write_bytes((SAMPLES / f"profiles.{suffix}").read_bytes())

    guessed, checked, rehearsed = (
        typed("init", source),
        typed("check", source),
        typed("run", source, "--sandbox", *FAST),
    )

    assert (guessed.status, checked.status, rehearsed.status) == (0, 3, 3)
    sent, rejected = ("2,994", 6) if suffix == "parquet" else ("2,992", 8)
    assert checked.err[0] == f"{source}: 3,000 rows, {sent} can be sent, {rejected} can't."
    assert f"  accepted           {sent}" in rehearsed.err
    assert [line for line in rehearsed.err if "NOT STORED" in line] == []


@pytest.mark.parametrize("twin", TWINS)
def test_a_sample_that_is_written_in_another_way_passes_its_check(typed: Type, empty_folder: Path, twin: str) -> None:
    suffix, write = TWINS[twin]
    (empty_folder / f"people.{suffix}").write_bytes(write(BEGINNING))

    guessed, checked = typed("init", f"people.{suffix}"), typed("check", f"people.{suffix}")

    assert (guessed.status, checked.status) == (0, 3)
    assert checked.err[0] == f"people.{suffix}: 1,100 rows, 1,096 can be sent, 4 can't."


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_numbers_that_a_program_wrote_as_floats_are_sent_as_whole_ones(
    typed: Type, empty_folder: Path, suffix: str
) -> None:
    source = f"people.{suffix}"
    ids = [1001.0 + at if at % 7 else None for at in range(40)]
    ages = [20.0 + at if at % 3 else None for at in range(40)]
    emails = [f"p{at}@example.com" for at in range(40)]
    frame = pl.DataFrame({"customer_id": ids, "email": emails, "age": ages, "city": ["Seoul"] * 40})
    match suffix:
        case "csv":
            frame.write_csv(empty_folder / source)
        case "jsonl":
            frame.write_ndjson(empty_folder / source)
        case _:
            frame.write_parquet(empty_folder / source)

    guessed, checked, explained = typed("init", source), typed("check", source), typed("explain", source, "--row", "2")

    assert (guessed.status, checked.status, explained.status) == (0, 0, 0)
    assert checked.err[0] == f"{source}: 40 rows, all can be sent."
    assert '"external_id": "1002"' in "\n".join(explained.err)
    assert '"age": 21,' in "\n".join(explained.err)


def test_json_lines_that_are_called_csv_are_known_by_what_they_hold(typed: Type, empty_folder: Path) -> None:
    (empty_folder / "people.csv").write_bytes((SAMPLES / "profiles.jsonl").read_bytes())

    guessed, checked = typed("init", "people.csv"), typed("check", "people.csv")

    assert (guessed.status, guessed.err[1], checked.status) == (0, "  format: jsonl", 3)


def test_standard_input_is_guessed_about_like_a_file(typed: Type, empty_folder: Path) -> None:
    content = PEOPLE.replace(",", "\t").encode("cp949")

    guessed, checked = typed("init", "-", stdin=content), typed("check", "-", stdin=content)

    assert (guessed.status, checked.status, checked.err[0]) == (0, 0, "standard input: 3 rows, all can be sent.")
    assert guessed.err[0] == "config.yaml is written, guessed from all 3 rows of standard input:"
    assert (empty_folder / "config.yaml").is_file()


def test_the_configuration_goes_where_it_is_wanted_and_the_next_commands_say_so(
    typed: Type, empty_folder: Path
) -> None:
    (empty_folder / "-my people.csv").write_text("user_id,city\n1,Seoul\n", encoding="utf-8")

    ended = typed("init", "--config", "my config.yaml", "--", "-my people.csv")

    assert ended.err[-2:] == [
        "  uploader check './-my people.csv' --config 'my config.yaml'",
        "  uploader run './-my people.csv' --config 'my config.yaml' --sandbox",
    ]
    assert sorted(path.name for path in empty_folder.iterdir() if path.suffix != ".csv") == [
        "config.schema.json",
        "my config.yaml",
    ]
    assert stat.S_IMODE((empty_folder / "my config.yaml").stat().st_mode) & 0o600 == 0o600


def test_an_existing_configuration_is_never_overwritten(typed: Type, folder: Path) -> None:
    before = (folder / "config.yaml").read_bytes()

    ended = typed("init", "nowhere.csv")

    assert (ended.status, ended.err) == (
        2,
        ["config.yaml exists, and is never overwritten. Name another one with --config."],
    )
    assert (folder / "config.yaml").read_bytes() == before


def test_a_link_that_leads_nowhere_is_not_followed(typed: Type, empty_folder: Path) -> None:
    (empty_folder / "config.yaml").symlink_to("elsewhere.yaml")

    ended = typed("init", "nowhere.csv")

    assert ended.status == 2
    assert not (empty_folder / "elsewhere.yaml").exists()


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ("kind,city\na,b\na,b\n", 4, "people.csv: no column says whose row it is:"),
        ("user_id,email\n1,p@example.com\n", 4, "people.csv: there is no column to store, besides who"),
        (
            "user_id,memo\n1,\n2,\n",
            4,
            "people.csv: there is no column to store, besides who a row is about. Left out are 'memo': empty in every",
        ),
        ("p@example.com,Seoul\nq@example.com,Busan\n", 4, "people.csv: its first line looks like a row, not like a"),
        ("user_id,city\n1", 4, "people.csv: the last record (record 1, line 2) is incomplete"),
        ("", 4, "people.csv is empty."),
    ],
)
def test_what_could_not_be_sent_is_refused_and_nothing_is_written(
    typed: Type, empty_folder: Path, content: str, status: int, words: str
) -> None:
    (empty_folder / "people.csv").write_text(content, encoding="utf-8")

    ended = typed("init", "people.csv")

    assert (ended.status, len(ended.err)) == (status, 1)
    assert ended.err[0].startswith(words)
    assert [path.name for path in empty_folder.iterdir()] == ["people.csv"]


@pytest.mark.parametrize("content", ["", '{"type": "object"}', None])
def test_another_file_in_the_place_of_the_schema_stays_and_is_named(
    typed: Type, empty_folder: Path, content: str | None
) -> None:
    (empty_folder / "people.csv").write_text("user_id,city\n1,Seoul\n", encoding="utf-8")
    there = empty_folder / "my files/config.schema.json"
    there.parent.mkdir()
    if content is None:
        there.symlink_to("nowhere")
    else:
        there.write_text(content, encoding="utf-8")

    ended = typed("init", "people.csv", "--config", "my files/config.yaml")

    assert (ended.status, ended.err[3]) == (
        0,
        (
            "my files/config.schema.json was there, differs from the schema of this version, and stays as it is. "
            "To replace it, type `uploader schema > 'my files/config.schema.json'`."
        ),
    )
    assert there.is_symlink() or there.read_text(encoding="utf-8") == content
    assert (there.parent / "config.yaml").is_file()


def test_the_schema_of_an_earlier_configuration_is_that_of_the_next(typed: Type, empty_folder: Path) -> None:
    (empty_folder / "people.csv").write_text("user_id,city\n1,Seoul\n", encoding="utf-8")

    first, second = typed("init", "people.csv"), typed("init", "people.csv", "--config", "second.yaml")

    assert (first.status, second.status) == (0, 0)
    assert [line for line in second.err if "config.schema.json" in line] == []


def test_a_folder_that_is_not_there_is_told(typed: Type, empty_folder: Path) -> None:
    ended = typed("init", "people.csv", "--config", "no/config.yaml")

    assert (ended.status, ended.err) == (2, ["no is no folder. Make it, or name another file with --config."])
    assert list(empty_folder.iterdir()) == []


def test_a_header_alone_is_guessed_by_its_names(typed: Type, empty_folder: Path) -> None:
    (empty_folder / "people.csv").write_text("user_id,name,push_optin\n", encoding="utf-8")

    guessed, checked = typed("init", "people.csv"), typed("check", "people.csv")

    assert (guessed.status, checked.status) == (0, 0)
    assert guessed.err[1] == "  identity: external_id from 'user_id'"


def test_values_of_rows_are_neither_written_nor_said(typed: Type, empty_folder: Path) -> None:
    (empty_folder / "people.csv").write_text(PEOPLE, encoding="utf-8")

    ended = typed("init", "people.csv")

    written = (empty_folder / "config.yaml").read_text(encoding="utf-8")
    shown = written + "\n".join(ended.err)
    assert [value for value in ("0001", "이하은", "p1@example.com", "1111", "골드") if value in shown] == []


TITLE: Final = "회원 목록 (2024-03-05)\n\n"
CRM: Final = """\
회원번호,성별,생년월일,휴대폰,구매금액,관심,문자수신동의,비고,팩스
1,남,1990.03.05,010-2222-0001,"1,000원",a|b,Y,x ,
2,여,19910406,010 2222 0002,₩500,a,N,NULL,
3,여,1992.05.07,1022220003,30,b|a,Y,y,
"""


def test_a_title_above_the_header_is_skipped(typed: Type, empty_folder: Path) -> None:
    (empty_folder / "people.csv").write_text(TITLE + CRM, encoding="utf-8")

    guessed, checked = typed("init", "people.csv"), typed("check", "people.csv")

    assert (guessed.status, guessed.err[1], checked.status) == (0, "  skip_lines: 2", 0)
    assert "  skip_lines: 2                               # the header is below a title\n" in (
        empty_folder / "config.yaml"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("above", ["sep=,\n", "회원 목록,,,,,,,,\n", "목록\n기간: 2024, 전체\n\n"])
def test_other_lines_above_the_header_are_skipped_too(typed: Type, empty_folder: Path, above: str) -> None:
    (empty_folder / "people.csv").write_text(above + CRM, encoding="utf-8")

    guessed, checked = typed("init", "people.csv"), typed("check", "people.csv")

    assert (guessed.status, checked.status) == (0, 0)
    assert guessed.err[1] == f"  skip_lines: {above.count(chr(10))}"


def test_what_a_human_has_to_look_at_is_printed(typed: Type, empty_folder: Path) -> None:
    rows = "".join(f"{at},남,1990.03.05,010-2222-{at:04},5,a,{'?' if at == 20 else 'Y'},x,\n" for at in range(10, 40))
    (empty_folder / "people.csv").write_text(CRM.splitlines()[0] + "\n" + rows, encoding="utf-8")

    ended = typed("init", "people.csv")

    assert ended.err[ended.err.index("  left out: '팩스'") : -4] == [
        "  left out: '팩스'",
        "REVIEW these first, what can do most harm at the top:",
        (
            "  '문자수신동의': 1 value is not true or false, which rejects its row: row 11; "
            "add the unknown words to true or false"
        ),
        '    df_sms_ads_optin: {column: 문자수신동의, type: boolean, true: ["y"], false: ["n"]}',
    ]


REFUSALS: Final = """\
user_id,sms_block,push_ads_optin
u1,Y,NULL
u2,N,Y
u3,,N
"""


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_the_lines_of_a_review_can_be_typed_as_they_are_printed(typed: Type, empty_folder: Path, suffix: str) -> None:
    answers = {"Y": True, "N": False}
    rows = [{key: answers.get(it, it) for key, it in row.items() if it} for row in csv.DictReader(StringIO(REFUSALS))]
    text = REFUSALS if suffix == "csv" else "".join(json.dumps(row) + "\n" for row in rows)
    (empty_folder / f"people.{suffix}").write_text(text, encoding="utf-8")
    guessed, refused = typed("init", f"people.{suffix}"), typed("check", f"people.{suffix}")
    config = (empty_folder / "config.yaml").read_text(encoding="utf-8").partition("  properties:\n")[0]
    lines = [line for line in guessed.err if line.startswith("    df_")]
    (empty_folder / "config.yaml").write_text("\n".join([f"{config}  properties:", *lines]), encoding="utf-8")

    checked = typed("check", f"people.{suffix}")
    shown = [typed("explain", f"people.{suffix}", "--row", row) for row in "123"]

    assert (refused.status, checked.status) == (3, 0)
    assert [[line.strip(" ,") for line in each.err if line.startswith('      "df_')] for each in shown] == [
        ['"df_sms_ads_optin": false', '"df_push_ads_optin": false'],
        ['"df_sms_ads_optin": true', '"df_push_ads_optin": true'],
        ['"df_push_ads_optin": false'],
    ]


def test_columns_of_no_name_or_of_the_same_are_left_out(typed: Type, empty_folder: Path) -> None:
    (empty_folder / "people.csv").write_text("user_id,city,memo,memo,\n1,Seoul,a,b,\n", encoding="utf-8")

    guessed, checked = typed("init", "people.csv"), typed("check", "people.csv")

    assert (guessed.status, checked.status) == (0, 0)
    assert guessed.err[3:7] == [
        "  left out: '(column 5)'",
        "REVIEW these first, what can do most harm at the top:",
        "  'memo (column 3)': left out: another column has this name, too; give each its own in the file",
        "  'memo (column 4)': left out: another column has this name, too; give each its own in the file",
    ]


def test_the_delimiter_is_named_as_its_key_has_it_and_a_missing_line_end_is_said(
    typed: Type, empty_folder: Path
) -> None:
    (empty_folder / "people.tsv").write_text("user_id\tcity\n1\tSeoul\n2\tBus", encoding="utf-8")

    ended = typed("init", "people.tsv")

    assert ended.err[1] == "  delimiter: tab"
    assert ended.err[-5] == (
        "  row 2 (line 3): column 'city': the last line has no line end, as all others have: if the file was cut off, "
        "this value may be shortened, and rows may be missing"
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_what_is_guessed_is_sent_as_the_service_needs_it(typed: Type, empty_folder: Path, suffix: str) -> None:
    rows = list(csv.DictReader(StringIO(CRM)))
    text = CRM if suffix == "csv" else "".join(json.dumps(row) + "\n" for row in rows)
    (empty_folder / f"people.{suffix}").write_text(text, encoding="utf-8")

    typed("init", f"people.{suffix}")
    bodies = [
        json.loads("\n".join(typed("explain", f"people.{suffix}", "--row", row, "--json").out))["body"]
        for row in ("1", "2", "3")
    ]

    assert [(body["identity"], body["user_properties"]) for body in bodies] == [
        (
            {"external_id": "1", "phone_no": "821022220001"},
            {
                "df_gender": "Male",
                "df_birth": "1990-03-05",
                "구매금액": 1000,
                "관심": ["a", "b"],
                "df_sms_ads_optin": True,
                "비고": "x",
            },
        ),
        (
            {"external_id": "2", "phone_no": "821022220002"},
            {
                "df_gender": "Female",
                "df_birth": "1991-04-06",
                "구매금액": 500,
                "관심": ["a"],
                "df_sms_ads_optin": False,
            },
        ),
        (
            {"external_id": "3", "phone_no": "821022220003"},
            {
                "df_gender": "Female",
                "df_birth": "1992-05-07",
                "구매금액": 30,
                "관심": ["b", "a"],
                "df_sms_ads_optin": True,
                "비고": "y",
            },
        ),
    ]
