"""Run every file of the corpus through the command: what is sent, rejected or refused is what is written beside it.

A case is a folder in `cases`: one file (or, where it is packed, Parquet or large, an entry of `making.MADE`), an
`expected.json` written by hand, and where it needs one a `config.yaml` with the sections that it sets.
"""

import csv
import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from tests.command import MAPPING, SERVICE, TOKEN, Desk, Ended, rules
from tests.corpus.making import MADE
from uploader.sandbox import RunningSandbox

pytestmark = pytest.mark.no_cover

CASES: Final = Path(__file__).parent / "cases"
NAMES: Final = sorted(folder.name for folder in CASES.iterdir())
COLUMNAR: Final = ("off", pytest.param("on", marks=pytest.mark.slow))
BESIDE: Final = {"expected.json", "config.yaml"}

Rejection: TypeAlias = tuple[int, str]
"""The row that was rejected, and the reason's code."""


@dataclass(frozen=True)
class Expected:
    """What shall become of a file, written by hand: *sent* in its order, *rejected*, and what the command *says*."""

    why: str
    status: int
    sent: list[object] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    way: str = "file"


@dataclass(frozen=True)
class Became:
    """What became of a file: the bodies that the service got, as text with every key in its place."""

    status: int
    sent: list[str]
    rejected: list[Rejection]


@pytest.fixture
def server(sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    served: RunningSandbox = sandbox(rules())
    return served


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, capfd, monkeypatch, {"DFINERY_SERVICE_ID": SERVICE, "DFINERY_ACCESS_TOKEN": TOKEN})


@pytest.mark.parametrize("columnar", COLUMNAR)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_becomes_what_is_written_beside_it(desk: Desk, server: RunningSandbox, name: str, columnar: str) -> None:
    expected = expectation(name)
    timed = any("request_datetime" in str(body) for body in expected.sent)

    ended = run(desk, server, name, expected.way, columnar)
    sent = [body_of(request.body, timed=timed) for request in server.sandbox.requests()]

    found = Became(ended.status, sent, rejections(desk))
    assert found == Became(
        expected.status,
        [repr(in_order(body)) for body in expected.sent],
        [(row["row"], row["code"]) for row in expected.rejected],
    ), ended.err
    assert [words for words in expected.says if words not in ended.err] == [], ended.err
    assert expected.status != 0 or ended.err == "" or "nothing to do" in ended.err, ended.err


@pytest.mark.parametrize("columnar", COLUMNAR)
@pytest.mark.parametrize("name", NAMES)
def test_a_check_foretells_the_end_of_each_file_and_each_place_but_sends_nothing(
    desk: Desk, server: RunningSandbox, name: str, columnar: str
) -> None:
    expected = expectation(name)

    ended = run(desk, server, name, expected.way, columnar, command="check")

    assert ended.status == expected.status
    if expected.status == 3:
        assert places(ended) == [(row["row"], row["line"]) for row in expected.rejected]
    assert server.sandbox.requests() == []
    assert [words for words in expected.says if words not in ended.err] == [], ended.err


def test_each_case_has_one_file_and_says_why_it_is_there() -> None:
    wrong = [
        name
        for name in NAMES
        if len(inputs(name)) + (name in MADE) != 1 or not expectation(name).why.endswith((".", "?"))
    ]

    assert wrong == []
    assert MADE.keys() <= set(NAMES)


def test_the_files_that_are_kept_are_small() -> None:
    assert [path.name for path in CASES.rglob("*") if path.stat().st_size > 20_000] == []


def expectation(name: str) -> Expected:
    """Read what was written by hand, keys and numbers just as they stand."""
    text = (CASES / name / "expected.json").read_text(encoding="utf-8")
    return Expected(**json.loads(text))


def inputs(name: str) -> list[Path]:
    """Return the files of the case called *name* that are kept."""
    return [path for path in (CASES / name).iterdir() if path.name not in BESIDE]


def run(  # noqa: PLR0913, PLR0917 — where, what, and in which way
    desk: Desk, server: RunningSandbox, name: str, way: str, columnar: str, command: str = "run"
) -> Ended:
    """Lay out the case called *name*, and type the command."""
    source, content = layout(name)
    _configure(desk, server, name)
    # So each rejected row is told with its line.
    told = "-v" if expectation(name).status == 3 else "-q"
    words = (command, source, told, "--set", f"source.columnar={columnar}")
    if way == "stdin":
        return desk.type(*words, stdin=content)
    if way == "pipe":
        with fed(desk.folder / source, content):
            return desk.type(*words)
    desk.write(source, content)
    return desk.type(*words)


def layout(name: str) -> tuple[str, bytes]:
    """Return the name and the content of the file of a case."""
    if name in MADE:
        source, make = MADE[name]
        return source, make()
    (path,) = inputs(name)
    return path.name, path.read_bytes()


def _configure(desk: Desk, server: RunningSandbox, name: str) -> None:
    snippet = CASES / name / "config.yaml"
    more = snippet.read_text(encoding="utf-8") if snippet.exists() else ""
    desk.configure(server.url, mapping="" if "mapping:" in more else MAPPING, more=more)
    # One after the other, so that they arrive in the order of the file.
    path = desk.folder / "config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("burst: 16", "concurrency: 1"), encoding="utf-8")


@contextmanager
def fed(path: Path, content: bytes) -> Iterator[None]:
    """Make a named pipe, and write *content* into it as soon as it is opened."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,), daemon=True)
    writer.start()
    yield
    writer.join(timeout=10)
    assert not writer.is_alive(), "nobody read the pipe"


def body_of(request: bytes, *, timed: bool) -> str:
    """Return what a request says, every key in its place; without the moment of sending unless it is *timed*."""
    pairs = json.loads(request, object_pairs_hook=list)
    return repr([pair for pair in pairs if timed or pair[0] != "request_datetime"])


def in_order(value: object) -> object:
    """Return *value* as `object_pairs_hook=list` reads it."""
    return [(key, in_order(inner)) for key, inner in value.items()] if isinstance(value, dict) else value


def rejections(desk: Desk) -> list[Rejection]:
    """Return the rows of the retry file, each with its reason's code."""
    return [rejection for path in desk.folder.glob("*.retry*") for rejection in _retried(path)]


def places(ended: Ended) -> list[tuple[int, int]]:
    """Return the rows, with their lines (0 where the format has none), that a check told of."""
    found = re.findall(r"row ([\d,]+)(?: \(line ([\d,]+)\))?", ended.err)
    return sorted({(int(row.replace(",", "")), int(line.replace(",", "") or 0)) for row, line in found})


def _retried(path: Path) -> list[Rejection]:
    text = _decoded(path.read_bytes())
    if path.suffix == ".jsonl":
        return [(fields["_row"], fields["_code"]) for fields in map(json.loads, text.splitlines())]
    delimiter = text.partition("_row")[2][0]
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return [(int(fields["_row"]), fields["_code"]) for fields in table]


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp949")
