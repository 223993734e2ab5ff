"""Keep the rows that must be sent (again), as a file that is itself a source."""

import codecs
import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self

from uploader.errors import StorageError
from uploader.model import RAW_COLUMN, RETRY_COLUMNS, Damaged, Json, Record, Row

_OWN: Final = frozenset((*RETRY_COLUMNS, RAW_COLUMN))
_OWN_TAIL: Final = re.compile(
    r',"_row":\d+,"_kind":"[^"]*","_code":"[^"]*","_reason":"(?:[^"\\]|\\.)*","_attempts":\d+\}$'
)
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of a retry file: that of its source.

    *columns* are the source's (empty for JSONL); *raw* is whether some record could not be split into fields, so that
    the sixth column is needed.
    """

    format: Literal["csv", "jsonl"]
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    encoding: str = "utf-8"
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """What a retry file adds to a row: the five columns but `_row`."""

    kind: str
    code: str
    reason: str
    attempts: int


class RetryFile:
    """A file made with its first row, never over another: `people.retry.csv`, else `people.retry.2.csv` and so on.

    Every row is written through at once, whole or not at all. Mode 0600, since it holds what the source holds.
    """

    def __init__(self, wanted: Path, shape: Shape) -> None:
        """Take the path that is wanted and the form; nothing is made yet."""
        self._wanted = wanted
        self._shape = shape
        self._file: BinaryIO | None = None
        self._size = 0
        self._made: list[Path] = []
        self._encode: Callable[[str], bytes] = str.encode
        self.path: Path | None = None

    def __enter__(self) -> Self:
        """Try that a file can be made here; of the trial nothing is left behind.

        Raises:
            StorageError: it can't.
        """
        trial = self._wanted.with_name(f".{self._wanted.name}.{os.getpid()}.try")
        try:
            self._made = [folder for folder in trial.parents if not folder.exists()]
            if self._made:
                trial.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
            trial.unlink()
        except OSError as error:
            self._leave_no_empty_folder()
            raise self._no_file(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._leave_no_empty_folder()

    def write(self, record: Record, remark: Remark) -> None:
        """Append *record* as it was, with its *remark*.

        Raises:
            StorageError: the disk did not take the whole row; then the file ends with the row before it.
        """
        if self._file is None:
            self._begin()
        self._append(self._spell(record, remark))

    def _begin(self) -> None:
        number = 1
        while self._file is None:
            path = self._wanted if number == 1 else self._wanted.with_suffix(f".{number}{self._wanted.suffix}")
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
                os.fchmod(handle, _MODE)
                self._file = os.fdopen(handle, "wb", buffering=0)
            except FileExistsError:
                number += 1
            except OSError as error:
                raise self._no_file(error) from None
            else:
                self.path = path
        self._encode = codecs.getincrementalencoder(self._shape.encoding)().encode
        if self._shape.format == "csv":
            own = (*RETRY_COLUMNS, RAW_COLUMN) if self._shape.raw else RETRY_COLUMNS
            self._append(_csv_line([*self._columns, *own], self._shape.delimiter))

    @property
    def _columns(self) -> list[str]:
        return [column for column in self._shape.columns if column not in _OWN]

    def _spell(self, record: Record, remark: Remark) -> str:
        if self._shape.format == "csv":
            return _csv_line(self._cells(record, remark), self._shape.delimiter)
        return _json_line(record, remark)

    def _cells(self, record: Record, remark: Remark) -> list[object]:
        own = [record.number, remark.kind, remark.code, remark.reason, remark.attempts]
        if isinstance(record, Damaged):
            return [*[""] * len(self._columns), *own, record.text]
        fields = [record.fields.get(column, "") for column in self._columns]
        return [*fields, *own, ""] if self._shape.raw else [*fields, *own]

    def _append(self, text: str) -> None:
        assert self._file is not None  # noqa: S101 — it was begun
        data = self._encoded(text)
        try:
            written = self._file.write(data)
        except OSError as error:
            raise self._cut_back(f"can't be written on ({error.strerror})") from None
        if written != len(data):
            raise self._cut_back("could take only a part of a row")
        self._size += written

    def _encoded(self, text: str) -> bytes:
        try:
            return self._encode(text)
        except UnicodeEncodeError:
            if self._shape.format == "csv":
                raise
            # What the source spelled with escapes, since its encoding has no such character, gets them here.
            return self._encode(_NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text))

    def _cut_back(self, why: str) -> StorageError:
        """Leave the file with its whole rows only, or no file where there are none, and say why."""
        trouble = StorageError(f"{self.path}: {why}. Free some space there, then run again.")
        assert self._file is not None  # noqa: S101 — something was written to it
        assert self.path is not None  # noqa: S101 — the same
        with suppress(OSError):
            self._file.seek(self._size)
            self._file.truncate()
            if not self._size:
                self._file.close()
                self.path.unlink()
                self._file = self.path = None
        return trouble

    def _no_file(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._wanted}: can't be written ({error.strerror}). Free the way, or name another --retry-file."
        )

    def _leave_no_empty_folder(self) -> None:
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def _csv_line(cells: list[object] | list[str], delimiter: str) -> str:
    line = io.StringIO()
    # Cells with a CR or an LF are quoted only when both are part of the line's end.
    csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def _json_line(record: Record, remark: Remark) -> str:
    own: dict[str, object] = {
        "_row": record.number,
        "_kind": remark.kind,
        "_code": remark.code,
        "_reason": remark.reason,
        "_attempts": remark.attempts,
    }
    if isinstance(record, Damaged):
        return _json({**own, RAW_COLUMN: record.text}) + "\n"
    body = _fields_alone(record).removesuffix("}").rstrip()
    joint = "" if body.endswith("{") else ","
    return f"{body}{joint}{_json(own)[1:]}\n"


def _fields_alone(row: Row) -> str:
    """Return the object of *row* without the keys of a retry file: to the byte as it was written, where it can be."""
    added = _OWN & row.fields.keys()
    if row.text and not added:
        return row.text.strip()
    # No key is there twice, so that no other of these keys is left where the tail as it was written is found.
    text, found = _OWN_TAIL.subn("}", row.text.strip())
    if found and RAW_COLUMN not in added:
        return text
    # A null of Parquet is an empty cell, which JSONL says by leaving its key out; one of JSONL clears a property.
    absent = {name for name, value in row.fields.items() if value is None and not row.text}
    return _json({name: value for name, value in row.fields.items() if name not in _OWN | absent})


def _json(fields: Mapping[str, object]) -> str:
    return json.dumps(_plain(fields), ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> Json:
    """Spell what only Parquet has, so that the mapping makes of it what it made of the column's value."""
    match value:
        case None | str() | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case date():
            return _spelled(value)
        case _:
            return _of_no_type(value)


def _spelled(moment: date) -> Json:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        return moment.isoformat()
    try:
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    except OverflowError:
        return _of_no_type(moment)


def _of_no_type(value: object) -> Json:
    # As an object, which the mapping refuses as it refused the value; a mere text would be sent.
    return {type(value).__name__: str(value)}
