"""A CSV becomes the records that it holds, each value as it is written."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from tests import make
from uploader.errors import ChangedError, ConfigError, InputError
from uploader.model import Damaged, Reason, Record, RetryOf, Row, is_mappable, spoken_name, written_name
from uploader.source import Source, refuse_unmappable
from uploader.source.reader import Suspicion

QUOTES = Reason(
    "quotes", "a quoted field is followed by text instead of the delimiter: double the quotes that belong to the field"
)


def opened(folder: Path, content: bytes, delimiter: str = ",") -> Source:
    path = folder / "people.csv"
    path.write_bytes(content)
    return make.opened(path, delimiter=delimiter)


def records(folder: Path, content: bytes, delimiter: str = ",") -> list[Record]:
    with opened(folder, content, delimiter) as source:
        return list(source.read())


def refusal(folder: Path, content: bytes, delimiter: str = ",") -> str:
    with pytest.raises(InputError) as refused:
        records(folder, content, delimiter)
    return str(refused.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_ends_a_record(tmp_path: Path, end: str) -> None:
    content = end.join(["id,name", "1,홍길동", '2,"a ""b"", c"', ""]).encode()

    found = records(tmp_path, content)

    assert found == [
        Row(1, {"id": "1", "name": "홍길동"}, line=2),
        Row(2, {"id": "2", "name": 'a "b", c'}, line=3),
    ]


def test_a_last_line_without_its_end_is_a_record_too(tmp_path: Path) -> None:
    assert records(tmp_path, b"id,name\n1,a") == [Row(1, {"id": "1", "name": "a"}, line=2)]


def test_line_ends_inside_quotes_belong_to_the_field_and_count_as_lines(tmp_path: Path) -> None:
    found = records(tmp_path, b'id,"na\nme"\n1,"a\r\nb\rc\n"\n2,d\n')

    assert found == [
        Row(1, {"id": "1", "na\nme": "a\r\nb\rc\n"}, line=3),
        Row(2, {"id": "2", "na\nme": "d"}, line=7),
    ]


def test_spaces_zeros_and_empty_fields_stay_as_they_are(tmp_path: Path) -> None:
    assert records(tmp_path, b'id,a,b,c\n 0101 ,,NULL,5" disk\n') == [
        Row(1, {"id": " 0101 ", "a": "", "b": "NULL", "c": '5" disk'}, line=2)
    ]


def test_blank_lines_are_counted_but_are_no_records(tmp_path: Path) -> None:
    with opened(tmp_path, b"\n\nid\n\n1\n\r\n2\n\n") as source:
        found = list(source.read())

    assert (found, source.blank_lines) == ([Row(1, {"id": "1"}, line=5), Row(2, {"id": "2"}, line=7)], 5)


def test_another_delimiter_separates_the_fields(tmp_path: Path) -> None:
    assert records(tmp_path, b"id\tname\n1\ta,b\n", "\t") == [Row(1, {"id": "1", "name": "a,b"}, line=2)]


def test_columns_without_a_name_of_their_own_have_keys_that_no_mapping_names(tmp_path: Path) -> None:
    with opened(tmp_path, b"id,memo,,memo, \n1,a,b,c,d\n") as source:
        (row,) = source.read()
        columns = source.columns or ()

    assert isinstance(row, Row)
    assert row.fields == dict(zip(columns, ["1", "a", "b", "c", "d"], strict=True))
    assert [is_mappable(column) for column in columns] == [True, False, False, False, False]
    assert [written_name(column) for column in columns] == ["id", "memo", "", "memo", " "]
    assert [spoken_name(column) for column in columns] == [
        "id",
        "memo (column 2)",
        "(column 3)",
        "memo (column 4)",
        "(column 5)",
    ]


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ({"id"}, None),
        ({"id", "memo"}, "columns 2 and 4 have the same name"),
        (None, "columns 3 and 5 have no name; columns 2 and 4 have the same name"),
    ],
)
def test_a_column_that_is_read_needs_a_name_of_its_own(
    tmp_path: Path, wanted: set[str] | None, fault: str | None
) -> None:
    with opened(tmp_path, b"id,memo,,memo, \n1,a,b,c,d\n") as source:
        columns = source.columns or ()

    with nullcontext() if fault is None else pytest.raises(InputError) as refused:
        refuse_unmappable("people.csv", columns, wanted)
    message = f"people.csv: in the header {fault}. Give each column a name of its own."
    assert fault is None or (refused is not None and str(refused.value) == message)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_skipped_lines_are_no_records_and_no_blank_lines_but_count_as_lines(tmp_path: Path, end: str) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(end.join(['A "title', "", "", "id,name", "", "1,a", ""]).encode())

    with make.opened(path, skip_lines=2) as source:
        found = list(source.read())

    assert (found, source.blank_lines) == ([Row(1, {"id": "1", "name": "a"}, line=6)], 2)


def test_a_retry_file_has_no_lines_to_skip(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"id,name,_row,_kind,_code,_reason,_attempts\n1,a,7,failed,,x,1\n")

    with make.opened(path, skip_lines=1) as source:
        (row,) = source.read()

    assert (source.is_retry, row.retry_of) == (True, RetryOf("", 7))


def test_a_file_shorter_than_what_is_skipped_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"title\nid\n")

    with pytest.raises(InputError) as refused:
        make.opened(path, skip_lines=9)
    assert str(refused.value) == (
        f"{path} has only blank lines below the lines that source.skip_lines skips. Check how it was made."
    )


@pytest.mark.parametrize(
    ("text", "above"),
    [
        ("id,name\n1,a\n", 0),
        ("title\n\nid,name\n1,a\n", 2),
        ("a title;,\nID , Name\n1,a\n", 1),
        ("title\nid,other\n", 1),
        ("title\nother,another\n", None),
        ('"a\ntitle"\nid,name\n', 2),
    ],
)
def test_the_header_is_found_below_other_lines(tmp_path: Path, text: str, above: int | None) -> None:
    with opened(tmp_path, text.encode()) as source:
        assert source.lines_above_header(["id", "name"]) == above


def test_a_title_with_another_delimiter_is_not_taken_for_a_header_with_it(tmp_path: Path) -> None:
    with opened(tmp_path, "회원; 목록\nid,name\n1,a\n".encode()) as source:
        assert source.lines_above_header(["id", "name"]) == 1


@pytest.mark.parametrize("content", [b"id,name\n1,a\n\x1a", b"id,name\n1,a\x1a\x1a", b'id,name\n1,"a"\n\x1a'])
def test_a_ctrl_z_at_the_end_is_named(tmp_path: Path, content: bytes) -> None:
    assert refusal(tmp_path, content) == (
        "people.csv ends with a Ctrl-Z (character 1A), which programs of DOS put at the end of a file. "
        "Remove it, for example with: tr -d '\\032'"
    )


CUT = "column 'name': the last line has no line end, as all others have: if the file was cut off"
MAY_BE = "this value may be shortened, and rows may be missing"


@pytest.mark.parametrize(
    ("content", "suspicion"),
    [
        (b"id,name\n1,a\n2,b\n", None),
        (b"id,name\n1,a\r2,b\r", None),
        (b'id,name\n1,a\n2,"b"', None),
        (b"id,name", None),
        (b"id,name\n1,a\n\n2,b", Suspicion(Reason("no_line_end", f"{CUT}, {MAY_BE}"), 2, 4)),
        (b"id,name\n1,", Suspicion(Reason("no_line_end", f"{CUT}, {MAY_BE}"), 1, 2)),
        (
            b"id,name\n1,".ljust(4096, b"x"),
            Suspicion(
                Reason(
                    "no_line_end",
                    f"{CUT} (the file's size is a multiple of 4,096 bytes, which makes that likely), {MAY_BE}",
                ),
                1,
                2,
            ),
        ),
    ],
)
def test_a_last_line_without_its_end_is_suspicious_unless_a_quote_ends_it(
    tmp_path: Path, content: bytes, suspicion: Suspicion | None
) -> None:
    with opened(tmp_path, content) as source:
        list(source.read())

        assert source.suspicion == suspicion


def test_a_header_without_rows_holds_no_records(tmp_path: Path) -> None:
    with opened(tmp_path, b"id,name\n") as source:
        assert (source.columns, list(source.read())) == (("id", "name"), [])


def test_a_source_can_be_read_again_from_the_start(tmp_path: Path) -> None:
    with opened(tmp_path, b"id\n1\n") as source:
        first, second = source.read(), source.read()
        assert (list(first), first.fingerprint) == (list(second), second.fingerprint)


@pytest.mark.parametrize(
    ("line", "damaged"),
    [
        ("1", Reason("fields", "the record has 1 field where the header has 2")),
        ("1,2,3", Reason("fields", "the record has 3 fields where the header has 2")),
        ('1,"a"b', QUOTES),
        ('"1\r\n2" ,b', QUOTES),
        ("1,a\0b", Reason("nul", "the record holds a NUL character: remove it")),
        ('1,"a\r\nb\0"', Reason("nul", "the record holds a NUL character: remove it")),
    ],
)
def test_a_damaged_record_keeps_its_text_and_the_next_is_whole(tmp_path: Path, line: str, damaged: Reason) -> None:
    found = records(tmp_path, f"id,name\r\n0,x\r\n{line}\r\n2,y\r\n".encode())

    after = 4 + line.count("\n")
    assert found == [
        Row(1, {"id": "0", "name": "x"}, line=2),
        Damaged(2, damaged, line=3, text=line),
        Row(3, {"id": "2", "name": "y"}, line=after),
    ]


def test_a_damaged_last_record_is_not_taken_for_an_open_quote(tmp_path: Path) -> None:
    assert records(tmp_path, b'id\n"a"b') == [Damaged(1, QUOTES, line=2, text='"a"b')]


def test_the_text_of_a_damaged_record_is_found_across_blocks(tmp_path: Path) -> None:
    long = '"' + "가나다\r\n" * 100_000 + '"x'

    found = records(tmp_path, f"id\n{long}\n2\n".encode())

    assert found == [Damaged(1, QUOTES, line=2, text=long), Row(2, {"id": "2"}, line=100_003)]


LONG_FIELD = Reason("field_size", "a field takes more than 64 KiB (65,536 bytes in UTF-8): shorten it")
LONG_RECORD = Reason("record_size", "the record takes more than 1 MiB (1,048,576 bytes in UTF-8): shorten it")


@pytest.mark.parametrize(
    "field",
    ["x" * 65_536, "가" * 21_845 + "x", "😀" * 16_384, "é\n" * 21_845 + "x", "x\n" * 32_768],
    ids=lambda field: f"{field[:2]!r} of {len(field)}",
)
def test_a_field_of_64_kib_is_a_row_and_one_byte_more_is_not(tmp_path: Path, field: str) -> None:
    lines = field.count("\n")

    found = records(tmp_path, f'id,name\n1,"{field}"\n2,"{field}x"\n3,y\n'.encode())

    assert found == [
        Row(1, {"id": "1", "name": field}, line=2),
        Damaged(2, LONG_FIELD, line=lines + 3, text=f'2,"{field}x"'),
        Row(3, {"id": "3", "name": "y"}, line=2 * lines + 4),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_record_of_1_mib_is_a_row_and_one_byte_more_is_not(tmp_path: Path, end: str) -> None:
    names = [f"c{at}" for at in range(32)]
    fields = ["x" * 32_767] * 31 + ["x" * 32_768]
    content = end.join([",".join(names), ",".join(fields), ",".join([*fields[:-1], fields[-1] + "x"]), ""])

    found = records(tmp_path, content.encode())

    assert found == [
        Row(1, dict(zip(names, fields, strict=True)), line=2),
        Damaged(2, LONG_RECORD, line=3, text=",".join(fields) + "x"),
    ]


def test_a_record_of_many_empty_fields_has_its_size_too(tmp_path: Path) -> None:
    header = ",".join(f"c{at}" for at in range(3))
    wide = '"' + '""' * 65_000 + '",'

    found = records(tmp_path, f"{header}\n{wide * 2}\n{wide}{wide}x\n".encode())

    assert [type(record) for record in found] == [Row, Row]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"id,name,a,b\n1,x,,\n2,y",
            "people.csv: the last record (record 2, line 3) is incomplete: it has 2 of 4 fields and no line end.",
        ),
        (
            b'id,name\n\n"1',
            (
                "people.csv: record 1, which begins on line 3, opens a quote that is never closed. "
                "Close the quote, or double it where it belongs to the field."
            ),
        ),
        (
            b'id,name,a\r\n1,"x\r\ny"',
            "people.csv: the last record (record 1, line 2) is incomplete: it has 2 of 3 fields and no line end.",
        ),
    ],
)
def test_a_last_record_that_breaks_off_means_that_the_file_does(tmp_path: Path, content: bytes, message: str) -> None:
    found = refusal(tmp_path, content)

    advice = " The file looks cut off; get the whole file, or end the line if it is meant so."
    assert found == (f"{message}{advice}" if "is incomplete" in message else message)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_last_record_with_a_line_end_is_damaged_alone(tmp_path: Path, end: str) -> None:
    reason = Reason("fields", "the record has 1 field where the header has 2")

    assert records(tmp_path, f"id,name{end}1{end}".encode()) == [Damaged(1, reason, line=2, text="1")]


def test_a_last_record_with_too_many_fields_is_damaged_alone(tmp_path: Path) -> None:
    reason = Reason("fields", "the record has 3 fields where the header has 2")

    assert records(tmp_path, b"id,name\n1,2,3") == [Damaged(1, reason, line=2, text="1,2,3")]


def test_who_stops_before_a_last_record_that_breaks_off_never_sees_it(tmp_path: Path) -> None:
    with opened(tmp_path, b"id,name\n1,a\n2") as source, source.read() as reading:
        assert next(reading) == Row(1, {"id": "1", "name": "a"}, line=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "people.csv is empty. Check how it was made."),
        (b"\n\r\n\n", "people.csv has only blank lines. Check how it was made."),
        (
            b"sep=;\r\nid;name\r\n1;a\r\n",
            (
                "people.csv: its first line is a note for Excel (sep=), not the header. "
                'Remove that line, or set source.skip_lines: 1, and set source.delimiter: ";".'
            ),
        ),
        (
            b'"sep=\t"\nid\tname\n',
            (
                "people.csv: its first line is a note for Excel (sep=), not the header. "
                'Remove that line, or set source.skip_lines: 1, and set source.delimiter: "\\t".'
            ),
        ),
        (
            b"id,name,_row,_row\n",
            "people.csv: in the header columns 3 and 4 have the same name. Give each column a name of its own.",
        ),
        (
            b"id;name\n1;2\n",
            "people.csv: the header has no delimiter ',', but ';'. Is the delimiter ';'? Set source.delimiter: \";\".",
        ),
        (
            b"id\tname\n",
            (
                "people.csv: the header has no delimiter ',', but '\\t'. Is the delimiter '\\t'? "
                'Set source.delimiter: "\\t".'
            ),
        ),
        (
            b"i\0d\0\n\0",
            (
                "people.csv: the header holds NUL characters. "
                "If the file is UTF-16 without a byte order mark, set source.encoding: utf-16-le."
            ),
        ),
        (
            b'"id"x,name\n',
            (
                "people.csv: in the header a quoted field is followed by text instead of the delimiter: "
                "double the quotes that belong to the field."
            ),
        ),
        (
            b'\n"id,name\n1,2\n',
            (
                "people.csv: the header, which begins on line 2, opens a quote that is never closed. "
                "Close the quote, or double it where it belongs to the field."
            ),
        ),
        (
            b'id,name\n\n1,a\n2,"b\n3,c\n',
            (
                "people.csv: record 2, which begins on line 4, opens a quote that is never closed. "
                "Close the quote, or double it where it belongs to the field."
            ),
        ),
    ],
)
def test_what_is_wrong_as_a_whole_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    assert refusal(tmp_path, content) == message


def test_a_tab_that_is_not_in_the_header_is_shown_as_an_escape(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"id,name\n", "\t") == (
        "people.csv: the header has no delimiter '\\t', but ','. Is the delimiter ','? Set source.delimiter: \",\"."
    )


@pytest.mark.parametrize("content", [b"id\n1;2\n", b'"a;b"\n1\n'])
def test_one_column_may_hold_other_delimiters_below_the_header_or_in_quotes(tmp_path: Path, content: bytes) -> None:
    assert len(records(tmp_path, content)) == 1


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    content = b"id\n1\n" + b"x" * (17 * 1024 * 1024)

    assert refusal(tmp_path, content) == (
        "people.csv: line 3 is longer than 16 MiB. Look there for a missing line end or closing quote."
    )


def test_a_record_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    content = b'id,name\n1,a\n2,"b\n' + b"3,ccccccccccccccccccccccccccccc\n" * 600_000

    assert refusal(tmp_path, content) == (
        "people.csv: the record that begins on line 3 is longer than 16 MiB. "
        "Look there for a missing line end or closing quote."
    )


def test_a_header_that_changed_between_two_passes_stops_the_run(tmp_path: Path) -> None:
    source = opened(tmp_path, b"id,name\n1,a\n")
    (tmp_path / "people.csv").write_bytes(b"name,id\na,1\n")

    with pytest.raises(ChangedError) as changed:
        list(source.read())

    assert str(changed.value) == (f"{tmp_path}/people.csv: its header changed since it was first read. Run again.")


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
def test_a_delimiter_that_can_not_be_one_is_refused(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path, b"id\n", delimiter)

    assert str(refused.value) == (
        'source.delimiter is not one character that can stand between fields. Set it to ",", say.'
    )


def test_a_retry_file_keeps_all_its_columns_and_sets_raw_texts_aside(tmp_path: Path) -> None:
    header = "id,_row,_kind,_code,_reason,_attempts,_raw"
    content = f'{header}\n1,7,failed,50000,why,5,\n,8,rejected,fields,why,0,"2,""x"""\n'

    with opened(tmp_path, content.encode()) as source:
        found = list(source.read())

    fields = {
        "id": "1",
        "_row": "7",
        "_kind": "failed",
        "_code": "50000",
        "_reason": "why",
        "_attempts": "5",
        "_raw": "",
    }
    raw = Reason(
        "raw", "the record could not be split into fields: enter its values under their own names and empty '_raw'"
    )
    assert (source.is_retry, source.columns) == (True, tuple(header.split(",")))
    assert found == [
        Row(1, fields, line=2, retry_of=RetryOf("", 7)),
        Damaged(2, raw, line=3, text='2,"x"', retry_of=RetryOf("", 8)),
    ]


def test_a_raw_column_means_nothing_outside_a_retry_file(tmp_path: Path) -> None:
    with opened(tmp_path, b"id,_raw\n1,x\n") as source:
        assert (source.is_retry, list(source.read())) == (False, [Row(1, {"id": "1", "_raw": "x"}, line=2)])
