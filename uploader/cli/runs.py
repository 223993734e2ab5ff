"""Read the command line of `uploader runs`."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click

from uploader.app.run_history import PastRun, RunHistory
from uploader.cli.check_messages import count
from uploader.cli.common_flags import config_flag, set_flag
from uploader.cli.standard_streams import say, show
from uploader.config import load


@click.command("runs")
@click.argument("run_id", required=False, metavar="[ID]")
@config_flag("Read the configuration from FILE: its state_dir holds the runs.")
@set_flag()
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--purge", type=click.IntRange(min=0), metavar="DAYS", help="Delete the runs started more than DAYS ago.")
def runs(*, run_id: str | None, config: Path, overrides: tuple[str, ...], as_json: bool, purge: int | None) -> int:
    """List the runs in the state folder, newest first: the file, how the run ended, and the outcomes of its rows.

    With an ID (its beginning is enough), show one run, its rows that were not accepted, each with its reason, and the
    rows that were merged into another one.
    """
    history = RunHistory(load(config, overrides=overrides, environ=os.environ, credentials=False).state_dir)
    if purge is not None:
        say(f"{count(history.purge(purge), 'run')} deleted.")
        return 0
    if run_id is not None:
        run = history.run(run_id)
        show(json.dumps(run.facts(rows=True), ensure_ascii=False, indent=2) if as_json else "\n".join(_whole(run)))
    elif as_json:
        show(json.dumps([run.facts(rows=False) for run in history.runs()], ensure_ascii=False, indent=2))
    else:
        lines = [line for run in history.runs() for line in _short(run)]
        show("\n".join(lines) if lines else "No runs yet.")
    return 0


def _short(run: PastRun) -> Iterator[str]:
    counts = run.counts
    ended = run.ended if run.exit_status is None else f"{run.ended} with {run.exit_status}"
    yield f"{run.run_id}  {run.source}  {ended}"
    needless = "".join(f"{number:,} {kind}, " for kind, number in counts.not_sent().items())
    yield (
        f"  {counts.read:,} rows: {counts.sent:,} accepted, {needless}{counts.rejected:,} rejected, "
        f"{counts.failed:,} failed, {counts.not_attempted:,} not attempted"
    )


def _whole(run: PastRun) -> Iterator[str]:
    yield from _short(run)
    resumed = f"resumed {count(run.lives - 1, 'time')}, " if run.lives > 1 else ""
    yield f"  started {run.started}, {resumed}{count(run.requests, 'request')}"
    if run.maybe_sent_twice:
        yield f"  {count(run.maybe_sent_twice, 'row')} may have been sent twice"
    if run.retry_file is not None:
        yield f"  retry file: {run.retry_file}"
    for row in run.rows:
        yield f"  row {row.row:,}: {row.kind}{f': {row.reason}' if row.reason else ''}"
