"""Show the progress of a run: a bar on a terminal, elsewhere one plain line a minute."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self, TextIO

from tqdm import tqdm
from tqdm.utils import disp_len

from uploader.counts import Progress
from uploader.outputs.duration_text import spell_seconds

_UNMEASURED: Final = "{desc} {share}|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{details}]"
"""The form of a bar whose terminal has no known width."""

_SHARE_SECONDS: Final = 1.0

_SHORTEST_NAME: Final = 8
_SHORTEST_BAR: Final = 20
_USUAL_COLUMNS: Final = 80
"""From so many columns on, the bar has `_SHORTEST_BAR` cells at least; below, it has fewer in proportion."""


@dataclass(frozen=True, slots=True)
class _Details:
    """What is said after the bar: the share of the limit, rows that were not accepted, and time paused."""

    share: str = ""
    rejected: int = 0
    failed: int = 0
    paused: str = ""

    def texts(self, *, with_share: bool = True, with_zeros: bool = False) -> list[str]:
        """Return them as texts; none before the first share is known."""
        if not self.share:
            return []
        kinds = (("rejected", self.rejected), ("failed", self.failed))
        return [
            *([self.share] if with_share else []),
            *(f"{count} {kind}" for kind, count in kinds if count or with_zeros),
            *([self.paused] if self.paused else []),
        ]


class Bar:
    """A tqdm bar: rows, rate, share of the limit used, rejected, failed, time paused, time left.

    It takes the width that the terminal has now. Where that is too small for all, the name is shortened first; then
    one part after the other is left out.
    """

    def __init__(  # noqa: PLR0913 — what is shown, where, and from when on
        self,
        name: str,
        *,
        total: int,
        limit: float,
        stream: TextIO,
        clock: Callable[[], float],
        began: Progress | None = None,
        colour: bool = False,
    ) -> None:
        """Draw the bar of *total* rows on *stream*; *limit* is the service's limit in requests per second.

        *began* is the progress that an interrupted run made before: its rows and requests are no part of the speed.
        """
        settled = 0 if began is None else began.counts.settled
        self._columns = _columns(stream)
        self._bar = tqdm(
            total=total,
            initial=settled,
            unit=" rows",
            file=stream,
            bar_format="{desc}",  # nothing, until `show` knows what fits
            miniters=1,
            leave=False,
            colour="green" if colour else None,
        )
        self._name = _printable(name, stream if self._bar.ascii else None)
        self._limit = limit
        self._colour = colour
        self._clock = clock
        self._since = clock()
        self._sent = (0, 0) if began is None else _by_call(began)
        self._share = ""

    def show(self, progress: Progress) -> None:
        """Update the bar."""
        now, counts = self._clock(), progress.counts
        if now - self._since >= _SHARE_SECONDS:
            # Each call has a limit of its own: the share is that of the one that is nearer to it. A burst after a pause
            # is within the limit, though not within this second's part of it.
            sent = _by_call(progress)
            most = max(after - before for after, before in zip(sent, self._sent, strict=True))
            share = min(1.0, most / (now - self._since) / self._limit)
            self._since, self._sent = now, sent
            self._share = f"{share:.0%} of the limit"
        paused = f"paused {spell_seconds(progress.paused_seconds)}" if progress.paused_seconds else ""
        if self._colour and counts.not_accepted:
            self._bar.colour = "yellow"
        # The form comes first: to update the bar may draw it.
        self._fit(_Details(self._share, counts.rejected, counts.failed, paused), counts.settled)
        self._bar.update(counts.settled - self._bar.n)
        self._bar.refresh()

    def _fit(self, details: _Details, settled: int) -> None:
        """Choose the form of the bar that fits into the terminal as it is now."""
        share = f"{_percent(settled, int(self._bar.total or 0)):3}%"
        columns = _columns(self._bar.fp)
        if columns is None:
            self._bar.bar_format = _filled(_UNMEASURED, self._name, share, details.texts(with_zeros=True))
            return
        if self._columns is not None and columns < self._columns:
            # What is left of a longer line would wrap around.
            self._bar.fp.write("\r\x1b[J")
            self._bar.sp = tqdm.status_printer(self._bar.fp)
        # A line that fills its last column wraps around on some terminals.
        self._columns, self._bar.ncols = columns, columns - 1
        least = min(_SHORTEST_BAR, _SHORTEST_BAR * columns // _USUAL_COLUMNS)
        room = 0
        form = ""
        for form in _forms(share, details):
            rest = tqdm.format_meter(**{**self._bar.format_dict, "n": settled, "ncols": None, "bar_format": form})
            room = columns - 1 - least - disp_len(rest)
            if room >= min(_SHORTEST_NAME, disp_len(self._name)):
                break
        self._bar.bar_format = _escaped(_tail(self._name, room, "~" if self._bar.ascii else "…")) + form.replace(
            "||", "|{bar}|", 1
        )

    def __enter__(self) -> Self:
        """Return the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar from the terminal."""
        self._bar.close()


def _by_call(progress: Progress) -> tuple[int, int]:
    """Return how many requests were sent to the rows' call, and how many registrations."""
    return progress.requests - progress.registrations, progress.registrations


