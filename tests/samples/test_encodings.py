"""Send the samples as Korean and as wide files: what arrives is what their UTF-8 twins make arrive, to the byte."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from tests.command import SERVICE, TOKEN, Desk, rules
from tests.make import opened
from tests.plans import compile_plan
from uploader.config import load
from uploader.model import Rejected
from uploader.sandbox import RunningSandbox

pytestmark = pytest.mark.no_cover

ROOT: Final = Path(__file__).parents[2]
NOW: Final = "2026-06-01T00:00:00.000Z"
FORMATS: Final = ("csv", "jsonl")
TWINS: Final = {
    "cp949": ("cp949", b"", "cp949"),
    "utf-16 little-endian": ("utf-16-le", b"\xff\xfe", "auto"),
    "utf-16 big-endian": ("utf-16-be", b"\xfe\xff", "auto"),
    "utf-8 with a mark": ("utf-8", b"\xef\xbb\xbf", "auto"),
}
"""Each with its codec, its byte order mark, and what the configuration has to say of it."""

FIRST: Final = "600"
"""So many rows are sent by the command; two of them are broken on purpose."""


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, capfd, monkeypatch, {"DFINERY_SERVICE_ID": SERVICE, "DFINERY_ACCESS_TOKEN": TOKEN})


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_row_of_a_twin_makes_the_body_of_its_utf_8(tmp_path: Path, suffix: str, twin: str) -> None:
    plain, other = _twins(suffix, twin)

    found = _carried(tmp_path / f"other.{suffix}", other, TWINS[twin][2])

    assert len(found) == 3000
    assert found == _of_plain(suffix, plain)


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_the_command_sends_and_keeps_of_a_twin_what_it_does_of_its_utf_8(
    desk: Desk, sandbox: Callable[..., RunningSandbox], suffix: str, twin: str
) -> None:
    server = sandbox(rules(limit=10**6))
    (desk.folder / "config.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
    codec, mark, setting = TWINS[twin]
    plain, other = _twins(suffix, twin)
    desk.write(f"plain.{suffix}", plain)
    desk.write(f"other.{suffix}", other)

    expected = _bodies(desk, server, f"plain.{suffix}", "auto")
    found = _bodies(desk, server, f"other.{suffix}", setting)

    assert len(expected) == 598
    assert found == expected
    kept = (desk.folder / f"plain.retry.{suffix}").read_bytes().decode()
    # They are kept by the first and by the second run of this folder.
    told = _told(desk.folder / f"other.retry.{suffix}", codec, mark)
    assert re.sub(r"\br2-(?=[0-9a-f]{8}\b)", "r1-", told) == kept


def test_a_korean_sample_is_refused_with_the_name_of_its_encoding(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    (desk.folder / "config.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
    desk.write("profiles.csv", _twins("csv", "cp949")[1])

    ended = desk.type("run", "profiles.csv", "-q", *_settings(server, "auto"))

    assert (ended.status, ended.err) == (
        4,
        "profiles.csv: row 1 (line 2) is not utf-8, but the whole file reads as cp949. Set source.encoding: cp949.\n",
    )
    assert server.sandbox.requests() == []


def _told(path: Path, codec: str, mark: bytes) -> str:
    """Return the text of a retry file, which begins with a mark where its source does; UTF-16 may have either order."""
    content = path.read_bytes()
    if codec.startswith("utf-16"):
        assert content.startswith((b"\xff\xfe", b"\xfe\xff"))
        return content.decode("utf-16")
    assert content.startswith(mark)
    return content.removeprefix(mark).decode(codec)


def _twins(suffix: str, twin: str) -> tuple[bytes, bytes]:
    """Return the sample in UTF-8 and as *twin*; what cp949 has no letter for is a question mark in both."""
    codec, mark, _ = TWINS[twin]
    told = (ROOT / f"samples/profiles.{suffix}").read_bytes().decode().encode(codec, "replace")
    return told.decode(codec).encode(), mark + told


@cache
def _of_plain(suffix: str, content: bytes) -> list[bytes | str]:
    """Carry the rows of a twin in UTF-8: most twins have the same."""
    with TemporaryDirectory() as folder:
        return _carried(Path(folder) / f"plain.{suffix}", content, "auto")


def _carried(path: Path, content: bytes, encoding: str) -> list[bytes | str]:
    path.write_bytes(content)
    mapping = load(ROOT / "config.yaml", environ={}, credentials=False).rules()
    with opened(path, encoding=encoding) as source:
        plan = compile_plan(mapping, source="profiles", config="config.yaml", columns=source.columns)
        carried = [plan.map_row(record, NOW) for record in source.read()]
    return [work.reason.phrase if isinstance(work, Rejected) else work.body for work in carried]


def _bodies(desk: Desk, server: RunningSandbox, name: str, encoding: str) -> list[bytes]:
    """Return what arrived of *name*, in the order of its rows, without the moment of sending."""
    before = len(server.sandbox.requests())
    ended = desk.type("run", name, "-q", "--limit", FIRST, *_settings(server, encoding))
    assert ended.status == 3
    moment = re.compile(rb'"request_datetime":"[0-9T:.-]{23}Z"\}$')
    return [moment.sub(b"", request.body) for request in server.sandbox.requests()[before:]]


def _settings(server: RunningSandbox, encoding: str) -> tuple[str, ...]:
    values = (f"api.base_url={server.url}", f"source.encoding={encoding}", "rate.requests=1000000", "rate.per=1s")
    return tuple(word for value in (*values, "rate.concurrency=1") for word in ("--set", value))
