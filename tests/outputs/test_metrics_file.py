"""The metrics file is what Prometheus reads: strict in its form, true of each job, and never half of one."""

import math
import os
import re
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_fd_to_metric_families

from uploader.counts import Counts
from uploader.outputs.metrics_file import write_metrics
from uploader.run_record import RunRecord, SourceRecord, TrafficRecord

PAGE = Path(__file__).parents[2] / "docs/notifications.md"
SOURCE = SourceRecord(
    "people.csv",
    counts=Counts(read=10, sent=7, unchanged=1, rejected=2),
    traffic=TrafficRecord(requests=9),
)
RECORD = RunRecord("start-1", "2024-03-05T02:15:00+00:00", "members", (SOURCE,), "2024-03-05T02:15:19+00:00", 19.204, 0)
STARTED, ENDED = 1709604900.0, 1709604919.0


def read(path: Path) -> dict[tuple[str, ...], float]:
    """Return the samples in the file at *path*: the metric, the job and the outcome, each with its value."""
    found: dict[tuple[str, ...], float] = {}
    with path.open(encoding="utf-8") as file:
        for family in text_fd_to_metric_families(file):
            assert family.type == "gauge"
            assert family.documentation
            for sample in family.samples:
                key = (sample.name.removeprefix("dfinery_uploader_"), *sample.labels.values())
                assert key not in found
                found[key] = sample.value
    return found


def test_the_figures_of_a_run_are_read_as_prometheus_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "uploader.prom"

    write_metrics(path, RECORD)

    assert read(path) == {
        ("last_start_timestamp_seconds", "members"): STARTED,
        ("last_run_timestamp_seconds", "members"): ENDED,
        ("last_success_timestamp_seconds", "members"): ENDED,
        ("last_run_exit_status", "members"): 0,
        ("last_run_duration_seconds", "members"): 19.204,
        ("last_run_requests", "members"): 9,
        ("last_run_rows", "members", "sent"): 7,
        ("last_run_rows", "members", "unchanged"): 1,
        ("last_run_rows", "members", "superseded"): 0,
        ("last_run_rows", "members", "rejected"): 2,
        ("last_run_rows", "members", "failed"): 0,
        ("last_run_rows", "members", "not_attempted"): 0,
    }


def test_a_failure_keeps_when_the_job_succeeded_last(tmp_path: Path) -> None:
    path = tmp_path / "uploader.prom"
    write_metrics(path, RECORD)

    write_metrics(path, replace(RECORD, ended="2024-03-06T02:15:19+00:00", exit_status=6))

    found = read(path)
    assert found["last_success_timestamp_seconds", "members"] == ENDED
    assert found["last_run_timestamp_seconds", "members"] == ENDED + 86400
    assert found["last_run_exit_status", "members"] == 6


@pytest.mark.parametrize(
    "source",
    [
        SourceRecord("people.csv", exit_status=0, already_sent_by="start-1"),
        SourceRecord("people.retry.csv", counts=Counts(read=2, sent=2), is_retry=True),
    ],
    ids=["already sent", "retry file"],
)
def test_a_night_that_sends_nothing_new_is_no_upload(tmp_path: Path, source: SourceRecord) -> None:
    path = tmp_path / "uploader.prom"
    write_metrics(path, RECORD)
    before = read(path)
    later = "2024-03-06T02:15:00+00:00"

    write_metrics(path, replace(RECORD, sources=(source,), started=later, ended=later, seconds=0.5))

    moved = {key[0] for key, value in read(path).items() if before[key] != value}
    assert moved == {"last_start_timestamp_seconds", "last_run_timestamp_seconds", "last_run_duration_seconds"}


def test_a_retry_file_beside_a_new_file_is_part_of_an_upload(tmp_path: Path) -> None:
    path = tmp_path / "uploader.prom"

    write_metrics(path, replace(RECORD, sources=(SourceRecord("people.retry.csv", is_retry=True), SOURCE)))

    assert read(path)["last_success_timestamp_seconds", "members"] == ENDED


