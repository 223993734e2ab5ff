"""Send a file as a task of Airflow: the task fails where the run does, and a retry of it resumes the run."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task

from uploader import RunError, Settings, run

HERE = Path(__file__).parent.parent
RUN_AGAIN = {6, 7, 10}
"""The exit statuses after which the same command resumes the run: outage, disk, time limit."""


@task(retries=3, retry_delay=timedelta(minutes=10))
def upload(file: str) -> dict[str, int]:
    """Send *file* to the sandbox; in production without `sandbox=True`, and with the variables of the credentials."""
    settings = Settings.load(HERE / "config.yaml", credentials=False)
    try:
        result = run(settings, file, sandbox=True)
    except RunError as error:
        if error.exit_status in RUN_AGAIN:
            raise
        # A retry would not help: the settings, the file or the token are wrong, or another run sends the file.
        raise AirflowFailException(str(error)) from error
    return {"sent": result.sources[0].counts.sent, "rejected": result.sources[0].counts.rejected}


@dag(schedule="15 2 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)
def customers() -> None:
    """Send the export of last night."""
    upload(str(HERE / "samples" / "profiles.csv"))


customers()
