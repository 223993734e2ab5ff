"""Detect the format of a file by its name and by its first bytes."""

import json
import re
from typing import Literal, TypeAlias

from uploader.errors import InputError
from uploader.source.compression import unpacked_name
from uploader.source.encoding import reads_as

Format: TypeAlias = Literal["csv", "jsonl", "parquet"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_TITLES = {"csv": "CSV", "jsonl": "JSONL"}
_PARQUET = b"PAR1"
_FOREIGN = (
    (b"PK\x03\x04", "is an Excel workbook or a ZIP archive; save it as CSV, or unpack it first."),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook; save it as CSV first."),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it first."),
    (b"Rar!\x1a\x07", "is a RAR archive; unpack it first."),
    (b"\x1f\x9d", "is compressed (.Z); unpack it first."),
    (b"\x5d\x00\x00", "is compressed (.lzma); unpack it first."),
)
_HTML = re.compile(
    r"(?:<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(?:!doctype\s+html|(?:html|head|meta|body|table|style|script|div|title|center)[\s>/])",
    re.IGNORECASE | re.DOTALL,
)
_XML = re.compile(r"<\?xml\s", re.IGNORECASE)
_ARRAY = re.compile(r"\[\s*[\[{\]]")
_ENVELOPE = re.compile(r'\{\s*"([A-Za-z_]\w*)"\s*:\s*\[\s*\{')
"""The start of an object whose first key holds a list of objects."""

_GOES_ON = ("{", "[", ",", ":")
"""How a line ends after which the JSON value continues on the next one."""

_ABOUT_LIST = frozenset(
    {
        *("count", "total", "size", "page", "pages", "limit", "offset", "next", "previous", "prev", "cursor", "more"),
        *("meta", "metadata", "links", "paging", "pagination", "status", "success", "ok", "result", "message", "error"),
        *("errors", "version", "generated", "exported"),
    }
)
"""Words of the keys that stand beside a list of objects in the reply of an API; no row consists of them."""

_EACH_ON_A_LINE = "JSONL has each object on a line of its own: write it so, for example with:"
_TAR = slice(257, 262)


def format_by_name(name: str) -> Format | None:
    """Return the format that the suffix of *name* claims; the suffix of a compression (`.gz`) is ignored."""
    return _SUFFIXES.get(unpacked_name(name).suffix.lower())


def format_by_content(head: bytes, encoding: str) -> Format:
    """Return the format that the first bytes of a file look like."""
    if head.startswith(_PARQUET):
        return "parquet"
    return "jsonl" if reads_as(encoding, head).lstrip().startswith("{") else "csv"


def refuse_foreign(label: str, head: bytes) -> None:
    """Raise InputError when the file is empty, or of a kind that this program does not read."""
    if not head:
        raise InputError(f"{label} is empty. Check how it was made.")
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise InputError(f"{label} {what}")
    if head[_TAR] == b"ustar":
        raise InputError(f"{label} is a tar archive; unpack it, and name a file of it.")


def refuse_other_text(label: str, head: bytes, encoding: str) -> None:
    """Raise InputError when a text file is an HTML page, XML or one JSON array, whatever it is called."""
    text = reads_as(encoding, head).lstrip()
    if _HTML.match(text):
        raise InputError(
            f"{label} is an HTML page, whatever its name says: admin pages export tables so, as .xls, and a login or "
            "error page may be saved so. Open it in a spreadsheet and save it as CSV UTF-8, or export it again as CSV."
        )
    if _XML.match(text):
        raise InputError(
            f"{label} is XML, as old versions of Excel save it. Open it in a spreadsheet and save it as CSV UTF-8."
        )
    if _is_json_array(text):
        raise InputError(
            f"{label} is one JSON array. JSONL has an object on each line, without brackets and commas around them: "
            "write it so, for example with: jq -c '.[]'"
        )


def refuse_other_json(label: str, head: bytes, encoding: str) -> None:
    """Raise InputError when JSONL is one object with a list of objects in it, or objects over several lines."""
    text = reads_as(encoding, head).lstrip()
    first, end, rest = text.partition("\n")
    envelope = _ENVELOPE.match(text)
    value = _json_value(first)
    if isinstance(value, dict):
        key = None if end and rest.strip() else _only_list(value)
        if key is not None:
            raise InputError(f"{label} is one JSON object with a list in it. {_EACH_ON_A_LINE} jq -c '{_path(key)}[]'")
        return
    others = [_json_value(line) for line in rest.split("\n") if line.startswith("{")]
    is_over_lines = first.rstrip().endswith(_GOES_ON) and bool(rest.strip()) and dict not in map(type, others)
    # Of one long line, only the start is known.
    if envelope is not None and (is_over_lines or not end):
        raise InputError(
            f"{label} is one JSON object with a list in it. {_EACH_ON_A_LINE} jq -c '{_path(envelope[1])}[]'"
        )
    if end and first.startswith("{") and is_over_lines:
        raise InputError(f"{label} has JSON objects over several lines. {_EACH_ON_A_LINE} jq -c .")


def _only_list(value: dict[str, object]) -> str | None:
    """Return the key of *value* that holds a list of objects; None if there are several, or values of a row beside."""
    lists = [key for key, inner in value.items() if inner and isinstance(inner, list) and isinstance(inner[0], dict)]
    others = [key for key in value if key not in lists]
    is_reply = all(_ABOUT_LIST.intersection(re.split(r"[\W_]+", key.lower())) for key in others)
    return lists[0] if len(lists) == 1 and is_reply else None


def _path(key: str) -> str:
    """Return the path of *key* for jq; a key that is no plain word may be data, and is not shown."""
    return f".{key}" if re.fullmatch(r"[A-Za-z_]\w{0,30}", key, re.ASCII) else ".KEY"


def _json_value(text: str) -> object:
    """Return the JSON value in *text*; None if there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_json_array(text: str) -> bool:
    """Whether *text*, the first of a file, begins an array that is all of the file."""
    if not _ARRAY.match(text):
        return False
    first, end, rest = text.partition("\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    # Arrays on each line are JSONL, though of no objects.
    return not end or not rest.strip()


def refuse_other_format(label: str, claimed: Format, head: bytes, encoding: str, *, by_name: bool) -> None:
    """Raise InputError when the content is not of the format *claimed*.

    *by_name* is whether the file's suffix claims it, rather than the configuration.
    """
    found = evident_format(head, encoding)
    rename = " or rename it" if by_name else ""
    if claimed == "parquet" and found != "parquet":
        raise InputError(
            f"{label} is not Parquet: it does not begin with PAR1. Set source.format: csv or jsonl{rename}."
        )
    if claimed != "parquet" and found == "parquet":
        raise InputError(f"{label} holds Parquet, not {_TITLES[claimed]}. Set source.format: parquet{rename}.")
    if claimed == "csv" and found == "jsonl":
        raise InputError(
            f"{label} looks like JSONL: its first line is a JSON object. Set source.format: jsonl{rename}."
        )


def evident_format(head: bytes, encoding: str) -> Format | None:
    """Return the format that the first bytes of a file prove; None where they prove none."""
    if head.startswith(_PARQUET):
        return "parquet"
    first, _, _ = reads_as(encoding, head).lstrip().partition("\n")
    try:
        return "jsonl" if first.startswith("{") and isinstance(json.loads(first), dict) else None
    except (ValueError, RecursionError):
        return None
