"""Split a JSONL file into records: one JSON object on each line, nothing rounded and nothing dropped."""

import json
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import NoReturn, TypeAlias

from uploader.errors import InputError
from uploader.model import LEAST_NORMAL, WHOLE_DOUBLES, Damaged, Json, Reason, Row, WrittenFloat
from uploader.source.byte_stream import ByteStream, SourceLocation
from uploader.source.lines import DecodedText, Lines, UndecodedError, at_newlines, undecodable
from uploader.source.reader import PassEnd, Records
from uploader.source.retry_file_rows import has_retry_columns, record_maker
from uploader.source.truncated_json import breaks_off

_Fields: TypeAlias = dict[str, Json]

_DEPTH = 100
_LOOKED_AT = 100
_NOT_JSON = Reason("not_json", "the line is not JSON")
_NOT_OBJECT = Reason("not_object", "the line is not a JSON object")
_DUPLICATE_KEY = Reason("duplicate_key", "an object has the same key twice")
_NOT_FINITE = Reason("not_finite", "a number is NaN, infinite or too large")
_TOO_SMALL = Reason("too_small", "a number is so small that it would become 0")
_NESTING = Reason("nesting", f"arrays and objects are nested more than {_DEPTH} deep")
_SURROGATE = Reason("surrogate", "a text holds half a character: a \\u escape between d800 and dfff without its pair")
_NOT_ZERO = re.compile(r"-?[0.]*[1-9]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def is_retry_jsonl(stream: ByteStream, encoding: str) -> bool:
    """Return whether the first object of *stream* has the columns of a retry file.

    Errors in the file are ignored here: `jsonl_records` raises them.
    """
    with suppress(InputError):
        for record in islice(jsonl_records(stream, encoding, is_retry=False), _LOOKED_AT):
            if isinstance(record, Row):
                return has_retry_columns(record.fields)
    return False


def jsonl_records(stream: ByteStream, encoding: str, *, is_retry: bool) -> Records:
    """Return the record on each line; blank lines are counted, but are no records.

    Raises InputError where bytes are no text, where a line is longer than LIMIT, where the last line is truncated, and
    at the end when not one line is an object.
    """
    texts = DecodedText(stream.blocks(), encoding)
    return jsonl_records_after(JsonlPlace(), stream.location, encoding, texts, is_retry=is_retry)


@dataclass(frozen=True, slots=True)
class JsonlPlace:
    """How much of a JSONL file was read: so many *lines*, of which some are *blank*, and some *damaged*."""

    lines: int = 0
    blank: int = 0
    damaged: int = 0


def jsonl_records_after(
    place: JsonlPlace, location: SourceLocation, encoding: str, texts: Iterable[str], *, is_retry: bool
) -> Records:
    """Yield what `jsonl_records` yields after *place*, where *texts* begin; the file is the one at *location*."""
    label, make = location.label, record_maker(is_retry=is_retry)
    lines = Lines(label, texts, at_newlines, place.lines)
    line, blank_lines, damaged = place.lines, place.blank, place.damaged
    try:
        for ended_lines in lines:
            for line, ended in enumerate(ended_lines, line + 1):  # noqa: B020 lines are numbered across lists
                text = ended.removesuffix("\r")
                if not text or text.isspace():
                    blank_lines += 1
                    continue
                fields = json_fields(text)
                if isinstance(fields, Reason):
                    if lines.unended and breaks_off(text):
                        raise _cut_off(label, line - blank_lines, line)
                    damaged += 1
                    yield Damaged(line - blank_lines, fields, line, text)
                else:
                    yield make(line - blank_lines, fields, line, text)
    except UndecodedError as error:
        where = f"row {line - blank_lines + 1} (line {error.line})"
        raise undecodable(location, encoding, where) from None
    refuse_without_objects(label, records=line - blank_lines, damaged=damaged)
    return PassEnd(blank_lines)


def _cut_off(label: str, number: int, line: int) -> InputError:
    return InputError(
        f"{label}: the last record (record {number}, line {line}) is incomplete: its JSON has no end, and neither has "
        "its line. The file looks cut off; get the whole file, or end the line if it is meant so."
    )


def refuse_without_objects(label: str, *, records: int, damaged: int) -> None:
    """Raise InputError when a file has no *records*, or all of them are *damaged*."""
    if not records:
        raise InputError(f"{label} has only blank lines. Check how it was made.")
    if records == damaged:
        raise InputError(
            f"{label}: not one line is a JSON object. JSONL has an object on each line; see source.format."
        )


class _RefusedError(Exception):
    """A value that Python's json module accepts, and this program does not."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.code)
        self.reason = reason


def _object(pairs: list[tuple[str, Json]]) -> _Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _RefusedError(_DUPLICATE_KEY)
    return fields


def _finite(digits: str) -> float:
    number = float(digits)
    if LEAST_NORMAL <= abs(number) < WHOLE_DOUBLES:
        return number
    if math.isinf(number):
        raise _RefusedError(_NOT_FINITE)
    if number == 0:
        if _NOT_ZERO.match(digits):
            raise _RefusedError(_TOO_SMALL)
        return number
    # The double may have lost digits. The mapping judges that, and names the column.
    return WrittenFloat(digits)


def _constant(_word: str) -> NoReturn:
    raise _RefusedError(_NOT_FINITE)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_constant)


def json_fields(text: str) -> _Fields | Reason:
    """Return the fields of the object that a line's *text* is, or the reason why it has none."""
    value = _value(text)
    if isinstance(value, Reason):
        return value
    if not isinstance(value, dict):
        return _NOT_OBJECT
    if text.count("{") + text.count("[") > _DEPTH and _is_deep(value):
        return _NESTING
    if "\\u" in text and _SURROGATE_ESCAPE.search(text) and not _is_unicode(value):
        return _SURROGATE
    return value


def _value(text: str) -> "Json | Reason":
    try:
        value: Json = _DECODER.decode(text)
    except _RefusedError as refused:
        return refused.reason
    except RecursionError:
        return _NESTING
    except json.JSONDecodeError:
        return _NOT_JSON
    except ValueError:
        # Python refuses integers of more than 4,300 digits.
        return _NOT_FINITE
    return value


def _is_deep(value: Json) -> bool:
    level: list[Json] = [value]
    for _ in range(_DEPTH):
        level = [inner for outer in level for inner in _within(outer)]
    return any(isinstance(inner, dict | list) for inner in level)


def _within(value: Json) -> list[Json]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
        case _:
            return []


def _is_unicode(value: Json) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
