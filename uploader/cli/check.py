"""Read the command line of `uploader check`."""

import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import click

from uploader.app.check import check
from uploader.app.check_report import CheckReport
from uploader.cli.check_messages import check_lines, place, route_lines, row_by_row_line
from uploader.cli.common_flags import common
from uploader.cli.found_values import FoundValues, no_values
from uploader.cli.printed_commands import CommandLine, completed
from uploader.cli.signals import raise_on_signals
from uploader.cli.standard_streams import say, show, standard_input, terminal
from uploader.errors import StorageError, UploaderError
from uploader.model import Rejected
from uploader.outputs.shown_values import phrase_with_values
from uploader.rate import Pace
from uploader.run.environment import Environment
from uploader.run.options import Options
from uploader.run.preflight import Job
from uploader.run.proxy_and_certificates import Route

_NO_JSON_AFTER: Final = frozenset({None, 1, 2})
"""The exit statuses after which no JSON is printed."""


@click.command("check")
@common
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
def check_command(
    *,
    quiet: bool,
    verbose: int,
    as_json: bool,
    show_values: bool,
    **words: Any,  # noqa: ANN401 — click's own words
) -> int:
    """Read and map every SOURCE, and send nothing: totals, problems with row and column, and how long sending takes.

    With -v, name every row that can't be sent. The exit status is 3 if there are some, 4 if there are so many that
    `run` would send nothing.
    """
    shows_details = verbose > 0 and not quiet
    found = FoundValues()
    environment = Environment(
        environ=os.environ,
        stdin=standard_input(),
        say=say,
        # With -v, each problem is a line of its own while the file is read.
        terminal=None if quiet or verbose else terminal(),
        quiet=quiet,
        on_problem=partial(_say_problem, show_values=show_values) if shows_details else None,
        on_reason=found.add if show_values else None,
        on_route=_say_route if shows_details else None,
        on_row_by_row=_say_row_by_row if shows_details else None,
    )

    def tell(job: Job, pace: Pace) -> None:
        for line in (
            () if quiet else check_lines(job, pace, found.in_source(job.source.name) if show_values else no_values)
        ):
            say(line)

    reports: list[CheckReport] = []
    try:
        with raise_on_signals():
            status = check(Options(**words), environment, tell, reports)
    except UploaderError:
        for report in reports:
            if report.result.error is not None:
                report.result.error = completed(report.result.error, CommandLine.by(words))
        try:
            _show(reports if as_json else [])
        except StorageError as trouble:
            # The error that ended the check decides the exit status; this one is only printed.
            say(str(trouble))
        raise
    _show(reports if as_json else [])
    return status


def _show(reports: Sequence[CheckReport]) -> None:
    """Print the report of one source, or a list of several, as JSON; raises StorageError."""
    if reports and not any(report.result.exit_status in _NO_JSON_AFTER for report in reports):
        facts = [report.facts() for report in reports]
        show(json.dumps(facts[0] if len(facts) == 1 else facts, ensure_ascii=False, indent=2))


def _say_row_by_row(name: str, why: str) -> None:
    say(row_by_row_line(name, why))


def _say_route(route: Route) -> None:
    for line in route_lines(route):
        say(line)


def _say_problem(name: str, rejected: Rejected, *, show_values: bool) -> None:
    record, reason = rejected.record, rejected.reason
    phrase = phrase_with_values(record, reason) if show_values else reason.phrase
    say(f"{name}: {place(record.number, record.line)}: {phrase}")
