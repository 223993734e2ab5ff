"""Show the progress of a run: a bar on a terminal, elsewhere one plain line a minute."""

from collections.abc import Callable
from typing import Final, Self, TextIO

from tqdm import tqdm

from uploader.counts import Progress
from uploader.outputs.duration_text import spell_seconds

_FORM: Final = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
_SHARE_SECONDS: Final = 1.0


class Bar:
    """A tqdm bar: rows, rate, share of the limit used, rejected, failed, time paused, time left."""

    def __init__(self, name: str, *, total: int, limit: float, stream: TextIO, clock: Callable[[], float]) -> None:
        """Draw the bar of *total* rows on *stream*; *limit* is the service's limit in requests per second."""
        self._bar = tqdm(total=total, desc=name, unit=" rows", file=stream, bar_format=_FORM, leave=False)
        self._limit = limit
        self._clock = clock
        self._since = clock()
        self._requests = 0

    def show(self, progress: Progress) -> None:
        """Update the bar."""
        now, counts = self._clock(), progress.counts
        if now - self._since >= _SHARE_SECONDS:
            share = (progress.requests - self._requests) / (now - self._since) / self._limit
            self._since, self._requests = now, progress.requests
            paused = f", held {spell_seconds(progress.paused_seconds)}" if progress.paused_seconds else ""
            self._bar.set_postfix_str(
                f"{share:.0%} of the limit, {counts.rejected} rejected, {counts.failed} failed{paused}", refresh=False
            )
        self._bar.update(counts.settled - self._bar.n)
        self._bar.refresh()

    def __enter__(self) -> Self:
        """Return the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar from the terminal."""
        self._bar.close()


def plain_line(name: str, progress: Progress, *, rows_per_second: float) -> str:
    """Return the line that is printed instead of the bar where there is no terminal."""
    counts, settled = progress.counts, progress.counts.settled
    # Rounded down: with a row left it is not yet 100%.
    percent = 100 * settled // counts.read if counts.read else 100
    left = spell_seconds((counts.read - settled) / rows_per_second)
    return (
        f"{name}: {settled:,} of {counts.read:,} rows ({percent}%), {counts.rejected:,} rejected, "
        f"{counts.failed:,} failed, about {left} left"
    )
