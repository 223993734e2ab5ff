"""A mock that others made, of an OpenAPI document of both calls, accepts every body that is sent."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.command import SERVICE, TOKEN, Desk
from uploader.endpoints import IDENTITIES, USER_PROFILE
from uploader.sandbox import RequestRecord, SandboxRules, running

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = Path(__file__).with_name("openapi.json")
PRISM: Final = ROOT / ".venv" / "prism" / "node_modules" / ".bin" / "prism"
"""Where `make need-tools` installs it."""

SOME: Final = 10

SETTINGS: Final = ("--set", "api.register_first=true", "--set", "rate.requests=10000", "--set", "rate.per=1s")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Start Prism, which refuses what the document does not allow, and lend its base URL."""
    command = [str(PRISM), "mock", "--errors", "--host", "127.0.0.1", "--port", "0", str(DOCUMENT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
                if found is not None:
                    yield found[1]
                    return
            raise AssertionError("Prism did not start")
        finally:
            process.terminate()


def status(url: str, path: str, body: bytes) -> tuple[int, str]:
    """Return what Prism answers to *body*: the status, and its reasons."""
    request = urllib.request.Request(  # noqa: S310 — a server of this test
        f"{url}{path}?service_id={SERVICE}",
        body,
        {"Content-Type": "application/json", "access_token": TOKEN},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 — as above
            return reply.status, json.loads(reply.read())["code"]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, capfd, monkeypatch, {"DFINERY_SERVICE_ID": SERVICE, "DFINERY_ACCESS_TOKEN": TOKEN})


def sent(desk: Desk, *words: str) -> list[RequestRecord]:
    """Return the requests that the command with *words* makes."""
    with running(SandboxRules(limit=10_000, per=1.0)) as server:
        desk.type(*words, "--set", f"api.base_url={server.url}", "--set", f"state_dir={desk.folder / 'state'}")
        return server.sandbox.requests()


def some_of_each_shape(requests: Iterable[RequestRecord]) -> Iterator[RequestRecord]:
    """Yield SOME requests of each call and each shape: the document says of a value what type and pattern it has."""
    seen = Counter[tuple[str, str]]()
    for request in requests:
        shape = (request.call, repr(shape_of(json.loads(request.body))))
        seen[shape] += 1
        if seen[shape] <= SOME:
            yield request


def shape_of(value: object) -> object:
    """Return *value* with the types of what it has in place of that."""
    match value:
        case dict():
            return {key: shape_of(below) for key, below in value.items()}
        case list():
            return [shape_of(below) for below in value[:1]]
        case _:
            return type(value).__name__


def test_prism_accepts_every_body_of_both_calls(desk: Desk, url: str) -> None:
    sample, config = (os.path.relpath(ROOT / name, desk.folder) for name in ("samples/profiles.csv", "config.yaml"))
    profiles = sent(desk, "run", sample, "--config", config, "--retry-file", "left.csv", *SETTINGS)
    identities = sent(
        desk, "run", sample, "--config", config, "--retry-file", "none.csv", "--set", "api.endpoint=identities"
    )
    paths: dict[str, str] = {endpoint.name: endpoint.path for endpoint in (USER_PROFILE, IDENTITIES)}

    found = Counter(
        (request.call, status(url, paths[request.call], request.body))
        for request in some_of_each_shape((*profiles, *identities))
    )

    assert set(found) == {(call, (200, "20000")) for call in paths}
    assert min(found.values()) >= SOME


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (IDENTITIES.path, b'{"identity":{},"request_datetime":"2024-06-24T06:42:25.394Z"}'),
        (
            IDENTITIES.path,
            b'{"identity":{"email":"a"},"user_properties":{"a":1},"request_datetime":"2024-06-24T06:42:25.394Z"}',
        ),
        (USER_PROFILE.path, b'{"identity":{"email":"a"},"request_datetime":"2024-06-24T06:42:25.394Z"}'),
        (USER_PROFILE.path, b'{"identity":{"email":"a"},"user_properties":{"a":1},"request_datetime":"now"}'),
    ],
)
def test_prism_refuses_what_is_no_body(url: str, path: str, body: bytes) -> None:
    assert status(url, path, body)[0] == 422
