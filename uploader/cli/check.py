"""Read the command line of `uploader check`."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import click

from uploader.app.check import check
from uploader.app.check_report import CheckReport
from uploader.cli.common_flags import common
from uploader.cli.found_values import FoundValues
from uploader.cli.observers import CheckSpinner, Collecting, RejectedRows, Remarks, all_findings
from uploader.cli.printed_commands import CommandLine, completed
from uploader.cli.signals import raise_on_signals
from uploader.cli.standard_streams import say, show, standard_input, terminal
from uploader.errors import StorageError, UploaderError
from uploader.run.environment import Environment
from uploader.run.events import Events
from uploader.run.observers import Observers
from uploader.run.options import Options

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
    shows_details, found = verbose > 0 and not quiet, FoundValues()
    observers: list[Events] = [Remarks(quiet=quiet, verbose=verbose > 0)]
    observers += [Collecting(found)] if show_values else []
    observers += [RejectedRows(show_values=show_values)] if shows_details else []
    observers += [] if quiet else [all_findings(found if show_values else None)]
    # With -v, each problem is a line of its own while the file is read.
    stream = None if quiet or verbose else terminal()
    observers += [] if stream is None else [CheckSpinner(stream)]
    given = CommandLine.by(words)
    environment = Environment(
        environ=os.environ,
        stdin=standard_input(),
        events=Observers(observers),
        complete=lambda message: completed(message, given),
    )
    with raise_on_signals():
        result = check(Options(**words), environment)
    if isinstance(result.error, UploaderError):
        # The error that ended the check decides the exit status; one of the output is only printed.
        try:
            _show([_completed(report, given) for report in result.reports] if as_json else [])
        except StorageError as trouble:
            say(str(trouble))
    if result.error is not None:
        raise result.error
    _show(result.reports if as_json else [])
    return result.exit_status


def _completed(report: CheckReport, given: CommandLine) -> CheckReport:
    """Return *report* whose error names commands with the flags in *given*."""
    ending = report.result.ending
    if ending is None or ending.error is None:
        return report
    return replace(report, result=replace(report.result, ending=replace(ending, error=completed(ending.error, given))))


def _show(reports: Sequence[CheckReport]) -> None:
    """Print the report of one source, or a list of several, as JSON; raises StorageError."""
    if reports and not any(report.result.exit_status in _NO_JSON_AFTER for report in reports):
        facts = [report.facts() for report in reports]
        show(json.dumps(facts[0] if len(facts) == 1 else facts, ensure_ascii=False, indent=2))
