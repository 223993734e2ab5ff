"""Find the retry files that earlier runs of the same sources have left, and that were not sent yet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from uploader.app.keys import key_of_path
from uploader.app.options import Options
from uploader.config import Settings
from uploader.journal import Shelf, Volume
from uploader.model import UNKNOWN_RUN
from uploader.source import descriptor


def with_leftovers(options: Options, settings: Settings, shelf: Shelf) -> Options:
    """Return *options* with each source behind the retry files that are still to be sent before it, oldest first.

    Those are the one of its last finished run, those of runs that were broken off and never continued since the one
    before that, and what such files have left in their turn, as far as another try can help: rows that were rejected
    once more wait for somebody to mend them. One that is named as well is sent once, before its source.
    """
    volumes = list(shelf.volumes())
    ended = [volume for volume in volumes if volume.ledger.is_finished or volume.ledger.is_abandoned]
    being_made = _retry_files(volume for volume in volumes if volume.ledger.is_interrupted)
    names = {Path(name).resolve(): name for name in options.sources if descriptor(name) is None}
    sources: dict[str, None] = {}

    def add(name: str) -> None:
        for path in [] if descriptor(name) is not None else _left_by(name, ended, settings):
            if path.resolve() in being_made:
                # A run that is to be continued has its own file there, since the other one was moved away.
                continue
            found = names.setdefault(path.resolve(), str(path))
            if found not in options.sources:
                sources.setdefault(found)
            elif found not in sources and found != name:
                # It is named as well: it goes where it would have been taken in.
                add(found)
        sources.setdefault(name)

    for name in options.sources:
        add(name)
    made = _retry_files(ended) - being_made
    return replace(
        options,
        sources=tuple(sources),
        taken_in=tuple(name for name in sources if name not in options.sources),
        left_by_runs=tuple(name for name in sources if Path(name).resolve() in made),
    )


def _retry_files(volumes: Iterable[Volume]) -> set[Path]:
    """Return where the runs of *volumes* have their retry files."""
    return {Path(path).resolve() for volume in volumes if (path := volume.ledger.retry_file) is not None}


def _left_by(name: str, ended: Sequence[Volume], settings: Settings) -> Iterator[Path]:
    """Yield the retry files that runs of the source *name* have left; *ended* has the newest run first."""
    finished = [volume for volume in ended if volume.ledger.is_finished]
    runs = _runs_of(key_of_path(settings, Path(name)), ended)
    waiting = _latest(runs)
    sent = [run for volume in runs for run in _sent(volume, finished, settings)]
    while sent:
        volume = sent.pop()
        if volume.ledger.failed:
            waiting.append(volume)
        sent += _sent(volume, finished, settings)
    for volume in sorted(waiting, key=_from_order):
        path = volume.ledger.retry_file
        if path is not None and _has_rows(Path(path)) and not _sent(volume, finished, settings):
            yield Path(path)


def _latest(runs: Sequence[Volume]) -> list[Volume]:
    """Return those of *runs* (the newest first) that came after the last but one that was finished."""
    latest: list[Volume] = []
    for run in runs:
        if run.ledger.is_finished and any(other.ledger.is_finished for other in latest):
            break
        latest.append(run)
    return latest


def _has_rows(path: Path) -> bool:
    """Whether there is anything in the file at *path*: one that was emptied was dealt with by hand."""
    return path.exists() and path.stat().st_size > 0


def _sent(volume: Volume, finished: Sequence[Volume], settings: Settings) -> list[Volume]:
    """Return the last finished run of the retry file of *volume* that began after it, as a list of one or none."""
    path = volume.ledger.retry_file
    if path is None:
        return []
    runs = _runs_of(key_of_path(settings, Path(path)), finished)
    # A run that was continued since has made its retry file anew.
    return [run for run in runs[:1] if _order(run) > max(_order(volume), volume.ledger.last_number or UNKNOWN_RUN)]


def _runs_of(key: str, finished: Sequence[Volume]) -> list[Volume]:
    """Return those of *finished* that sent all of what is known by *key*."""
    return [
        volume for volume in finished if (begun := volume.ledger.begun) and begun.key == key and begun.limit is None
    ]


def _order(volume: Volume) -> int:
    return UNKNOWN_RUN if volume.ledger.begun is None else volume.ledger.begun.order


def _from_order(volume: Volume) -> int:
    return UNKNOWN_RUN if volume.ledger.begun is None else volume.ledger.begun.from_order