def _forms(share: str, details: _Details) -> Iterator[str]:
    """Yield what stands beside the name and the bar, from all to little; `||` stands for the bar."""
    all_of_it, usual = _joined(details.texts(with_zeros=True)), _joined(details.texts())
    trouble = _joined(details.texts(with_share=False))
    yield f" {share}|| {{n_fmt}}/{{total_fmt}} [{{elapsed}}<{{remaining}}, {{rate_fmt}}{all_of_it}]"
    yield f" {share}|| {{n_fmt}}/{{total_fmt}} [{{elapsed}}<{{remaining}}{all_of_it}]"
    yield f" {share}|| {{n_fmt}}/{{total_fmt}} [{{elapsed}}<{{remaining}}{usual}]"
    yield f" {share}|| [{{elapsed}}<{{remaining}}{usual}]"
    yield f" {share}|| [{{remaining}} left{usual}]"
    yield f" {share}|| [{{remaining}} left{trouble}]"
    yield f" {share}|| [{{remaining}} left]"
    yield f" {share}||"


def _filled(form: str, name: str, share: str, details: list[str]) -> str:
    """Return *form*, in which tqdm fills in the rest."""
    for key, text in (("desc", _escaped(name)), ("share", share), ("details", _joined(details))):
        form = form.replace(f"{{{key}}}", text)
    return form


def _joined(texts: list[str]) -> str:
    return "".join(f", {text}" for text in texts)


def _escaped(text: str) -> str:
    """Return *text* as a form has it, in which braces mean a field."""
    return text.replace("{", "{{").replace("}", "}}")


def _printable(name: str, ascii_stream: TextIO | None) -> str:
    """Return *name* without what a terminal would obey; for an *ascii_stream*, without what that would spell out."""
    shown = "".join(one if one.isprintable() else "?" for one in name)
    return shown if ascii_stream is None else shown.encode("ascii", "replace").decode("ascii")


def _tail(name: str, most: int, mark: str) -> str:
    """Return the end of *name*, which differs between files, within *most* columns; *mark* stands for the rest."""
    if disp_len(name) <= most:
        return name
    while name and disp_len(name) > most - 1:
        name = name[1:]
    return f"{mark}{name}" if most > 0 else ""


def _percent(settled: int, total: int) -> int:
    # Rounded down: with a row left it is not yet 100%.
    return 100 * settled // total if total else 100


def _columns(stream: TextIO) -> int | None:
    """Return how many columns the terminal behind *stream* has now; None where that is not known."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def may_colour(environ: Mapping[str, str]) -> bool:
    """Whether a terminal may be coloured: not where the user said NO_COLOR (https://no-color.org)."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def plain_line(name: str, progress: Progress, *, rows_per_second: float) -> str:
    """Return the line that is printed instead of the bar where there is no terminal."""
    counts, settled = progress.counts, progress.counts.settled
    left = spell_seconds((counts.read - settled) / rows_per_second)
    return (
        f"{name}: {settled:,} of {counts.read:,} rows ({_percent(settled, counts.read)}%), {counts.rejected:,} "
        f"rejected, {counts.failed:,} failed, about {left} left"
    )
