"""A JSONL becomes one record for each line, its values neither rounded nor dropped."""

import json
import pickle
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from uploader.errors import InputError
from uploader.model import Damaged, Reason, Record, RetryOf, Row, WrittenFloat
from uploader.source import Source


def opened(folder: Path, content: bytes) -> Source:
    path = folder / "people.jsonl"
    path.write_bytes(content)
    return make.opened(path)


def records(folder: Path, content: bytes) -> list[Record]:
    with opened(folder, content) as source:
        return list(source.read())


def test_values_keep_their_type_and_all_their_digits(tmp_path: Path) -> None:
    text = '{"id": 1234567890123456789012345, "a": 1.0, "b": true, "c": null, "d": ["x", 2], "e": {"f": "홍"}}'

    found = records(tmp_path, text.encode())

    fields = {"id": 1234567890123456789012345, "a": 1.0, "b": True, "c": None, "d": ["x", 2], "e": {"f": "홍"}}
    assert found == [Row(1, fields, line=1, text=text)]
    assert isinstance(found[0], Row)
    assert [type(value) for value in found[0].fields.values()] == [int, float, bool, type(None), list, dict]


@pytest.mark.parametrize("digits", ["9007199254740993.0", "3e-324", "-1e300"])
def test_a_number_that_a_double_may_not_hold_keeps_its_digits_and_its_row(tmp_path: Path, digits: str) -> None:
    (found,) = records(tmp_path, f'{{"a": {digits}, "b": [0.5, {digits}]}}'.encode())

    assert isinstance(found, Row)
    a, b = found.fields["a"], found.fields["b"]
    assert isinstance(a, WrittenFloat)
    assert isinstance(b, list)
    assert (a, a.digits, b, type(b[0])) == (float(digits), digits, [0.5, float(digits)], float)
    copy = pickle.loads(pickle.dumps(found, pickle.HIGHEST_PROTOCOL))  # noqa: S301 — as rows are kept that wait
    assert copy.fields["a"].digits == digits


def test_each_record_may_have_keys_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path, b'{"a": 1}\r\n{"b": 2}') as source:
        found = list(source.read())

    assert (source.columns, source.is_retry) == (None, False)
    assert found == [Row(1, {"a": 1}, line=1, text='{"a": 1}'), Row(2, {"b": 2}, line=2, text='{"b": 2}')]


def test_blank_lines_are_counted_but_are_no_records(tmp_path: Path) -> None:
    with opened(tmp_path, b'\n{"a": 1}\n\r\n  \n{"a": 2}\n\n') as source:
        found = list(source.read())

    rows = [Row(1, {"a": 1}, line=2, text='{"a": 1}'), Row(2, {"a": 2}, line=5, text='{"a": 2}')]
    assert (found, source.blank_lines) == (rows, 4)


NOT_JSON = Reason("not_json", "the line is not JSON")
NOT_OBJECT = Reason("not_object", "the line is not a JSON object")
DUPLICATE = Reason("duplicate_key", "an object has the same key twice")
NOT_FINITE = Reason("not_finite", "a number is NaN, infinite or too large")
NESTING = Reason("nesting", "arrays and objects are nested more than 100 deep")
SURROGATE = Reason("surrogate", "a text holds half a character: a \\u escape between d800 and dfff without its pair")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", NOT_JSON),
        ('{"a": 1} x', NOT_JSON),
        ("{'a': 1}", NOT_JSON),
        ('{"a": "\0"}', NOT_JSON),
        ("[1]", NOT_OBJECT),
        ("null", NOT_OBJECT),
        ('"{}"', NOT_OBJECT),
        ('{"a": 1, "a": 1}', DUPLICATE),
        ('{"a": {"b": 1, "b": 2}}', DUPLICATE),
        ('{"a": NaN}', NOT_FINITE),
        ('{"a": -Infinity}', NOT_FINITE),
        ('{"a": 1e999}', NOT_FINITE),
        ('{"a": ' + "1" * 5000 + "}", NOT_FINITE),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", NESTING),
        ('{"a": ' + "[" * 99_999 + "]" * 99_999 + "}", NESTING),
        ('{"a": "\\ud800"}', SURROGATE),
        ('{"\\uDFFF": 1}', SURROGATE),
    ],
    ids=lambda value: value.code if isinstance(value, Reason) else f"{str(value)[:16]} of {len(str(value))}",
)
def test_a_damaged_line_keeps_its_text_and_the_next_is_whole(tmp_path: Path, text: str, reason: Reason) -> None:
    found = records(tmp_path, f'{{"a": 0}}\n{text}\n{{"a": 2}}\n'.encode())

    assert found == [
        Row(1, {"a": 0}, line=1, text='{"a": 0}'),
        Damaged(2, reason, line=2, text=text),
        Row(3, {"a": 2}, line=3, text='{"a": 2}'),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' + "[" * 99 + "]" * 99 + "}",
        '{"a": [' + "[], " * 200 + "{}]}",
        '{"a": "\\ud83d\\ude00 \\uac00"}',
        '{"a": "' + "[{" * 200 + '"}',
    ],
    ids=["as deep as may be", "wide", "a pair", "brackets in a text"],
)
def test_what_only_looks_damaged_is_a_row(tmp_path: Path, text: str) -> None:
    assert records(tmp_path, text.encode()) == [Row(1, json.loads(text), line=1, text=text)]


