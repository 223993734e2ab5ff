"""Damage small files in every place: what is sent is what an independent reader finds in those bytes, or nothing."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.batches import works_in_batches
from tests.command import SERVICE, TOKEN, Desk, rules
from tests.make import identity_rules, opened
from tests.plans import compile_plan
from tests.seeds import FIRST
from uploader.errors import UploaderError
from uploader.mapping import Plan
from uploader.mapping.rules import MappingRules, PropertyRule
from uploader.model import NoWork, Request, Work
from uploader.sandbox import RunningSandbox
from uploader.source import Source

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.no_cover

NOW: Final = "2026-06-01T00:00:00.000Z"
MAPPING: Final = """\
mapping:
  identity: {external_id: id}
  properties:
    df_name: {column: name, type: string}
    age: {column: age, type: long}
    df_push_optin: push
    memo: {column: memo, type: string}
"""
RULES: Final = MappingRules(
    identity=identity_rules({"external_id": "id"}),
    properties=(
        PropertyRule("df_name", "name", kind="string"),
        PropertyRule("age", "age", kind="long"),
        PropertyRule("df_push_optin", "push"),
        PropertyRule("memo", "memo", kind="string"),
    ),
)
CSV: Final = (
    "id,name,age,push,memo\r\n"
    '1,김하늘,31,Y,"line one\r\nline ""two"", end"\r\n'
    '2,"Lee, Dana",,no,\r\n'
    "\r\n"
    '0003,"",-7,,가😀\r\n'
    "4,박,9223372036854775807,true,=1+1\r\n"
).encode()
JSONL: Final = (
    '{"id": "1", "name": "김하늘", "age": 31, "push": true, "memo": "a\\n\\"b\\" \\ud83d\\ude00"}\r\n'
    '{"id": 2, "name": "Lee", "age": null, "push": "no"}\n'
    "\n"
    '{"id": "0003", "age": "-7", "memo": "\\uac00", "other": {"a": [1, 2.5]}}\n'
    '{"id": "4", "name": "박", "age": 9223372036854775807, "push": 1}\n'
).encode()

ESCAPED: Final = b'\n{"id": "5", "name": "\\ud83d\\ude00 \\\\ \\n", "age": -1, "x": [1.5e+3, true, false, null, {}]}'
"""A last record of everything that JSON can break off in."""

Fields: TypeAlias = Mapping[str, object]
NamedReader: TypeAlias = "Callable[[str, bytes], Reading]"
Reading: TypeAlias = list[str | None] | None
"""The body of each record in its order, None where a record is rejected; or None: the whole file is refused."""

Reader: TypeAlias = Callable[[bytes], Reading]
Damage: TypeAlias = tuple[str, bytes]
"""What was done to a file, and what it holds since."""

TRUTH: Final = {
    **dict.fromkeys(("true", "1", "yes", "y", "t"), True),
    **dict.fromkeys(("false", "0", "no", "n", "f"), False),
}
MASKS: Final = (0x01, 0x20, 0x80, 0xFF)
BITS: Final = tuple(1 << bit for bit in range(8))
TELLING: Final = b'"\\,\r\n\0 \t{}[]:;\xef\xff019eE.-+'
"""Bytes that mean something in one format or another."""


# The independent reader: Python's own csv, json and unpackers, and a mapping that is written out.


def by_csv(content: bytes) -> Reading:
    """Read a whole CSV with the csv module, strictly."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(filter(None, reader))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        return None
    if not {"id", "name", "age", "push", "memo"} <= set(header) or len(set(header)) < len(header):
        return None
    found: list[str | None] = []
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return found
        except csv.Error:
            found.append(None)
        else:
            if fields:
                sound = len(fields) == len(header)
                found.append(body(dict(zip(header, fields, strict=True))) if sound else None)


def by_json(content: bytes) -> Reading:
    """Read whole JSON lines with the json module, refusing keys given twice and numbers that are none."""
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        return None
    return [_json_body(line) for line in lines if line.strip()]


def _json_body(line: str) -> str | None:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError
        return fields

    def never(_: str) -> object:
        raise ValueError

    try:
        fields = json.loads(line, object_pairs_hook=once, parse_constant=never)
        json.dumps(fields, ensure_ascii=False).encode()
    except ValueError:
        return None
    return body(fields) if isinstance(fields, dict) else None


def packed_csv(unpack: Callable[[bytes], bytes], content: bytes) -> Reading:
    """Read a CSV that was packed."""
    try:
        plain = unpack(content)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, ValueError):
        return None
    return by_csv(plain)


