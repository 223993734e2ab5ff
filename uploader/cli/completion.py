"""Complete a command line for a shell: commands, options, files, run IDs and keys, without loading any command."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, shell_complete

if TYPE_CHECKING:
    # They are slow to load, and only three kinds of words need them.
    from uploader.run_record import RunRecord
    from uploader.state import RunHeader

VARIABLE: Final = "_UPLOADER_COMPLETE"
"""The environment variable by which a shell asks for completion."""

TABLE: Final = Path(__file__).with_name("completion.json")
"""What `completion_words` lists: loading the commands themselves would take a second."""

_NAME: Final = "uploader"
_SUFFIX: Final = "="


class _Bash(BashComplete):
    """bash, which puts no blank after a key and its equals sign."""

    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value)\n            [[ $value == *= ]] && compopt -o nospace"
    )


def complete() -> NoReturn:
    """Answer the shell that started this process, and end it."""
    add_completion_class(_Bash)
    words = json.loads(TABLE.read_text(encoding="utf-8"))
    sys.exit(shell_complete(_commands(words), {}, _NAME, VARIABLE, os.environ[VARIABLE]))


def _commands(words: Any) -> click.Group:  # noqa: ANN401 — the table, from JSON
    group = click.Group(_NAME, context_settings={"help_option_names": ["-h", "--help"]})
    group.params.append(click.Option(["--version"], is_flag=True))
    for name, command in words["commands"].items():
        completing = _completing(words["keys"])
        params: list[click.Parameter] = [
            click.Argument([f"argument{number}"], nargs=-1, shell_complete=completing[takes])
            for number, takes in enumerate(command["arguments"])
        ]
        params += (_option(option, completing) for option in command["options"])
        group.add_command(click.Command(name, params=params, short_help=command["help"]))
    return group


def _option(option: Any, completing: "dict[str, _Completes]") -> click.Option:  # noqa: ANN401 — a part of the table
    takes = option["takes"]
    if takes is None:
        return click.Option(option["names"], is_flag=True, help=option["help"])
    if isinstance(takes, list):
        return click.Option(option["names"], type=click.Choice(takes), help=option["help"])
    return click.Option(
        option["names"], multiple=option["multiple"], shell_complete=completing[takes], help=option["help"]
    )


_Completes = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def _completing(keys: list[str]) -> "dict[str, _Completes]":
    """Return what completes each kind of word."""
    return {
        "file": lambda _context, _parameter, incomplete: [CompletionItem(incomplete, type="file")],
        "key": lambda _context, _parameter, incomplete: [
            CompletionItem(f"{key}{_SUFFIX}") for key in keys if key.startswith(incomplete)
        ],
        "run": _ids,
        "job": _jobs,
        "job name": _job_names,
        "text": lambda _context, _parameter, _incomplete: [],
    }


def _ids(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return `last`, and each ID that `uploader runs` lists, newest first; none where no run is known."""
    records, headers = _known(context)
    recorded = {source.run_id for record in records for source in record.sources}
    ids = {record.start_id: f"{record.job_name} {record.started}" for record in records}
    # A run that an earlier version started has no record.
    ids |= {run.run_id: f"{run.source} {run.started}" for run in headers if run.run_id not in recorded}
    found = ({"last": "the newest"} if ids else {}) | ids
    return [CompletionItem(name, help=text) for name, text in found.items() if name.startswith(incomplete)]


def _jobs(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the names of the jobs in the state folder of the configuration, and the files that have none."""
    names = dict.fromkeys(header.job.name or header.source for header in _known(context)[1])
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _job_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the names of the jobs that ran, the latest first."""
    records, headers = _known(context)
    names = dict.fromkeys(name for name in (*(one.job for one in records), *(one.job.name for one in headers)) if name)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _known(context: click.Context) -> "tuple[list[RunRecord], list[RunHeader]]":
    """Return each start in the state folder of the configuration, and each run; nothing where they can't be read."""
    from uploader.config import load  # noqa: PLC0415 — slow to load, and nothing else needs it
    from uploader.errors import UploaderError  # noqa: PLC0415 — as above
    from uploader.state import History, RunStore  # noqa: PLC0415 — as above

    config = Path(context.params.get("config") or "config.yaml")
    try:
        state = load(config, environ=os.environ, credentials=False).state_dir
        # A shell asks without a run: nothing is created.
        if not (state / "runs").is_dir():
            return [], []
        return [*History(state).records()], [*RunStore(state).headers()]
    except (OSError, UploaderError):
        return [], []
