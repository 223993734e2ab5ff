"""Read the command line of `uploader run`."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from uploader.app.run import RunResult, run
from uploader.check.source_summary import CheckSummary
from uploader.cli.check_messages import first_lines, route_lines, row_by_row_line, warnings_alone
from uploader.cli.common_flags import common
from uploader.cli.found_values import FoundValues, no_values
from uploader.cli.line_format import LINES, LineLevel
from uploader.cli.printed_commands import CommandLine
from uploader.cli.run_messages import quiet_lines, run_lines
from uploader.cli.signals import raise_if_signalled, raise_on_signals, seconds_left, signals_stop
from uploader.cli.standard_streams import is_terminal, say, say_detail, standard_input, terminal, use_output_thread
from uploader.cli.time_limit_flags import until, within
from uploader.config.notify_settings import LOG_FORMATS, LogFormat, readable_log_format
from uploader.config.readable_parts import readable_parts
from uploader.run.environment import Environment
from uploader.run.options import Options
from uploader.run.proxy_and_certificates import Route
from uploader.run.time_limit import Deadline


@click.command("run")
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
    help="Stop at this local time, 05:00 or 2024-03-06T05:00; run again to resume.",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    envvar="UPLOADER_LOG_FORMAT",
    help="Print lines that go to no terminal after their time and run ID, as JSON objects, or alone; over log_format.",
)
@click.option("--for", "within", callback=within, metavar="DURATION", help="Stop after this time, 90m or 3h.")
def run_command(  # noqa: PLR0913 — one for each flag that is more than a word of the options
    *,
    quiet: bool,
    verbose: int,
    until: Deadline | None,
    within: Deadline | None,
    changed_only: bool,
    log_format: LogFormat | None,
    show_values: bool,
    overrides: tuple[str, ...],
    **words: Any,  # noqa: ANN401 — click's own words
) -> int:
    """Check every SOURCE (CSV, JSONL or Parquet; `-` is standard input), then send one request for each row.

    Nothing is sent before everything is checked. Rows that are not accepted go to a retry file, each with its reason.
    The retry file is itself a SOURCE.
    """
    if until is not None and within is not None:
        raise click.UsageError("--until and --for can't go together. Give one of them.")
    given = CommandLine(config=words["config"], overrides=overrides, changed_only=changed_only, job=words["job"])
    if changed_only:
        overrides = (*overrides, "changed_only=true")
    options = Options(**words, overrides=overrides, deadline=until or within)
    use_output_thread()
    _use_log_format(log_format, options)
    _log(verbose)
    result = RunResult([])
    watched, found = is_terminal(), FoundValues()
    environment = Environment(
        environ=os.environ,
        stdin=standard_input(),
        say=say,
        terminal=None if quiet else terminal(),
        lines=verbose > 0,
        quiet=quiet,
        on_reason=found.add if show_values else None,
        on_checked=None
        if quiet
        else _saying_first(found if show_values else None)
        if watched or verbose or show_values
        else _say_warnings,
        on_route=_say_route if verbose and not quiet else None,
        on_row_by_row=_say_row_by_row if verbose and not quiet else None,
        on_stop=signals_stop,
        raise_if_stopped=raise_if_signalled,
        seconds_left=seconds_left,
        on_start=LINES.set_run,
    )
    complete = False
    try:
        with raise_on_signals():
            run(options, environment, result)
        complete = True
    finally:
        lines = run_lines(result, given, dry_run=options.sandbox, complete=complete, found=found)
        _tell(result, lines, complete=complete, quiet=quiet, watched=watched or verbose > 0)
    return result.exit_status


def _tell(result: RunResult, lines: Iterator[str], *, complete: bool, quiet: bool, watched: bool) -> None:
    # Without a terminal, a run in which every row was accepted prints nothing: cron would mail it.
    is_empty = any(not source_result.counts.read for source_result in result.results)
    if quiet:
        lines = quiet_lines(result)
    elif not (watched or result.exit_status or is_empty or not complete):
        return
    for line in lines:
        say(line, "warning" if result.exit_status or not complete else "info")


def _use_log_format(wanted: LogFormat | None, options: Options) -> None:
    """Format lines as *wanted*, else as the configuration says, as far as it can be read; not on a terminal."""
    if not is_terminal():
        parts = {} if wanted else readable_parts(options.config, overrides=options.overrides, environ=os.environ)
        LINES.use(wanted or readable_log_format(parts))


def _saying_first(found: FoundValues | None) -> Callable[[str, CheckSummary], None]:
    """Return what prints the first problems of a source, with the values in *found*."""

    def say_first(name: str, summary: CheckSummary) -> None:
        for line in first_lines(name, summary, no_values if found is None else found.in_source(name)):
            say(line)

    return say_first


def _say_warnings(name: str, summary: CheckSummary) -> None:
    for line in warnings_alone(name, summary):
        say(line)


def _say_row_by_row(name: str, why: str) -> None:
    say(row_by_row_line(name, why))


def _say_route(route: Route) -> None:
    for line in route_lines(route):
        say(line)


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
