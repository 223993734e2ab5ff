"""Give commands the flags that they have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from uploader.cli.printed_commands import USUAL

Flag: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Adds a flag to a command."""

_ROWS: Final = click.IntRange(1, 10**15)
"""So many rows as a file may have."""


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what `run` and `check` have in common."""
    parts = (
        click.argument("sources", nargs=-1, required=True, metavar="SOURCE..."),
        config_flag(),
        set_flag(),
        click.option("--limit", type=_ROWS, metavar="N", help="Take the first N rows of each SOURCE."),
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


def config_flag(what: str = "Read the configuration from FILE.") -> Flag:
    """Return `--config`, of which the help says *what*."""
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
        help="Set one key over the configuration's; may repeat.",
    )
