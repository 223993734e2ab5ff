"""Run the command when the clock on the wall shows another time: `at_night.py MOMENT MISTAKE WORDS…`.

MOMENT is what it shows at the start, in ISO 8601 with its offset. MISTAKE breaks the program in one way on purpose (a
name of `MISTAKES`); "none" leaves it as it is.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self
from unittest.mock import patch

from uploader import clock
from uploader.cli import main
from uploader.errors import InputError
from uploader.outputs import notification
from uploader.outputs.metrics_file import write_metrics
from uploader.outputs.notification import ReportedEvent, notification_text
from uploader.outputs.summary import write_summary
from uploader.run import mark_finished, recorded_start, reports, results
from uploader.run.recorded_start import RecordedStart
from uploader.run.reports import RunReports
from uploader.run_record import RunRecord


def _no_summary_of_refused_files(path: Path, facts: Mapping[str, object]) -> None:
    if facts["exit_status"] != InputError.exit_status:
        write_summary(path, facts)


def _no_metrics_of_starts(path: Path, record: RunRecord) -> None:
    if record.ended is not None:
        write_metrics(path, record)


def _text_with_rows(record: RunRecord, event: ReportedEvent) -> str:
    return notification_text(record, event) + Path(record.sources[0].source).read_text("utf-8")


MISTAKES: Final[Mapping[str, Any]] = {
    "no summary of a refused file": patch.object(recorded_start, "write_summary", _no_summary_of_refused_files),
    "no record of a wrong configuration": patch.object(recorded_start, "is_state_folder", lambda _: False),
    "no notification of an end": patch.object(RunReports, "end", lambda *_: None),
    "no notification of a kill": patch.object(RecordedStart, "newly_killed", lambda _: []),
    "no metrics of a start": patch.object(reports, "write_metrics", _no_metrics_of_starts),
    "rows in a notification": patch.object(notification, "notification_text", _text_with_rows),
}


def _clock_from(moment: datetime) -> list[Any]:
    """Return what lets the clock on the wall show *moment* now, and go from there."""
    zero = moment.timestamp() - time.monotonic()

    class Night(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(zero + time.monotonic(), UTC).astimezone(tz)

    wall = SimpleNamespace(time=lambda: zero + time.monotonic(), monotonic=time.monotonic)
    return [
        patch.object(clock, "time", wall),
        *(patch.object(module, "datetime", Night) for module in (results, mark_finished)),
    ]


if __name__ == "__main__":
    moment, mistake = datetime.fromisoformat(sys.argv.pop(1)), sys.argv.pop(1)
    with ExitStack() as stack:
        for one in [*_clock_from(moment), *([] if mistake == "none" else [MISTAKES[mistake]])]:
            stack.enter_context(one)
        main()
