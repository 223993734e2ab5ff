"""Read the command line of `uploader run`."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from uploader.app.run import run
from uploader.cli.common_flags import common
from uploader.cli.found_values import FoundValues
from uploader.cli.line_format import LINES, LineLevel
from uploader.cli.next_step import add_next_step, same_command, say_that_it_finished
from uploader.cli.observers import CheckSpinner, Collecting, LineIds, Remarks, first_findings, only_warnings
from uploader.cli.printed_commands import CommandLine, completed
from uploader.cli.progress_observers import ProgressBar, ProgressLines, StopOnSignals
from uploader.cli.recorded_command import RecordedCommand
from uploader.cli.run_messages import quiet_lines, run_lines
from uploader.cli.signals import raise_if_signalled, raise_on_signals, seconds_left
from uploader.cli.standard_streams import is_terminal, say, say_detail, standard_input, terminal, use_output_thread
from uploader.cli.time_limit_flags import until, within
from uploader.config.notify_settings import LOG_FORMATS, LogFormat, readable_log_format
from uploader.config.readable_parts import readable_parts
from uploader.errors import SignalledError
from uploader.outputs.progress import may_colour
from uploader.run.environment import Environment
from uploader.run.events import Events
from uploader.run.observers import Observers
from uploader.run.options import Options
from uploader.run.results import RunResult
from uploader.run.time_limit import Deadline


@click.command("run", cls=RecordedCommand)
@common
@click.option("--sandbox", is_flag=True, help="Dry run: start the sandbox for this run, and send there.")
@click.option(
    "--retry-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the rows to send again to FILE (never over an existing one).",
)
@click.option("--fresh", is_flag=True, help="Start over instead of resuming an interrupted run.")
@click.option(
    "--accept",
    is_flag=True,
    help="Send also a file that differs too much from the last one (`guard`), and rows whose order is not known.",
)
@click.option(
    "--changed-only",
    is_flag=True,
    help="Send only what changed since it was last accepted, as changed_only: true does.",
)
@click.option("--full", is_flag=True, help="Send every row, changed or not.")
@click.option(
    "--until",
    callback=until,
    metavar="TIME",
    help="Stop at this local time, 05:00 or 2024-03-06T05:00, or in a zone, '05:00 Asia/Seoul'; run again to resume.",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    envvar="UPLOADER_LOG_FORMAT",
    help="Print lines that go to no terminal after their time and run ID, as JSON objects, or alone; over log_format.",
)
@click.option("--for", "within", callback=within, metavar="DURATION", help="Stop after this time, 90m or 3h.")
def run_command(**words: Any) -> int:  # noqa: ANN401 — click's own words
    """Check every SOURCE (CSV, JSONL or Parquet; `-` is standard input), then send one request for each row.

    Nothing is sent before everything is checked. Rows that are not accepted go to a retry file, each with its reason.
    The retry file is itself a SOURCE.
    """
    return start_run(**words)


def start_run(  # noqa: PLR0913 — one for each flag that is more than a word of the options
    *,
    quiet: bool,
    verbose: int,
    until: Deadline | None,
    within: Deadline | None,
    changed_only: bool,
    show_values: bool,
    overrides: tuple[str, ...],
    **words: Any,  # noqa: ANN401 — click's own words
) -> int:
    """Check and send as the flags say, which click parsed, print the result, and return the exit status.

    Raises:
        UploaderError: the error that ended the run.
    """
    if until is not None and within is not None:
        raise click.UsageError("--until and --for can't go together. Give one of them.")
    log_format: LogFormat | None = words.pop("log_format")
    flags = {"overrides": overrides, "changed_only": changed_only, "until": until, "within": within}
    whole = CommandLine.by({**words, **flags})
    given = replace(whole, sources=(), others=())
    if changed_only:
        overrides = (*overrides, "changed_only=true")
    options = Options(**words, overrides=overrides, deadline=until or within)
    use_output_thread()
    _use_log_format(log_format, options)
    _log(verbose)
    watched, found = is_terminal(), FoundValues()
    observers = _observers(found if show_values else None, watched=watched, quiet=quiet, verbose=verbose > 0)
    environment = Environment(
        environ=os.environ,
        stdin=standard_input(),
        events=Observers(observers),
        raise_if_stopped=raise_if_signalled,
        seconds_left=seconds_left,
        complete=lambda message: completed(message, whole),
    )
    flags = {**words, "until": until, "within": within, "overrides": given.overrides, "changed_only": changed_only}
    result, late = RunResult(), None
    try:
        with raise_on_signals(resumed_by=lambda: same_command(flags)):
            result = run(options, environment)
    except SignalledError as error:
        # It came when the run was over already: where that finished, nothing has to be resumed.
        late = error
        result = result if result.sources else replace(result, error=error, exit_status=error.exit_status)
    add_next_step(result.error, flags, has_started=result.has_started)
    if late is not None and result.error is None:
        say_that_it_finished(late)
    lines = run_lines(result, given, dry_run=options.sandbox, found=found)
    _print_end(result, lines, quiet=quiet, watched=watched or verbose > 0 or late is not None)
    ended = result.error or late
    if ended is not None:
        raise ended
    return result.exit_status


def _observers(found: FoundValues | None, *, watched: bool, quiet: bool, verbose: bool) -> list[Events]:
    """Return what watches a run; the values that are wrong are collected in *found* and printed, unless it is None."""
    observers = [StopOnSignals(), LineIds(), Remarks(quiet=quiet, verbose=verbose)]
    if found is not None:
        observers.append(Collecting(found))
    if not quiet:
        observers.append(first_findings(found) if watched or verbose or found is not None else only_warnings())
    stream = None if quiet else terminal()
    if stream is not None:
        observers += [CheckSpinner(stream), ProgressBar(stream, time.monotonic, colour=may_colour(os.environ))]
    elif verbose:
        observers.append(ProgressLines(time.monotonic))
    return observers


def _print_end(result: RunResult, lines: Iterator[str], *, quiet: bool, watched: bool) -> None:
    # Without a terminal, a run in which every row was accepted prints nothing: cron would mail it.
    # The sandbox's report is what a dry run is for.
    is_silent = all(one.counts.read and not one.counts.not_accepted for one in result.sources)
    if quiet:
        lines = quiet_lines(result)
    elif is_silent and not (watched or result.exit_status or result.sandbox is not None):
        return
    for line in lines:
        say(line, "warning" if result.exit_status else "info")


def _use_log_format(wanted: LogFormat | None, options: Options) -> None:
    """Format lines as *wanted*, else as the configuration says, as far as it can be read; not on a terminal."""
    if not is_terminal():
        parts = {} if wanted else readable_parts(options.config, overrides=options.overrides, environ=os.environ)
        LINES.use(wanted or readable_log_format(parts))


def _log(verbose: int) -> None:
    log = logging.getLogger("uploader")
    handler = _OutputHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s" if LINES.is_plain else "%(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
    log.setLevel({0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG))


_LEVELS: Final[Mapping[int, LineLevel]] = {
    logging.DEBUG: "debug",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "error",
}


class _OutputHandler(logging.Handler):
    """Prints the log as all other output: a line that can't be printed is dropped."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print *record* as one line."""
        with suppress(KeyError, TypeError, ValueError):
            say_detail(self.format(record), _LEVELS.get(record.levelno, "info"))