def refusal(folder: Path, content: bytes) -> str:
    with opened(folder, content) as source, source.read() as reading, pytest.raises(InputError) as refused:
        list(reading)
    return str(refused.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize("content", [b"id,name\n1,a\n", b'["a"]\n[1]\n', b'{"a"\n1}\n'])
def test_a_file_without_a_single_object_is_refused_at_its_end(tmp_path: Path, content: bytes) -> None:
    assert refusal(tmp_path, content) == (
        "people.jsonl: not one line is a JSON object. JSONL has an object on each line; see source.format."
    )


WHOLE = '{"a": {"b": [1, -2.5e+10, 3.25E-1], "c": "x\\"y\\\\ \\ud83d\\ude00"}, "d": [true, false, null], "": "홍"}'


@pytest.mark.parametrize("size", range(1, len(WHOLE)))
def test_a_last_line_that_breaks_off_anywhere_means_that_the_file_does(tmp_path: Path, size: int) -> None:
    assert refusal(tmp_path, b'{"a": 1}\n\n' + WHOLE[:size].encode()) == (
        "people.jsonl: the last record (record 2, line 3) is incomplete: its JSON has no end, and neither has its "
        "line. The file looks cut off; get the whole file, or end the line if it is meant so."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (WHOLE[:20] + "\n", NOT_JSON),
        ('{"a": 1} x', NOT_JSON),
        ('{"a": 1}}', NOT_JSON),
        ('{"a": tru}', NOT_JSON),
        ('{"a": truth', NOT_JSON),
        ('{"a": "x"e', NOT_JSON),
        ('{"a": "\\x', NOT_JSON),
        ('{"a": "\\ux', NOT_JSON),
        ("{'a'", NOT_JSON),
        ('"a', NOT_JSON),
        ("[1", NOT_JSON),
        ('{"a": ' + "[" * 99_999, NESTING),
        ('{"a": 1, "a": 1}', DUPLICATE),
        ("[1]", NOT_OBJECT),
    ],
    ids=lambda value: value.code if isinstance(value, Reason) else f"{str(value)[:16]} of {len(str(value))}",
)
def test_a_last_line_that_is_wrong_otherwise_is_damaged_alone(tmp_path: Path, text: str, reason: Reason) -> None:
    found = records(tmp_path, f'{{"a": 0}}\n{text}'.encode())

    assert found == [Row(1, {"a": 0}, line=1, text='{"a": 0}'), Damaged(2, reason, line=2, text=text.rstrip("\n"))]


def test_a_last_line_without_its_end_may_be_whole(tmp_path: Path) -> None:
    assert records(tmp_path, WHOLE.encode()) == [Row(1, json.loads(WHOLE), line=1, text=WHOLE)]


def test_the_records_of_a_file_without_objects_come_before_its_refusal(tmp_path: Path) -> None:
    with opened(tmp_path, b"[1]\n") as source, source.read() as reading:
        assert next(reading) == Damaged(1, NOT_OBJECT, line=1, text="[1]")


def test_a_file_of_blank_lines_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"\n\n \n") == "people.jsonl has only blank lines. Check how it was made."


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    assert refusal(tmp_path, b'{"a": 1}\n' + b"[" * (17 * 1024 * 1024)) == (
        "people.jsonl: line 2 is longer than 16 MiB. Look there for a missing line end or closing quote."
    )


def test_a_retry_file_keeps_all_its_keys_and_sets_raw_texts_aside(tmp_path: Path) -> None:
    extra = {"_row": 7, "_kind": "failed", "_code": "50000", "_reason": "why", "_attempts": 5}
    whole, torn = json.dumps({"id": 1, **extra}), json.dumps({**extra, "_raw": '{"id":'})

    with opened(tmp_path, f"{whole}\n{torn}\n".encode()) as source:
        found = list(source.read())

    raw = Reason(
        "raw", "the record could not be split into fields: enter its values under their own names and empty '_raw'"
    )
    assert source.is_retry
    assert found == [
        Row(1, {"id": 1, **extra}, line=1, text=whole, retry_of=RetryOf("", 7)),
        Damaged(2, raw, line=2, text='{"id":', retry_of=RetryOf("", 7)),
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    objects=st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=5),
    ascii_only=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    block=st.integers(1, 40),
)
def test_any_objects_that_json_writes_read_back_equal(
    objects: list[dict[str, object]], *, ascii_only: bool, end: str, encoding: str, block: int
) -> None:
    # A file of one object with nothing but a list in it is refused as a whole.
    objects = [{**each, "id": 1} for each in objects]
    content = "".join(json.dumps(each, ensure_ascii=ascii_only) + end for each in objects).encode(encoding)

    with tempfile.TemporaryDirectory() as folder, mock.patch("uploader.source.byte_stream.BLOCK", block):
        found = records(Path(folder), content)

    assert [(record.number, record.fields) for record in found if isinstance(record, Row)] == list(
        enumerate(objects, 1)
    )
