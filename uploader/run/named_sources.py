"""Find the file that a SOURCE means tonight: by a date in its name, or as the newest of a pattern."""

import glob
import re
import shlex
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from uploader.config import Settings
from uploader.errors import InputError, UploaderError
from uploader.run.environment import Environment
from uploader.run.events import Remark
from uploader.run.fingerprints import key_of_path
from uploader.run.options import Options
from uploader.run.preflight import opened
from uploader.run.results import FINISHED, Ending, SourceResult, new_source_results
from uploader.state import History, RunStore

_TODAY: Final = re.compile(r"\{today(?::(?P<form>[^{}]*))?\}")
_USUAL_FORM: Final = "%Y-%m-%d"


def with_found_sources(options: Options, settings: Settings, environment: Environment) -> Options:
    """Return *options* whose SOURCEs are files: `{today:%Y%m%d}` in a name is a date, `--newest` means one file.

    A file that is called just so wins over a pattern, and one that is named itself counts as named, also where a
    pattern finds it as well. Which file it is, and which day, is said in a line for each. Raises InputError where
    nothing is found.
    """
    named = {name for name in options.sources if not _is_pattern(name)}
    found: dict[str, str] = {}
    for name in options.sources:
        found[name if name in named else _dated(name, settings, environment)] = name
    for pattern in options.newest:
        found[_newest(pattern, settings, environment)] = pattern
    patterned = tuple(name for name in found if name not in named)
    for name in patterned:
        text = f"{found[name]} is {name}{_zone_note(found[name], settings, environment)}."
        environment.events.remark(Remark(text, source=name))
    return replace(options, sources=tuple(found), newest=(), patterned=patterned)


def without_already_sent(
    options: Options, settings: Settings, run_store: RunStore, environment: Environment
) -> tuple[Options, tuple[SourceResult, ...]]:
    """Return *options* without the files that a finished run has sent already, and a result for each of these.

    Only a SOURCE that a pattern has found is left out; with `--full`, `--fresh` or `--limit` none is. Raises what
    reading the file raises.
    """
    asks_for_all = options.full or options.fresh or options.limit is not None
    skipped: list[SourceResult] = []
    for name in () if asks_for_all else options.patterned:
        run_id = _sent_by(name, settings, run_store, environment)
        if run_id is None:
            continue
        (result,) = new_source_results(replace(options, sources=(name,)))
        skipped.append(replace(result, ending=Ending(FINISHED, already_sent_by=run_id)))
        text = f"{name}: already sent by run {run_id}: nothing is sent. To send it again, use --full."
        environment.events.remark(Remark(text, source=name))
    left = {result.source for result in skipped}
    return replace(options, sources=tuple(name for name in options.sources if name not in left)), tuple(skipped)


def _is_pattern(name: str) -> bool:
    return _TODAY.search(name) is not None and not Path(name).exists()


def _dated(name: str, settings: Settings, environment: Environment) -> str:
    """Return the file that *name* means today; raises InputError where it does not exist."""
    today = datetime.fromtimestamp(environment.clock.wall(), UTC).astimezone(_zone(settings))
    path = _TODAY.sub(lambda part: today.strftime(part["form"] or _USUAL_FORM), name)
    if not Path(path).exists():
        raise InputError(
            f"{path} does not exist: that is {name}{_zone_note(name, settings, environment)}. "
            "Nothing was sent. See whether the export has run."
        )
    return path


def _zone(settings: Settings) -> tzinfo | None:
    """Return the zone of today; None is that of this machine."""
    return None if settings.source.timezone is None else ZoneInfo(settings.source.timezone)


def _zone_note(name: str, settings: Settings, environment: Environment) -> str:
    """Return which day is today, and where, if that is in *name*."""
    if _TODAY.search(name) is None:
        return ""
    today = datetime.fromtimestamp(environment.clock.wall(), UTC).astimezone(_zone(settings))
    where = "the zone of this machine" if settings.source.timezone is None else settings.source.timezone
    return f" where today is {today:%Y-%m-%d} ({where})"


def _newest(pattern: str, settings: Settings, environment: Environment) -> str:
    """Return the file of *pattern* that was changed last, and is no retry file; raises InputError where none is."""
    if Path(pattern).is_file():
        return pattern
    for name in _newest_first(pattern):
        try:
            with opened(name, settings, environment) as source:
                if not source.is_retry:
                    return name
        except UploaderError:
            # The check says what is wrong with it: an older file is no answer.
            return name
    advice = _with_escaped_folder(pattern) or "See whether the export has run."
    raise InputError(f"No file matches {pattern}. Nothing was sent. {advice}")


def _with_escaped_folder(pattern: str) -> str | None:
    """Return the advice to escape a folder of *pattern* whose name has a [, the sign of a set of characters."""
    path = Path(pattern)
    folder = next((one for one in path.parents if "[" in str(one) and one.is_dir()), None)
    if folder is None:
        return None
    escaped = Path(glob.escape(str(folder))) / path.relative_to(folder)
    return (
        f"In a pattern, [ ] hold characters of which one matches. If the folder {folder} is meant, "
        f"type --newest {shlex.quote(str(escaped))}."
    )


def _newest_first(pattern: str) -> list[str]:
    times: list[tuple[int, str]] = []
    for name in glob.glob(pattern, recursive=True):  # noqa: PTH207 — the pattern may be absolute
        with suppress(OSError):
            if Path(name).is_file():
                times.append((Path(name).stat().st_mtime_ns, name))
    return [name for _, name in sorted(times, reverse=True)]


def _sent_by(name: str, settings: Settings, run_store: RunStore, environment: Environment) -> str | None:
    """Return the ID of the last run of the file *name*, if that finished, and the file is the same since; else None.

    It is the ID by which `uploader runs` lists it.
    """
    last = run_store.latest(key_of_path(settings, Path(name)))
    if last is None or last.state.header is None or not last.state.is_finished:
        return None
    with opened(name, settings, environment) as source:
        if source.digest() != last.state.header.basis.content:
            return None
    return History(run_store.state).listed_id(last.state.header.run_id)