def body(fields: Fields) -> str | None:
    """Return what is to be sent for *fields*, its keys in order; None where they can't be sent."""
    try:
        identity = _text(fields["id"])
        properties = {key: read(fields[name]) for key, name, read in READERS if fields.get(name, "") != ""}
    except (KeyError, ValueError):
        return None
    return repr([("external_id", identity), *properties.items()]) if identity and properties else None


def _text(value: object) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise ValueError


def _text_or_null(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) or not re.fullmatch(r"[+-]?[0-9]+", _text(value)):
        raise ValueError
    number = int(_text(value))
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _truth(value: object) -> bool:
    return value if isinstance(value, bool) else TRUTH[_text(value).lower()]


READERS: Final[tuple[tuple[str, str, Callable[[object], object]], ...]] = (
    ("df_name", "name", _text_or_null),
    ("age", "age", _whole),
    ("df_push_optin", "push", _truth),
    ("memo", "memo", _text_or_null),
)

# The files, each with the reader that is right about it.

CHECKED_ZSTD: Final = zstd.compress(CSV, options={zstd.CompressionParameter.checksum_flag: 1})
KINDS: Final[Mapping[str, tuple[bytes, Reader]]] = {
    "people.csv": (CSV, by_csv),
    "people.jsonl": (JSONL, by_json),
    "people.csv.gz": (gzip.compress(CSV, mtime=0), partial(packed_csv, gzip.decompress)),
    "people.csv.bz2": (bz2.compress(CSV), partial(packed_csv, bz2.decompress)),
    "people.csv.zst": (CHECKED_ZSTD, partial(packed_csv, zstd.decompress)),
    "people.csv.xz": (lzma.compress(CSV), partial(packed_csv, lzma.decompress)),
}
PACKED: Final = [name for name in KINDS if name.count(".") > 1]


def flips(content: bytes, masks: Iterable[int]) -> Iterator[Damage]:
    """Yield *content* with each byte changed by each mask."""
    for at, byte in enumerate(content):
        for mask in masks:
            yield f"byte {at} ^ {mask:#04x}", content[:at] + bytes([byte ^ mask]) + content[at + 1 :]


def cuts(content: bytes) -> Iterator[Damage]:
    """Yield *content* cut off at each offset."""
    for at in range(len(content)):
        yield f"cut at {at}", content[:at]


def swaps(content: bytes) -> Iterator[Damage]:
    """Yield *content* with each byte in turn made into each of those that mean something."""
    for at in range(len(content)):
        for byte in TELLING:
            yield f"byte {at} = {byte:#04x}", content[:at] + bytes([byte]) + content[at + 1 :]


def program(name: str, content: bytes) -> Reading:
    """Return what the program makes row by row of a file called *name* that holds *content*."""
    return _read_by(lambda source, plan: [plan.map_row(record, NOW) for record in source.read()], name, content)


def in_batches(name: str, content: bytes) -> Reading:
    """Return what the program makes of the same file in batches."""
    return _read_by(lambda source, plan: works_in_batches(source, plan, NOW), name, content)


def _read_by(read: Callable[[Source, Plan], Iterable[Work | NoWork]], name: str, content: bytes) -> Reading:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            with opened(path) as source:
                plan = compile_plan(RULES, source="people", config="config.yaml", columns=source.columns)
                carried = [*read(source, plan)]
        except UploaderError:
            return None
    return [sent(work.body) if isinstance(work, Request) else None for work in carried]


def sent(request: bytes) -> str:
    """Return what *request* says, its keys in order."""
    parts = dict(json.loads(request, object_pairs_hook=list))
    return repr([*parts["identity"], *parts["user_properties"]])


def judged(expected: Reading, found: Reading) -> str:
    """Return what became of a file: "refused", "sent", or, in capitals, what is wrong with it."""
    if found is None:
        return "refused"
    if expected is None:
        return "SENT WHAT NOBODY CAN READ" if any(found) else "refused"
    if len(found) != len(expected):
        return "LOST ROWS" if len(found) < len(expected) else "MADE ROWS UP"
    if any(theirs is not None and theirs != ours for ours, theirs in zip(expected, found, strict=True)):
        return "DIFFERS IN SILENCE"
    return "sent" if None not in found else "rejected in part"


