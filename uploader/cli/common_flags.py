"""Define the flags that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from uploader.cli.printed_commands import USUAL

Flag: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Adds a flag to a command."""

_ROWS: Final = click.IntRange(1, 10**15)
"""More rows than any file has."""


def _job(_: click.Context, __: click.Parameter, text: str) -> str:
    from uploader.config.error_messages import UnfitValueError  # noqa: PLC0415 — slow to load, and seldom needed
    from uploader.config.value_parsers import name  # noqa: PLC0415 — the same

    try:
        return name(text) if text else ""
    except UnfitValueError as error:
        raise click.BadParameter(f"{text!r} {error}") from None


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and flags that `run` and `check` share."""
    parts = (
        click.argument("sources", nargs=-1, metavar="SOURCE..."),
        click.option(
            "--newest",
            multiple=True,
            metavar="GLOB",
            help="Take the newest file that matches GLOB as a SOURCE; may be repeated.",
        ),
        config_flag(),
        set_flag(),
        click.option("--limit", type=_ROWS, metavar="N", help="Take the first N rows of each SOURCE."),
        click.option(
            "--summary",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Write the summary to FILE, as JSON.",
        ),
        click.option(
            "--job",
            callback=_job,
            default="",
            metavar="NAME",
            help="Name the job, as source.name does: its history does not depend on what the file is called.",
        ),
        click.option("--show-values", is_flag=True, help="Print the values of rows that a message is about."),
        click.option("-q", "--quiet", is_flag=True, help="Print only what went wrong."),
        click.option("-v", "--verbose", count=True, help="Print more; given twice, also every retry."),
    )
    for part in reversed(parts):
        command = part(command)
    return command


def config_flag(what: str = "Read the configuration from FILE.") -> Flag:
    """Return `--config` with the help text *what*."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        default=USUAL,
        show_default=True,
        metavar="FILE",
        help=what,
    )


def set_flag() -> Flag:
    """Return `--set`."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY.PATH=VALUE",
        help="Override one key of the configuration; may be repeated.",
    )
