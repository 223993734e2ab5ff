"""Send a file in a flow of Prefect, without blocking its event loop; cancelling the flow stops the run in order."""

import asyncio
from pathlib import Path

from prefect import flow, task

from uploader import Events, Settings, arun
from uploader.run.events import ThrottledPause

HERE = Path(__file__).parent.parent


class Pauses(Events):
    """Counts how often the rate limit made the run wait."""

    def __init__(self) -> None:
        """Start with none."""
        self.count = 0

    def throttled(self, throttled: ThrottledPause, /) -> None:
        """Count one more."""
        del throttled
        self.count += 1


@task(retries=3, retry_delay_seconds=600)
async def upload(file: Path) -> dict[str, int]:
    """Send *file* to the sandbox; in production without `sandbox=True`, and with the variables of the credentials."""
    settings = Settings.load(HERE / "config.yaml", credentials=False)
    pauses = Pauses()
    result = await arun(settings, file, sandbox=True, events=pauses)
    counts = result.sources[0].counts
    return {"sent": counts.sent, "rejected": counts.rejected, "pauses": pauses.count}


@flow(name="customers")
async def customers() -> dict[str, int]:
    """Send the export of last night."""
    counts: dict[str, int] = await upload(HERE / "samples" / "profiles.csv")
    return counts


if __name__ == "__main__":
    asyncio.run(customers())