def verdicts(damages: Iterable[Damage], truth: Reader, reader: Reader) -> tuple[list[str], Counter[str]]:
    """Return what is wrong with *reader*, damage by damage, and how often each thing became of a file."""
    wrong: list[str] = []
    counted: Counter[str] = Counter()
    for damage, content in damages:
        verdict = judged(truth(content), reader(content))
        counted[verdict] += 1
        if verdict.isupper():
            wrong.append(f"{damage}: {verdict}")
    return wrong, counted


def some(damages: Iterable[Damage], read: NamedReader, *, row_by_row: int = 1, batches: int = 5) -> Iterable[Damage]:
    """Return each so manieth of *damages*: fewer in batches, since one takes ten times as long to begin as a row.

    Neighbouring bytes are damaged in different ways; `make fuzz` takes others.
    """
    every = batches if read is in_batches else row_by_row
    return islice(damages, FIRST % every, None, every)


WAYS: Final = (program, pytest.param(in_batches, marks=pytest.mark.slow))


@pytest.fixture(autouse=True)
def trusted_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try the expressions of the plan for none of thousands of files: tests/mapping tries them."""
    monkeypatch.setattr("uploader.mapping.columnar_plan.differing_expression", lambda *_: None)


@pytest.mark.parametrize("read", WAYS)
@pytest.mark.parametrize("name", KINDS)
def test_the_independent_reader_and_the_program_agree_on_a_sound_file(name: str, read: NamedReader) -> None:
    content, truth = KINDS[name]

    found = read(name, content)

    assert found == truth(content)
    assert found is not None
    assert len(found) == 4
    assert None not in found


@pytest.mark.seeded
@pytest.mark.parametrize("read", WAYS)
@pytest.mark.parametrize("name", ["people.csv", "people.jsonl"])
def test_no_flipped_byte_of_a_text_is_read_otherwise_than_it_stands(name: str, read: NamedReader) -> None:
    content, truth = KINDS[name]

    wrong, counted = verdicts(some(flips(content, BITS), read), truth, partial(read, name))

    assert wrong == []
    assert min(counted[became] for became in ("sent", "rejected in part", "refused")) > 20


@pytest.mark.parametrize("read", WAYS)
@pytest.mark.parametrize("name", KINDS)
def test_no_cut_gives_a_body_that_nobody_wrote(name: str, read: NamedReader) -> None:
    content, truth = KINDS[name]

    wrong, counted = verdicts(cuts(content), truth, partial(read, name))

    assert wrong == []
    assert counted["refused"] > 50


def test_a_text_that_is_cut_within_its_last_record_is_always_refused() -> None:
    by_name = {"people.csv": (CSV, b","), "people.jsonl": (JSONL.rstrip() + ESCAPED, b"}")}

    sent_after = [
        f"{name}: {content[:at][-20:]!r}"
        for name, (content, last_needed) in by_name.items()
        for at in range(content.rstrip().rindex(b"\n") + 2, content.rindex(last_needed))
        if program(name, content[:at]) is not None
    ]

    assert sent_after == []


@pytest.mark.parametrize("name", PACKED)
def test_a_cut_archive_is_always_refused(name: str) -> None:
    content, _ = KINDS[name]

    sent_after = [damage for damage, cut in cuts(content) if program(name, cut) is not None]

    assert sent_after == []


@pytest.mark.parametrize("read", WAYS)
@pytest.mark.parametrize("name", PACKED)
def test_no_flipped_byte_of_an_archive_changes_what_is_sent(name: str, read: NamedReader) -> None:
    content, truth = KINDS[name]

    wrong, counted = verdicts(flips(content, (0x01, 0x80)), truth, partial(read, name))

    assert wrong == []
    assert counted.keys() <= {"sent", "refused"}
    assert counted["refused"] > 200


@pytest.mark.long
@pytest.mark.seeded
@pytest.mark.parametrize("read", WAYS)
@pytest.mark.parametrize("name", KINDS)
def test_no_bits_that_flip_change_a_body_in_silence(name: str, read: NamedReader) -> None:
    content, truth = KINDS[name]
    # The tests above flip the others.
    masks = (*(BITS[1:-1] if name in PACKED else ()), 0x0F, 0xF0, 0xFF)

    wrong, _ = verdicts(some(flips(content, masks), read), truth, partial(read, name))

    assert wrong == []


@pytest.mark.long
@pytest.mark.seeded
@pytest.mark.parametrize("read", WAYS)
@pytest.mark.parametrize("name", ["people.csv", "people.jsonl"])
def test_no_sign_of_a_format_in_a_wrong_place_changes_a_body_in_silence(name: str, read: NamedReader) -> None:
    content, truth = KINDS[name]

    wrong, _ = verdicts(some(swaps(content), read, row_by_row=5, batches=13), truth, partial(read, name))

    assert wrong == []


# The command's own door, for a sample of the same damages.


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, capfd, monkeypatch, {"DFINERY_SERVICE_ID": SERVICE, "DFINERY_ACCESS_TOKEN": TOKEN})


@pytest.mark.parametrize("columnar", ["off", "on"])
@pytest.mark.parametrize(("name", "every"), [("people.csv", 23), ("people.jsonl", 41), ("people.csv.gz", 47)])
def test_what_the_service_got_of_a_damaged_file_is_what_stands_in_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox], name: str, every: int, columnar: str
) -> None:
    content, truth = KINDS[name]
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=f"source: {{columnar: {columnar}}}\n")
    damages = [*flips(content, MASKS), *cuts(content)][::every]

    wrong, counted = verdicts(damages, truth, partial(_run, desk, server, name))

    assert wrong == []
    assert counted["refused"] > 0


def _run(desk: Desk, server: RunningSandbox, name: str, content: bytes) -> Reading:
    before = len(server.sandbox.requests())
    desk.write(name, content)
    ended = desk.type("run", name, "-q", "--fresh", "--set", "rate.concurrency=1", "--summary", "summary.json")
    assert ended.status in {0, 3, 4}, ended
    arrived = [sent(request.body) for request in server.sandbox.requests()[before:]]
    if ended.status == 4:
        assert arrived == []
        return None
    retried = [path for path in desk.folder.iterdir() if ".retry" in path.name]
    rejected = {number for path in retried for number in _retry_numbers(path)}
    for path in retried:
        path.unlink()
    assert len(rejected) + len(arrived) == desk.summary()["read"]
    bodies = iter(arrived)
    return [None if number in rejected else next(bodies) for number in range(1, desk.summary()["read"] + 1)]


def _retry_numbers(path: Path) -> list[int]:
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".jsonl":
        return [json.loads(line)["_row"] for line in text.splitlines()]
    return [int(row["_row"]) for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)]


# Tests of the judge: readers that are kind to damaged files.


def replacing(content: bytes) -> Reading:
    """Read a CSV, and put a mark in place of what can't be decoded."""
    return by_csv(content.decode("utf-8-sig", "replace").encode())


