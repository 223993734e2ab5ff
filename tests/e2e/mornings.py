"""A job that cron starts every night, and what a monitor reads of it the morning after, from each place by itself."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from prometheus_client.parser import text_string_to_metric_families

from tests.command import rules, until
from tests.monitors import Monitor, monitor
from uploader.sandbox import RunningSandbox, running

SECRET: Final = "linnet"
"""Stands in every value of every row, in the token and in both addresses; in no name, path or message."""

SEOUL: Final = ZoneInfo("Asia/Seoul")
COUNTS: Final = ("read", "sent", "rejected", "failed", "not_attempted")
ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = ("run", "--summary", "last.json", "export/members_{today:%Y%m%d}.csv")

Facts: TypeAlias = Mapping[str, object]
"""What one place says of a night: the same names in all of them."""


@dataclass(frozen=True, slots=True)
class Night:
    """A night of March 2024: the *rows* of its file (None: there is none), and whether its run gets SIGKILL."""

    day: int
    rows: Sequence[str] | None
    has_typo: bool = False
    killed: bool = False

    @property
    def date(self) -> str:
        return f"2024-03-{self.day:02}"


@dataclass(frozen=True, slots=True)
class Morning:
    """What a monitor finds: what each place says, the events and pings of the night, and all texts as they are."""

    said: Mapping[str, Facts | None]
    events: Sequence[str]
    pings: Sequence[str]
    text: Sequence[str]
    summary: Mapping[str, Any]
    ends: Mapping[str, object]
    texts: Sequence[str]


class NightlyJob:
    """A folder with a configuration, a service and a monitor; each night is a process of the command."""

    def __init__(self, folder: Path, server: RunningSandbox, hook: Monitor, mistake: str) -> None:
        self.folder, self.server, self.hook, self.mistake = folder, server, hook, mistake
        self.warnings: list[str] = []
        (folder / "export").mkdir()

    def run(self, night: Night) -> Morning:
        """Run the command at 02:15 of *night*, and read everything after it."""
        self._configure("maping" if night.has_typo else "mapping")
        if night.rows is not None:
            file = self.folder / f"export/members_{night.date.replace('-', '')}.csv"
            file.write_text("\n".join(("id,name,age,segment", *night.rows, "")), encoding="utf-8")
        self.hook.received.clear()
        script = str(Path(__file__).parent / "at_night.py")
        with self._started(script, f"{night.date}T02:15:00+09:00", self.mistake, *COMMAND) as process:
            if night.killed:
                until(lambda: self._newest()["sent"] == len(night.rows or ()) - 1)
                assert self._newest()["end"] == "running"
                process.kill()
            _, err = process.communicate(timeout=60)
        return self._read(night, process.returncode, err)

    def _configure(self, mapping: str) -> None:
        path = self.folder / "config.yaml"
        path.write_text(
            f"""\
api: {{base_url: "{self.server.url}", service_id: svc, access_token: "${{TOKEN}}"}}
source: {{name: members, timezone: Asia/Seoul}}
rate: {{requests: 100000, per: 1s, burst: 16}}
retry: {{attempts: 500, base: 10ms, cap: 50ms, outage_timeout: 1s}}
guard: {{}}
limits: {{tolerate: 3}}
notify:
  on: [started, success, rejected, failure]
  url: {self.hook.url}/hook/{SECRET}
  ping: {self.hook.url}/ping/{SECRET}
metrics: {{textfile: uploader.prom}}
{mapping}:
  identity: {{external_id: id}}
  properties: {{df_name: name, age: {{column: age, type: long}}, segment: segment}}