def test_the_alert_of_the_page_fires_for_a_job_that_stopped_and_for_one_that_never_succeeded(tmp_path: Path) -> None:
    path = tmp_path / "uploader.prom"
    write_metrics(path, RECORD)
    write_metrics(path, replace(RECORD, job="never", exit_status=4))
    (expression,) = re.findall(r"alert: UploadMissing\n +expr: (.*)\n", PAGE.read_text(encoding="utf-8"))
    found = re.fullmatch(
        r"time\(\) - \(dfinery_uploader_(\w+) or dfinery_uploader_(\w+) \* 0\) > 24 \* 3600", expression
    )
    assert found is not None

    samples, since = read(path), {}
    for job in ("members", "never"):
        # `or` takes the right side for the jobs that the left side does not have.
        since[job] = samples[found[1], job] if (found[1], job) in samples else samples[found[2], job] * 0

    assert since == {"members": ENDED, "never": 0}


def test_a_start_without_an_end_shows(tmp_path: Path) -> None:
    path = tmp_path / "uploader.prom"
    write_metrics(path, RECORD)

    write_metrics(path, RunRecord("start-2", "2024-03-06T02:15:00+00:00", "members", (SOURCE,)))

    found = read(path)
    assert found["last_start_timestamp_seconds", "members"] > found["last_run_timestamp_seconds", "members"]
    assert found["last_run_rows", "members", "sent"] == 7


def test_several_jobs_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "uploader.prom"
    jobs = [f"job {number}" for number in range(8)]
    threads = [threading.Thread(target=write_metrics, args=(path, replace(RECORD, job=job))) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {key[1] for key in read(path) if key[0] == "last_run_exit_status"} == {*jobs}
    assert [file.name for file in tmp_path.iterdir()] == ["uploader.prom"]


@pytest.mark.parametrize("job", ['a "b" \\ c', "line\nline", '회원, {job}="1"', "file\udcff.csv", "a\\nb"])
def test_any_name_of_a_job_survives(tmp_path: Path, job: str) -> None:
    path = tmp_path / "uploader.prom"

    write_metrics(path, replace(RECORD, job=job))
    write_metrics(path, replace(RECORD, job="other"))
    write_metrics(path, replace(RECORD, job=job))

    shown = job.encode(errors="backslashreplace").decode()
    assert {key[1] for key in read(path)} == {shown, "other"}


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_node_exporter_can_read_it_as_another_user(tmp_path: Path, mask: int) -> None:
    previous = os.umask(mask)
    try:
        write_metrics(tmp_path / "uploader.prom", RECORD)
    finally:
        os.umask(previous)

    assert stat.S_IMODE((tmp_path / "uploader.prom").stat().st_mode) == 0o644


@pytest.mark.parametrize("text", ["node_load1 0.5\n", "Dear diary,\n", 'dfinery_uploader_x{job="a"} 1.2.3\nx\n'])
def test_a_file_of_somebody_else_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.prom"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(OSError, match="it holds something else"):
        write_metrics(path, RECORD)

    assert path.read_text(encoding="utf-8") == text


def test_a_file_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder.prom").mkdir()

    with pytest.raises(OSError, match=r"it is not a file|Is a directory"):
        write_metrics(tmp_path / "folder.prom", RECORD)

    assert [file.name for file in tmp_path.iterdir()] == ["folder.prom"]


def test_a_reader_never_finds_half_of_it(tmp_path: Path) -> None:
    path, over = tmp_path / "uploader.prom", threading.Event()
    write_metrics(path, RECORD)

    def write() -> None:
        for number in range(100):
            write_metrics(path, replace(RECORD, seconds=float(number)))
        over.set()

    thread = threading.Thread(target=write)
    thread.start()
    lengths = set()
    while not over.is_set():
        lengths.add(len(read(path)))
    thread.join()

    assert lengths == {12}
    assert math.isfinite(read(path)["last_run_duration_seconds", "members"])
