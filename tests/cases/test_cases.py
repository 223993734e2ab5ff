"""Small files as people bring them: each folder says in `expect.json` what must come of its input."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.command import Desk, Ended
from uploader.sandbox import Sandbox
from uploader.sandbox.customer_profiles import Profile
from uploader.sandbox.sqlite_store import RequestRecord

FOLDER: Final = Path(__file__).parent
CASES: Final = sorted(path.parent.name for path in FOLDER.glob("*/expect.json"))
KEYS: Final = frozenset(
    {"exit", "says", "sent", "profiles", "properties", "identity", "identity_never", "absent", "rejected"}
)


@dataclass
class Seen:
    """What the sandbox of a dry run received and stored, and which rows the program rejected."""

    requests: Sequence[RequestRecord] = ()
    profiles: Sequence[Profile] = ()
    rejected: list[int] = field(default_factory=list)

    def bodies(self) -> Iterator[Mapping[str, Any]]:
        yield from (json.loads(request.body) for request in self.requests)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Seen:
    """Keep what the sandbox of a dry run holds when it closes."""
    found, close = Seen(), Sandbox.close

    def keep_and_close(box: Sandbox) -> None:
        found.requests, found.profiles = box.requests(), box.profiles()
        close(box)

    monkeypatch.setattr(Sandbox, "close", keep_and_close)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return found


def expected(case: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((FOLDER / case / "expect.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("columnar", ["off", pytest.param("on", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_a_case_comes_out_as_it_says(case: str, columnar: str, desk: Desk, seen: Seen) -> None:
    """Its check and its dry run end, say, send, store and reject what `expect.json` has."""
    shutil.copytree(FOLDER / case, desk.folder, dirs_exist_ok=True)
    source = next(path.name for path in desk.folder.iterdir() if path.name.startswith("in."))
    wanted = expected(case)

    way = ("--set", f"source.columnar={columnar}")
    checked = desk.type("check", source, *way, "--summary", "check.json")
    ran = desk.type("run", source, *way, "--sandbox", "--summary", "run.json")
    seen.rejected = rejected_rows(desk)

    assert {*wanted} <= {"why", "check", "run", "never_sent", "never_says"}
    hold_to_output(wanted.get("check", {}), checked)
    hold_to_output(wanted.get("run", {}), ran)
    hold_to_requests(wanted.get("run", {}), seen)
    sent = "".join(request.body.decode() for request in seen.requests)
    assert [text for text in wanted.get("never_sent", ()) if text in sent] == []
    printed = checked.out + checked.err + ran.out + ran.err
    assert [text for text in wanted.get("never_says", ()) if text in printed] == []


def rejected_rows(desk: Desk) -> list[int]:
    """Return the rows of the dry run's retry file, which it names; none if there is none."""
    path = desk.folder / "run.json"
    if not path.exists() or (file := desk.summary("run.json").get("retry_file")) is None:
        return []
    found = desk.folder / file
    text = found.read_text(encoding="utf-8-sig")
    rows = map(json.loads, text.splitlines()) if text.startswith("{") else desk.retry_cells(str(found))
    return sorted(int(row["_row"]) for row in rows if row["_kind"] == "rejected")


def hold_to_output(wanted: Mapping[str, Any], ended: Ended) -> None:
    said = ended.out + ended.err
    assert {*wanted} <= KEYS
    assert "exit" not in wanted or ended.status in wanted["exit"], said
    assert [text for text in wanted.get("says", ()) if text not in said] == [], said


def hold_to_requests(wanted: Mapping[str, Any], seen: Seen) -> None:
    assert seen.rejected == wanted.get("rejected", seen.rejected)
    assert len(seen.requests) == wanted.get("sent", len(seen.requests))
    assert len(seen.profiles) == wanted.get("profiles", len(seen.profiles))
    by_id = {body["identity"].get("external_id"): body for body in seen.bodies()}
    for part, kept in (("properties", "user_properties"), ("identity", "identity")):
        for person, values in wanted.get(part, {}).items():
            assert {key: by_id[person][kept].get(key) for key in values} == values, person
    for person, keys in wanted.get("absent", {}).items():
        assert [key for key in keys if key in by_id[person]["user_properties"]] == []
    for name, value in wanted.get("identity_never", {}).items():
        assert all(body["identity"].get(name) != value for body in by_id.values())


def test_every_case_has_its_input_and_configuration() -> None:
    without = [
        case for case in CASES if not (FOLDER / case / "config.yaml").exists() or not [*(FOLDER / case).glob("in.*")]
    ]

    assert CASES
    assert without == []
