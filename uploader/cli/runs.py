"""Read the command line of `uploader runs`."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from uploader.app.run_history import PastRun, PastStart, RunHistory, StartFilter, facts_of
from uploader.cli.check_messages import count
from uploader.cli.common_flags import config_flag, set_flag
from uploader.cli.printed_commands import CommandLine, command
from uploader.cli.standard_streams import say, show
from uploader.cli.text_table import table
from uploader.config import Settings, load
from uploader.config.readable_parts import readable_parts, readable_state_dir
from uploader.errors import ConfigError
from uploader.outputs.duration_text import spell_seconds
from uploader.run.remarks import display_name
from uploader.run.retries_of_job import overdue_text
from uploader.run.retry_files import LeftRetryFile
from uploader.run_record import RunRecord
from uploader.state.state_folder import is_state_folder
from uploader.units import seconds_of

_HEADER: Final = ("ID", "started", "took", "job", "sent", "unchanged", "rejected", "failed", "outcome")
_RIGHT: Final = frozenset({"took", "sent", "unchanged", "rejected", "failed"})
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?", re.ASCII)


def _since(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    seconds = seconds_of(text)
    try:
        if seconds is not None:
            return datetime.now(UTC) - timedelta(seconds=seconds)
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        pass
    raise click.BadParameter("write a duration (7d, 12h) or a local time (2024-03-05, 2024-03-05T02:15)")


@click.command("runs")
@click.argument("run_id", required=False, metavar="[ID|last]")
@config_flag("Read the configuration from FILE: its state_dir holds the runs.")
@set_flag()
@click.option("--job", metavar="NAME", help="List only the runs of this job, or of this file.")
@click.option("--failed", is_flag=True, help="List only the runs that did not succeed.")
@click.option("--since", callback=_since, metavar="TIME", help="List only the runs since 7d ago, or since 2024-03-05.")
@click.option("-n", "most", type=click.IntRange(min=1), metavar="N", help="List at most N runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--purge", type=click.IntRange(min=0), metavar="DAYS", help="Delete the runs started more than DAYS ago.")
def runs(
    *,
    run_id: str | None,
    config: Path,
    overrides: tuple[str, ...],
    as_json: bool,
    purge: int | None,
    **words: Any,  # noqa: ANN401 — click's own words
) -> int:
    """List every start of `uploader run`, newest first: when, of what job, what became of its rows, and how it ended.

    With an ID (its beginning is enough) or `last`, show one run, its rows that were not accepted, each with its reason,
    and the rows that were merged into another one.
    """
    state, settings = _state_and_settings(config, overrides, is_to_purge=purge is not None)
    history = RunHistory(state)
    if purge is not None:
        say(f"{count(history.purge(purge), 'run')} deleted.")
        return 0
    given = CommandLine(config=config, overrides=overrides)
    overdue = [] if settings is None else history.overdue_retries(settings, words["job"])
    for line in _overdue_lines(overdue, given):
        say(line, "warning")
    if run_id is not None:
        _show_one(history.start(run_id), as_json=as_json)
        return 0
    wanted = StartFilter(**words)
    starts = list(history.starts(wanted))
    if as_json:
        show(json.dumps(facts_of(starts), ensure_ascii=False, indent=2))
    elif starts:
        show("\n".join(_listed([start.record for start in starts])))
    else:
        show("No such runs." if wanted != StartFilter(most=wanted.most) else "No runs yet.")
    return 0


def _overdue_lines(overdue: Iterable[LeftRetryFile], given: CommandLine) -> Iterator[str]:
    """Yield a line for each retry file that has waited too long, with the command that sends it."""
    now = datetime.now(UTC).timestamp()
    for one in overdue:
        job = one.root.job.name
        typed = command("retry", [job], given) if job else command("run", [str(one.path)], given)
        yield overdue_text(one, f"`{typed}`", now=now)


def _state_and_settings(config: Path, overrides: tuple[str, ...], *, is_to_purge: bool) -> tuple[Path, Settings | None]:
    """Return the state folder, and the settings; None where they are wrong: a start that failed for that is in there.

    Raises ConfigError where it can't be read, or has no state; where an option may be what is wrong; and before runs
    are deleted.
    """
    try:
        settings = load(config, overrides=overrides, environ=os.environ, credentials=False)
    except ConfigError as error:
        if overrides or is_to_purge or not config.is_file():
            raise
        state = readable_state_dir(readable_parts(config, environ=os.environ), config)
        if state is None or not is_state_folder(state):
            raise
        for line in str(error).split("\n"):
            say(f"Warning: {line}", "warning")
        return state, None
    return settings.state_dir, settings


def _listed(records: list[RunRecord]) -> Iterator[str]:
    """Yield the table of *records*, and below those that ended early the beginning of why."""
    lines = table(_HEADER, [_cells(record) for record in records], right=_RIGHT)
    yield next(lines)
    for record, line in zip(records, lines, strict=True):
        yield line
        if record.error is not None:
            first, _, more = record.error.partition("\n")
            yield f"  {first}{' …' if more else ''}"


def _cells(record: RunRecord) -> tuple[str, ...]:
    counts = record.counts
    numbers = (counts.sent, counts.unchanged, counts.rejected, counts.failed)
    return (
        record.start_id,
        _local(record.started),
        "" if record.ended is None else spell_seconds(record.seconds),
        record.job or ", ".join(map(display_name, record.source_names)),
        *(f"{number:,}" if counts.read else "-" for number in numbers),
        record.outcome,
    )


def _local(moment: str) -> str:
    """Return *moment* in the zone of this machine; as it stands where it is none."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return moment


def _show_one(start: PastStart, *, as_json: bool) -> None:
    runs = [start.runs[source.run_id] for source in start.record.sources if source.run_id in start.runs]
    if not as_json:
        show("\n".join(_whole(start.record, runs)))
        return
    facts = [*start.facts(rows=True)]
    show(json.dumps(facts[0] if len(facts) == 1 else facts, ensure_ascii=False, indent=2))


def _whole(record: RunRecord, runs: list[PastRun]) -> Iterator[str]:
    yield f"{record.start_id}  {record.job_name}  {record.outcome}"
    if record.error is not None:
        yield from (f"  {line}" for line in record.error.split("\n"))
    took = "" if record.ended is None else f", took {spell_seconds(record.seconds)}"
    yield f"  started {_local(record.started)}{took}"
    by_id = {run.run_id: run for run in runs}
    for source in record.sources:
        counts = source.counts
        needless = "".join(f"{number:,} {kind}, " for kind, number in counts.not_sent().items())
        yield f"{display_name(source.source)} ({f'run {source.run_id}' if source.run_id else 'no run was started'})"
        yield (
            f"  {counts.read:,} rows: {counts.sent:,} accepted, {needless}{counts.rejected:,} rejected, "
            f"{counts.failed:,} failed, {counts.not_attempted:,} not attempted"
        )
        run = by_id.get(source.run_id)
        resumed = f", resumed {count(run.lives - 1, 'time')}" if run is not None and run.lives > 1 else ""
        yield f"  {count(source.traffic.requests, 'request')}{resumed}"
        if source.traffic.maybe_sent_twice:
            yield f"  {count(source.traffic.maybe_sent_twice, 'row')} may have been sent twice"
        if source.retry_file is not None:
            yield f"  retry file: {source.retry_file}"
        for row in () if run is None else run.rows:
            yield f"  row {row.row:,}: {row.kind}{f': {row.reason}' if row.reason else ''}"