""",
            encoding="utf-8",
        )
        path.chmod(0o600)

    def _started(self, *words: str) -> "subprocess.Popen[str]":
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "TZ": "Asia/Seoul", "TOKEN": f"token-{SECRET}"}
        pipe = subprocess.PIPE
        command = [sys.executable, *words]
        return subprocess.Popen(command, cwd=self.folder, env=environ, stdout=pipe, stderr=pipe, text=True)

    def _listed(self, *words: str) -> str:
        with self._started("-m", "uploader", "runs", *words) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        self.warnings.append(err)
        return out

    def _newest(self) -> Any:  # noqa: ANN401 — JSON
        return json.loads(self._listed("--json"))[0]

    def _read(self, night: Night, status: int, err: str) -> Morning:
        summary = json.loads((self.folder / "last.json").read_text("utf-8"))
        listed, table = self._listed("--json"), self._listed("-n", "1")
        figures = (self.folder / "uploader.prom").read_text("utf-8")
        newest, metrics = json.loads(listed)[0], dict(_samples(figures))
        webhooks = [one.facts for one in self.hook.received if one.content_type == "application/json"]
        last = webhooks[-1] if webhooks and webhooks[-1]["event"] != "started" else None
        is_new = _date(summary["started"]) == night.date
        return Morning(
            said={
                "process": {"exit_status": status},
                "summary": _facts(summary) if is_new else None,
                "history": {**_facts(newest), "end": newest["end"]},
                "table": _facts_of_table(table),
                "webhook": None if last is None else {**_facts(last), "end": last["end"]},
                "metrics": _facts_of_metrics(metrics),
            },
            events=[f"{one['event']} {_date(one['started'])}" for one in webhooks],
            pings=[path.removeprefix(f"/ping/{SECRET}") for path in self.hook.pings],
            text=[] if last is None else last["text"].splitlines(),
            summary=summary,
            ends={
                "summary": summary["ended"],
                "history": newest["ended_at"],
                "webhook": None if last is None else last["ended"],
                "metrics": _utc(metrics.get("last_run_timestamp_seconds", 0.0)),
                "last success": _date(_utc(metrics.get("last_success_timestamp_seconds", 0.0))),
            },
            texts=[
                err,
                *self.warnings,
                str(summary),
                listed,
                table,
                figures,
                *(one.body.decode() for one in self.hook.received),
            ],
        )


@contextmanager
def nightly_job(folder: Path, mistake: str = "none") -> Iterator[NightlyJob]:
    """Lend a job; its service is out for a segment, hangs for one, and refuses one."""
    faults = ("http=503 for segment=linnet-out", "hang for segment=linnet-hangs", "code=40001 for segment=linnet-bad")
    with monitor() as hook, running(rules(*faults, token=f"token-{SECRET}")) as server:
        yield NightlyJob(folder, server, hook, mistake)


def _date(moment: str) -> str:
    """Return the date of *moment* in Seoul."""
    return f"{datetime.fromisoformat(moment).astimezone(SEOUL):%Y-%m-%d}"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _facts(said: Mapping[str, Any]) -> dict[str, object]:
    names = ("job", "exit_status", "outcome", "error", *COUNTS)
    return {"date": _date(said["started"]), **{name: said[name] for name in names}}


def _facts_of_table(table: str) -> Facts:
    """Return what the table for people says of the newest start, which stands in its first line."""
    _, line, *more = table.splitlines()
    cells = re.split(r" {2,}", line.strip())
    job, sent, _, rejected, failed, outcome = cells[-6:]
    numbers = [0 if cell == "-" else int(cell) for cell in (sent, rejected, failed)]
    return {
        "date": cells[1][:10],
        "job": job,
        "outcome": outcome,
        "error": more[0].strip() if more else None,
        **dict(zip(("sent", "rejected", "failed"), numbers, strict=True)),
    }


def _samples(figures: str) -> Iterator[tuple[str, float]]:
    """Yield the figures of the job, read as Prometheus reads them; rows by their outcome."""
    for family in text_string_to_metric_families(figures):
        for sample in family.samples:
            assert sample.labels["job"] == "members"
            name = sample.name.removeprefix("dfinery_uploader_")
            yield sample.labels.get("outcome", name), sample.value


def _facts_of_metrics(metrics: Mapping[str, float]) -> Facts:
    """Return what the metrics say of the last start: only when it was, if it has no end."""
    started = metrics["last_start_timestamp_seconds"]
    date = {"date": _date(_utc(started))}
    if metrics.get("last_run_timestamp_seconds", 0.0) < started:
        return {**date, "exit_status": None}
    return {**date, "exit_status": metrics["last_run_exit_status"], **{name: metrics[name] for name in COUNTS[1:]}}
