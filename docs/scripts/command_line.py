"""Write docs/command-line.md, and the words for shells, from the commands: python docs/scripts/command_line.py."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from uploader.cli.completion import TABLE
from uploader.cli.completion_words import completion_words
from uploader.cli.entry_point import cli, every_command

PAGE: Final = Path(__file__).parents[1] / "command-line.md"
_HEAD: Final = """\
<!-- Written by `make examples` from the program's own options; changes by hand are lost. -->

# Command line

`uploader --help` lists the commands, `uploader COMMAND --help` the options of one of them. `uploader --version` says
the version. What people read goes to standard error, data (JSON) goes to standard output. All commands have the same
[exit statuses](exit-statuses.md). A shell [completes](operations.md#in-a-terminal) commands, options, files, run
IDs and keys.
"""


_AS_RUN: Final = "retry"
"""The command whose options are those of `run`, but for those that say what is sent."""


def text() -> str:
    """Return the page as it should be."""
    commands = sorted(every_command().items())
    overview = (f"| [`{name}`](#uploader-{name}) | {_cell(one.get_short_help_str(200))} |" for name, one in commands)
    sections = ("\n".join(_section(name, one)) for name, one in commands)
    return "\n".join((_HEAD, "| command | does |", "|---|---|", *overview, "", *sections))


def words() -> str:
    """Return the table of the words that a shell completes, as it should be."""
    return json.dumps(completion_words(every_command()), indent=1) + "\n"


def _section(name: str, command: click.Command) -> Iterator[str]:
    with click.Context(cli, **cli.context_settings) as above:
        context = command.make_context(name, [], parent=above, resilient_parsing=True)
    yield f"## uploader {name}"
    yield ""
    yield from ("```text", f"uploader {name} {' '.join(command.collect_usage_pieces(context))}", "```", "")
    yield from (inspect.cleandoc(command.help or ""), "")
    options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    if name == _AS_RUN:
        yield from (f"Its options are those of [`run`](#uploader-run), but {_missing(options)}.", "")
        return
    yield from ("| option | means | default |", "|---|---|---|", *(_row(option, context) for option in options), "")
    if command.epilog:
        yield from ("```text", inspect.cleandoc(command.epilog.removeprefix("\b\n")), "```", "")


def _missing(options: Iterable[click.Option]) -> str:
    """Return the names of the options of `run` that are not among *options*."""
    names = {one.name for one in options}
    others = (
        one.opts[0] for one in every_command()["run"].params if isinstance(one, click.Option) and one.name not in names
    )
    return " and ".join(f"`{name}`" for name in others)


def _row(option: click.Option, context: click.Context) -> str:
    names, means = option.get_help_record(context) or ("", "")
    means, _, notes = means.partition("  [")
    shown = ", ".join(f"`{_cell(name)}`" for name in names.split(", "))
    said = re.search(r"default: ([^;\]]*)", notes)
    default = _cell(said[1]) if said else "required" if option.required else ""
    return f"| {shown} | {_cell(means)} | {f'`{default}`' if option.show_default else default} |"


def _cell(words: str) -> str:
    return words.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
    TABLE.write_text(words(), encoding="utf-8")
