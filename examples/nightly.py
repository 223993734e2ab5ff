"""Check and send one file from Python, as a job that runs every night: `python examples/nightly.py FILE`."""

import sys
from pathlib import Path

from uploader import Events, RunError, Settings, check, run
from uploader.run.events import Checked, Progressed

FILE = Path(__file__).parent.parent / "samples" / "profiles.csv"

SETTINGS = Settings.of(
    {
        "api": {"service_id": "my-service", "access_token_file": "token.txt"},
        "mapping": {
            "identity": {"external_id": "user_id", "email": "email"},
            "properties": {
                "df_name": "name",
                "df_gender": "gender",
                "age": {"column": "age", "type": "long"},
                "joined_at": {"column": "joined", "type": "datetime", "timezone": "Asia/Seoul"},
            },
        },
        "rate": {"requests": 10_000, "per": "1m", "share": 0.5},
    }
)


class Watcher(Events):
    """Prints what the check found, and how far the run is."""

    def checked(self, checked: Checked, /) -> None:
        """Print how many rows can be sent."""
        print(f"checked: {checked.summary.sendable:,} of {checked.summary.read:,} rows can be sent")

    def progressed(self, progress: Progressed, /) -> None:
        """Print how many rows were sent so far."""
        print(f"sent so far: {progress.progress.counts.sent:,}")


def main(file: Path) -> int:
    """Send *file* to the sandbox; without `sandbox=True` it goes to the service, which needs the token."""
    found = check(SETTINGS, file)
    if found.error is not None:
        print(found.error)
        return found.exit_status
    try:
        result = run(SETTINGS, file, sandbox=True, events=Watcher())
    except RunError as error:
        print(f"{error} Sent before that: {sum(source.counts.sent for source in error.result.sources):,}")
        return error.exit_status
    for source in result.sources:
        print(f"{source.source}: {source.counts.sent:,} sent, {source.counts.rejected:,} rejected")
        if source.retry_file is not None:
            print(f"to fix and send again: {source.retry_file}")
    return result.exit_status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE))
