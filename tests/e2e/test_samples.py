"""Send the three sample files: the same bodies go out, and the service holds what an independent reader expects."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.command import SERVICE, TOKEN, books_of
from uploader.sandbox import Profile, RunningSandbox, SandboxRules, running

pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).parents[2]
BROKEN = {150, 480, 777, 1024, 1500, 1999, 2345, 2800}
TYPES = {
    "df_name": "string",
    "df_gender": "string",
    "age": "long",
    "score": "double",
    "vip": "boolean",
    "joined_at": "datetime",
    "tags": "array<string>",
    "channel": "string",
}

Body: TypeAlias = tuple[dict[str, str], dict[str, object]]
"""One expected request: identity and properties."""


@pytest.fixture(scope="module")
def expected() -> list[Body]:
    """Return what shall be sent for each sound row, read from the CSV by the csv module and nothing of ours."""
    with (ROOT / "samples/profiles.csv").open(encoding="utf-8", newline="") as file:
        return [_body(row) for number, row in enumerate(csv.DictReader(file), start=1) if number not in BROKEN]


@dataclass(frozen=True, slots=True)
class Delivered:
    """A sample that was sent: where from, where to, and how the command ended."""

    suffix: str
    folder: Path
    server: RunningSandbox
    status: int

    def summary(self) -> dict[str, int]:
        """Return the summary of what was sent last."""
        found: dict[str, int] = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="module", params=["csv", "jsonl", "parquet"])
def delivered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    """Send a sample, once for all that is asked of it: three thousand rows."""
    suffix, folder = request.param, tmp_path_factory.mktemp("sample")
    shutil.copy(ROOT / f"samples/profiles.{suffix}", folder)
    shutil.copy(ROOT / "config.yaml", folder)
    with running(SandboxRules(limit=10**6, registered=TYPES, token=TOKEN, service_id=SERVICE)) as server:
        yield Delivered(suffix, folder, server, _run(folder, server, f"profiles.{suffix}"))


def test_the_service_holds_what_the_sample_says(delivered: Delivered, expected: list[Body]) -> None:
    report = delivered.server.sandbox.report()

    assert delivered.status == 3
    assert books_of(delivered.summary()) == {"sent": 2992, "rejected": 8}
    assert (report.requests, report.applied, report.not_stored, report.strays) == (2992, 2992, {}, 0)
    assert _sorted(delivered.server.sandbox.profiles()) == _sorted(_stored(expected))


def test_each_body_is_the_expected_one_to_the_byte(delivered: Delivered, expected: list[Body]) -> None:
    assert _by_person(_timeless(request.body) for request in delivered.server.sandbox.requests()) == _by_person(
        _spelled(body) for body in expected
    )


def test_the_broken_rows_are_rejected_again_when_nobody_mended_them(delivered: Delivered, tmp_path: Path) -> None:
    retry = "csv" if delivered.suffix == "csv" else "jsonl"
    sent = delivered.server.sandbox.report().requests
    # The folder as it is, so that the others find it so as well.
    again = shutil.copytree(delivered.folder, tmp_path / "again")

    status = _run(again, delivered.server, f"profiles.retry.{retry}")

    assert status == 3
    assert books_of(json.loads((again / "summary.json").read_text(encoding="utf-8"))) == {"rejected": 8}
    assert delivered.server.sandbox.report().requests == sent


def _run(folder: Path, server: RunningSandbox, name: str) -> int:
    """Send the file *name* of *folder*, in a process of its own, and return its status."""
    words = ("run", name, "--summary", "summary.json", *_settings(server))
    environ = {"DFINERY_SERVICE_ID": SERVICE, "DFINERY_ACCESS_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "uploader", *words],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        check=False,
    ).returncode


def _settings(server: RunningSandbox) -> tuple[str, ...]:
    return ("--set", f"api.base_url={server.url}", "--set", "rate.requests=1000000", "--set", "rate.per=1s")


def _body(row: Mapping[str, str]) -> Body:
    """Return the body of one row as `config.yaml` maps it, in the order in which it is sent."""
    identity = {"external_id": row["user_id"], "phone_no": re.sub("^0", "82", row["phone"]), "email": row["email"]}
    birth, joined, truth = row["birth"], row["joined"], {"Y": True, "true": True, "N": False, "false": False}
    properties = {
        "df_name": row["name"] or None,
        "df_gender": row["gender"] or None,
        "df_birth": f"{birth[:4]}-{birth[4:6]}-{birth[6:]}" if birth else None,
        "df_membership": row["membership"] or None,
        "age": int(row["age"]) if row["age"] else None,
        "score": float(row["score"]) if row["score"] else None,
        "vip": {"예": True, "아니오": False}.get(row["vip"]),
        "joined_at": _utc(joined) if joined else None,
        "tags": row["tags"].split("|") if row["tags"] else None,
        "channel": "nightly-import",
        "df_push_optin": truth.get(row["push_optin"]),
        "df_sms_ads_optin": truth.get(row["sms_ads_optin"]),
        "df_push_night_ads_optin": truth.get(row["night_ads_optin"]),
    }
    told: dict[str, object] = {name: value for name, value in properties.items() if value is not None}
    return {name: value for name, value in identity.items() if value}, told


def _utc(seoul: str) -> str:
    return (datetime.fromisoformat(seoul) - timedelta(hours=9)).isoformat() + ".000Z"


def _stored(bodies: Iterable[Body]) -> list[Profile]:
    """Fold *bodies* into profiles: whoever shares an identity value is one person, and the later value stands."""
    profiles: list[tuple[dict[str, str], dict[str, object]]] = []
    known: dict[tuple[str, str], int] = {}
    for identity, properties in bodies:
        owners = {known[name] for name in identity.items() if name in known}
        assert len(owners) <= 1, "no row of the sample joins two persons"
        if owners:
            (owner,) = owners
        else:
            owner = len(profiles)
            profiles.append(({}, {}))
        profiles[owner][0].update(identity)
        profiles[owner][1].update(properties)
        known.update(dict.fromkeys(identity.items(), owner))
    return [Profile(identity, json.loads(json.dumps(properties))) for identity, properties in profiles]


def _sorted(profiles: Iterable[Profile]) -> list[tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    return sorted(
        (sorted(profile.identity.items()), sorted((name, repr(value)) for name, value in profile.properties.items()))
        for profile in profiles
    )


def _timeless(body: bytes) -> str:
    text, found = re.subn(r'"request_datetime":"[0-9T:.-]{23}Z"\}$', '"request_datetime":""}', body.decode())
    assert found == 1
    return text


def _spelled(body: Body) -> str:
    whole = {"identity": body[0], "user_properties": body[1], "request_datetime": ""}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def _by_person(bodies: Iterable[str]) -> dict[str, list[str]]:
    """Return the bodies of each person, in their order: the order of different persons is free."""
    found: dict[str, list[str]] = {}
    for body in bodies:
        found.setdefault(json.dumps(json.loads(body)["identity"]), []).append(body)
    return found
