"""Show how far a run is: a bar on a terminal, a plain line a minute elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, TextIO

from tqdm import tqdm

from uploader.outputs.duration_text import spell_seconds

_FORM: Final = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
_SHARE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one source is: rows, requests, and how long everybody was held, in seconds."""

    total: int
    settled: int
    requests: int
    rejected: int
    failed: int
    paused_seconds: float


class Bar:
    """A tqdm bar: rows, rate, share of the limit used, rejected, failed, time held, time left."""

    def __init__(self, name: str, *, total: int, limit: float, stream: TextIO, clock: Callable[[], float]) -> None:
        """Draw the bar of *total* rows on *stream*; *limit* is the service's, in requests a second."""
        self._bar = tqdm(total=total, desc=name, unit=" rows", file=stream, bar_format=_FORM, leave=False)
        self._limit = limit
        self._clock = clock
        self._since = clock()
        self._requests = 0

    def show(self, progress: Progress) -> None:
        """Draw the bar anew."""
        now = self._clock()
        if now - self._since >= _SHARE_SECONDS:
            share = (progress.requests - self._requests) / (now - self._since) / self._limit
            self._since, self._requests = now, progress.requests
            paused = f", held {progress.paused_seconds:.0f} s" if progress.paused_seconds else ""
            self._bar.set_postfix_str(
                f"{share:.0%} of the limit, {progress.rejected} rejected, {progress.failed} failed{paused}",
                refresh=False,
            )
        self._bar.update(progress.settled - self._bar.n)
        self._bar.refresh()

    def __enter__(self) -> Self:
        """Lend the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.close()


def plain_line(name: str, progress: Progress, *, rows_per_second: float) -> str:
    """Return the line that stands for the bar where there is no terminal."""
    # Cut, not rounded: with a row left it is not yet 100%.
    percent = 100 * progress.settled // progress.total if progress.total else 100
    left = spell_seconds((progress.total - progress.settled) / rows_per_second)
    return (
        f"{name}: {progress.settled:,} of {progress.total:,} rows ({percent}%), {progress.rejected:,} rejected, "
        f"{progress.failed:,} failed, about {left} left"
    )
