"""Run the command as its users do: a folder of their own, a configuration in it, the credentials in the environment."""

import csv
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from uploader.cli import main
from uploader.sandbox import Fault, RunningSandbox, SandboxRules

TOKEN: Final = "canary-token-4711"
SERVICE: Final = "svc-0815"
BALANCED: Final = ("sent", "unchanged", "superseded", "rejected", "failed", "not_attempted")

RetryRow: TypeAlias = tuple[int, str, str, str, int]
"""What a retry file adds to one row: `_row`, `_kind`, `_code`, `_reason`, `_attempts`."""

MAPPING: Final = """\
mapping:
  identity: {external_id: id}
  properties: {df_name: name}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status (negative: the signal's number), and what it said."""

    status: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line for people; "" where nothing was said."""
        return (self.err.splitlines() or [""])[-1]

    @property
    def stop(self) -> str:
        """The last line, why a run stopped, without the command to type next that it ends with."""
        return re.sub(r": uploader (?:run|retry) .*$", ".", self.last_line)


@dataclass(frozen=True, slots=True)
class EndedLines:
    """How a command ended: its exit status, and the lines that it said for programs and for people."""

    status: int
    out: list[str]
    err: list[str]


Type: TypeAlias = Callable[..., EndedLines]
"""Runs `uploader` with the given words (the fixture `typed`)."""


@dataclass
class Desk:
    """A working directory with a configuration in it, and the command to be typed there."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    environ: dict[str, str] = field(default_factory=dict)

    def configure(self, url: str, *, mapping: str = MAPPING, more: str = "", timeout: str = "20s") -> None:
        """Write a `config.yaml` for the service at *url* that retries soon, and seldom.

        A reply has time enough on a busy machine, but for a *timeout* that a test is about.
        """
        text = f"""\
api:
  base_url: {url}
  service_id: ${{DFINERY_SERVICE_ID}}
  access_token: ${{DFINERY_ACCESS_TOKEN}}
  timeout: {timeout}
rate: {{requests: 100000, per: 1s, burst: 16}}
retry: {{attempts: 2, base: 10ms, cap: 50ms, outage_timeout: 10s}}
{more}{mapping}"""
        (self.folder / "config.yaml").write_text(text, encoding="utf-8")

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file into the working directory."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def people(self, count: int, name: str = "people.csv") -> Path:
        """Write a CSV of *count* persons: id and name."""
        return self.write(name, "id,name\n" + "".join(f"{number},name{number}\n" for number in range(1, count + 1)))

    def type(self, *words: str, stdin: bytes = b"") -> Ended:
        """Run the command in this process; signals that end processes are for `start`."""
        with self.monkeypatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["uploader", *words])
            patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
            for name, value in self.environ.items():
                patch.setenv(name, value)
            self.capture.readouterr()
            with pytest.raises(SystemExit) as left:
                main()
            logging.getLogger("uploader").handlers.clear()
            said = self.capture.readouterr()
        assert isinstance(left.value.code, int)
        return Ended(left.value.code, said.out, said.err)

    def start(
        self,
        *words: str,
        through: Sequence[str] = ("-m", "uploader"),
        **more: Any,  # noqa: ANN401 — Popen's own arguments
    ) -> "subprocess.Popen[str]":
        """Start the command as a process of its own; *through* is how Python starts it."""
        return subprocess.Popen(
            [sys.executable, *through, *words],
            cwd=self.folder,
            env={**os.environ, **self.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.PIPE,
            text=True,
            **{"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **more},
        )

    def process(self, *words: str) -> Ended:
        """Run the command as a process of its own, to its end."""
        with self.start(*words) as process:
            return ended(process)

    def summary(self, name: str = "summary.json") -> Any:  # noqa: ANN401 — JSON, of one source or of several
        """Read the summary that `--summary` wrote."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def books(self, name: str = "summary.json") -> dict[str, int]:
        """Read the books of a summary of one source, without the zeros; they must balance."""
        return books_of(self.summary(name))

    def retry_rows(self, name: str = "people.retry.csv") -> list[RetryRow]:
        """Read what the retry file *name*, a CSV in UTF-8, adds to its rows."""
        return [
            (int(row["_row"]), row["_kind"], row["_code"], row["_reason"], int(row["_attempts"]))
            for row in self.retry_cells(name)
        ]

    def retry_cells(self, name: str = "people.retry.csv") -> list[dict[str, str]]:
        """Read all cells of the retry file *name*, a CSV in UTF-8."""
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))

    def files(self) -> list[str]:
        """Name all files in the working directory but those of `state_dir`, where runs are remembered."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(str(path) for path in found if path.parts[0] != ".uploader")


def ended(process: "subprocess.Popen[str]", seconds: float = 60) -> Ended:
    """Wait for the end of *process*."""
    out, err = process.communicate(timeout=seconds)
    return Ended(process.returncode, out, err or "")


def books_of(summary: Mapping[str, int]) -> dict[str, int]:
    """Return the books of one *summary* without the zeros; they must balance."""
    assert summary["read"] == sum(summary[name] for name in BALANCED)
    return {name: summary[name] for name in BALANCED if summary[name]}


def rules(*faults: str, **more: Any) -> SandboxRules:  # noqa: ANN401 — the fields of Rules
    """Return the rules of a sandbox that plays *faults*, each written as people write it."""
    return SandboxRules(**{"limit": 100_000, "per": 1.0, "faults": tuple(Fault.parse(text) for text in faults), **more})


def names(server: RunningSandbox) -> dict[str, object]:
    """Return what the sandbox stored: the name of each external_id."""
    return {profile.identity["external_id"]: profile.properties.get("df_name") for profile in server.sandbox.profiles()}


def sent_ids(server: RunningSandbox) -> list[object]:
    """Return the external_id of every request that arrived, in their order."""
    return [request.identity.get("external_id") for request in server.sandbox.requests()]


def names_of(numbers: Iterable[int]) -> dict[str, object]:
    """Return what `names` gives when the persons *numbers* of `RunPlan.people` are stored."""
    return {str(number): f"name{number}" for number in numbers}


def plain(err: str) -> Sequence[str]:
    """Return the lines of *err* with the times that differ from run to run made equal."""
    return re.sub(r"in \d+ s$", "in 0 s", err, flags=re.MULTILINE).splitlines()


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for another process; there is no clock to turn there."""
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience, "it never came"
        time.sleep(0.01)


def busiest(moments: Sequence[float], window: float) -> int:
    """Return how many of *moments*, in their order, the fullest *window* of seconds holds, however it is aligned."""
    first, most = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - window:
            first += 1
        most = max(most, last - first + 1)
    return most
