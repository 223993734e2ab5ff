"""Read the command line."""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click

from uploader import __version__
from uploader.app.checking import Job, check
from uploader.app.deadline import Deadline
from uploader.app.findings import Finding
from uploader.app.options import Options, World
from uploader.app.running import Result, run
from uploader.cli.deadline import until, within
from uploader.cli.explain import explain_command
from uploader.cli.init import init
from uploader.cli.memory import memory
from uploader.cli.runs import runs
from uploader.cli.sandbox import sandbox
from uploader.cli.signals import end_by, signals_halt, signals_raise
from uploader.cli.streams import is_watched, say, standard_input
from uploader.cli.words import check_lines, first_lines, place, quiet_lines, run_lines
from uploader.errors import SignalledError, UploaderError
from uploader.model import Rejected
from uploader.pacing import Pace
from uploader.survey import Survey

_BUG = 1
_USAGE = 2


def main() -> NoReturn:
    """Run the command, and end the process with its exit status."""
    try:
        status = cli.main(prog_name="uploader", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except click.Abort:
        status = 130
    except SignalledError as error:
        say(str(error))
        end_by(error.number)
    except UploaderError as error:
        say(str(error))
        status = error.exit_status
    except BrokenPipeError:
        status = _BUG
    except Exception as error:  # noqa: BLE001 — no traceback reaches a user: it may hold what they must not see
        say(_bug(error))
        status = _BUG
    sys.exit(status or 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="uploader")
def cli() -> None:
    """Upload files of customer profiles to Dfinery, exactly as fast as its request limit allows."""


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what `run` and `check` have in common."""
    parts = (
        click.argument("sources", nargs=-1, required=True, metavar="SOURCE..."),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            default=Path("config.yaml"),
            show_default=True,
            metavar="FILE",
            help="Read the configuration from FILE.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY.PATH=VALUE",
            help="Set one key over the configuration's; may repeat.",
        ),
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take the first N rows of each SOURCE."),
        click.option(
            "--summary",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Write the summary to FILE, as JSON.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but what went wrong."),
        click.option("-v", "--verbose", count=True, help="Say more; twice, to see every retry."),
    )
    for part in reversed(parts):
        command = part(command)
    return command


@cli.command("run", short_help="Check, then send.")
@_common
@click.option("--sandbox", is_flag=True, help="Rehearse: start the sandbox for this run, and send there.")
@click.option(
    "--retry-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the rows to send again in FILE (never over an existing one).",
)
@click.option("--fresh", is_flag=True, help="Begin anew, whatever an interrupted run left.")
@click.option("--accept", is_flag=True, help="Send also what differs too much from the last finished run (`guard`).")
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
    help="Stop at that local time, 05:00 or 2024-03-06T05:00; run again to go on.",
)
@click.option("--for", "within", callback=within, metavar="DURATION", help="Stop after so long, 90m or 3h.")
def run_command(  # noqa: PLR0913 — one for each flag that is more than a word of the options
    *,
    quiet: bool,
    verbose: int,
    until: Deadline | None,
    within: Deadline | None,
    changed_only: bool,
    overrides: tuple[str, ...],
    **words: Any,  # noqa: ANN401 — click's own words
) -> int:
    """Check every SOURCE (CSV, JSONL or Parquet; `-` is standard input), then send one request for each row.

    Nothing is sent before everything is checked. Rows that are not accepted go to a retry file, each with its reason;
    it is itself a SOURCE.
    """
    if until is not None and within is not None:
        raise click.UsageError("--until and --for can't go together. Give one of them.")
    if changed_only:
        overrides = (*overrides, "changed_only=true")
    options = Options(**words, overrides=overrides, deadline=until or within)
    _log(verbose)
    result = Result([])
    watched = is_watched()
    terminal: TextIO | None = sys.stderr if watched and not quiet else None
    world = World(
        environ=os.environ,
        stdin=standard_input(),
        say=say,
        terminal=terminal,
        lines=verbose > 0,
        quiet=quiet,
        on_checked=_say_first if (watched or verbose) and not quiet else None,
        on_halt=signals_halt,
    )
    complete = False
    try:
        with signals_raise():
            run(options, world, result)
        complete = True
    finally:
        _tell(result, options, complete=complete, quiet=quiet, watched=watched or verbose > 0)
    return result.exit_status


def _tell(result: Result, options: Options, *, complete: bool, quiet: bool, watched: bool) -> None:
    # Without a terminal, a run in which every row was accepted is silent: cron sends mail of what is said.
    is_empty = any(not account.books.read for account in result.accounts)
    if quiet:
        lines = quiet_lines(result)
    elif watched or result.exit_status or is_empty or not complete:
        lines = run_lines(result, rehearsal=options.sandbox, complete=complete)
    else:
        return
    for line in lines:
        say(line)


@cli.command("check", short_help="Read and map everything, send nothing.")
@_common
@click.option("--json", "as_json", is_flag=True, help="Print what is found as JSON on standard output.")
def check_command(*, quiet: bool, verbose: int, as_json: bool, **words: Any) -> int:  # noqa: ANN401 — click's own words
    """Read and map every SOURCE, and send nothing: totals, problems with row and column, and how long sending takes.

    With -v every row that can't be sent is named. The exit status is 3 if there are some, 4 if they are so many that
    `run` would send nothing.
    """
    world = World(
        environ=os.environ, stdin=standard_input(), say=say, on_problem=_say_problem if verbose and not quiet else None
    )

    def tell(job: Job, pace: Pace) -> None:
        for line in () if quiet else check_lines(job, pace):
            say(line)

    findings: list[Finding] = []
    try:
        with signals_raise():
            return check(Options(**words), world, tell, findings)
    finally:
        if as_json and not any(finding.account.exit_status in {None, _BUG, _USAGE} for finding in findings):
            _print_json([finding.facts() for finding in findings])


cli.add_command(explain_command)
cli.add_command(init)
cli.add_command(memory)
cli.add_command(runs)
cli.add_command(sandbox)


def _print_json(facts: Sequence[Mapping[str, object]]) -> None:
    """Print the *facts* of one source, or of several as a list; nothing where there are none."""
    if facts:
        text = json.dumps(facts[0] if len(facts) == 1 else facts, ensure_ascii=False, indent=2)
        # The name of a file may be no text; what is left of it is spelled as JSON spells it.
        click.echo(text.encode("utf-8", "backslashreplace").decode())


def _say_first(name: str, survey: Survey) -> None:
    for line in first_lines(name, survey):
        say(line)


def _say_problem(name: str, rejected: Rejected) -> None:
    say(f"{name}: {place(rejected.record.number, rejected.record.line)}: {rejected.reason.phrase}")


def _log(verbose: int) -> None:
    log = logging.getLogger("uploader")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
    log.setLevel({0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG))


def _bug(error: Exception) -> str:
    """Return where a bug showed itself, and nothing of what was being handled: that could be anybody's data."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    return f"A bug in uploader {__version__}: {type(error).__name__} at {where}. Please report it with this line."
