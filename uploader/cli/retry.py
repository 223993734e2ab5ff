"""Read the command line of `uploader retry`."""

from typing import Any, Final

import click

from uploader.cli.recorded_command import RecordedCommand
from uploader.cli.run import run_command, start_run

_NOT_FOR_IT: Final = frozenset({"sources", "newest", "job"})
"""The parameters of `run` that say what is sent."""


@click.command("retry", cls=RecordedCommand)
@click.argument("retries_of", metavar="JOB")
def retry(**words: Any) -> int:  # noqa: ANN401 — click's own words
    """Send the pending retry files of JOB, as `uploader run` with these files does.

    JOB is the name of a job (`source.name`, `--job`); of a SOURCE without one, its path. The rows that are left go to a
    new retry file; one that was sent is removed when none of its rows is left. Where none is pending, nothing is sent.
    """
    return start_run(**words, sources=(), newest=(), job=words["retries_of"])


retry.params += [one for one in run_command.params if one.name not in _NOT_FOR_IT]