def padding(content: bytes) -> Reading:
    """Read a CSV, and fill up rows that are too short."""
    try:
        header, *rows = filter(None, csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (ValueError, csv.Error):
        return None
    return [body(dict(zip(header, row + [""] * (len(header) - len(row)), strict=False))) for row in rows]


def skipping(content: bytes) -> Reading:
    """Read JSON lines, and leave out what is none."""
    found = by_json(content)
    return found and [told for told in found if told is not None]


def last_of_two(content: bytes) -> Reading:
    """Read JSON lines as json.loads does: of two keys of one name the last counts, and NaN is a number."""
    try:
        fields = [json.loads(line) for line in content.decode().split("\n") if line.strip()]
        return [body(found) for found in fields]
    except (ValueError, AttributeError):
        return None


def unchecked(content: bytes) -> Reading:
    """Read a gzip as far as it goes, its checksum unread."""
    try:
        return by_csv(zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[10:]))
    except zlib.error:
        return None


TWICE: Final = b'{"id": "1", "name": "a"}\n{"id": "1", "id": "2", "name": "a"}\n'


@pytest.mark.parametrize(
    ("kind", "name", "complaint"),
    [
        (replacing, "people.csv", "SENT WHAT NOBODY CAN READ"),
        (padding, "people.csv", "DIFFERS IN SILENCE"),
        (skipping, "people.jsonl", "LOST ROWS"),
        (unchecked, "people.csv.gz", "SENT WHAT NOBODY CAN READ"),
    ],
)
def test_a_reader_that_is_kind_to_damage_is_caught(kind: Reader, name: str, complaint: str) -> None:
    content, truth = KINDS[name]
    damages = [*flips(content, MASKS), *cuts(content)]

    _, counted = verdicts(damages, truth, kind)

    assert counted[complaint] > 0


def test_a_reader_that_lets_the_last_of_two_keys_win_is_caught() -> None:
    assert judged(by_json(TWICE), last_of_two(TWICE)) == "DIFFERS IN SILENCE"
    assert judged(by_json(TWICE), program("people.jsonl", TWICE)) == "rejected in part"
