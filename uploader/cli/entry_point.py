"""Read the command line."""

import os
import sys
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from importlib import import_module
from io import StringIO
from typing import Final, NoReturn

import click
from click.exceptions import NoSuchCommand

from uploader import __version__
from uploader.cli.line_format import LINES
from uploader.cli.printed_commands import CommandLine, completed
from uploader.cli.signals import end_by, handle_signals
from uploader.cli.standard_streams import drain_output, reserve_closed_streams, say, take_streams, use_output_thread
from uploader.errors import (
    ConfigError,
    JoinedError,
    SignalledError,
    StorageError,
    UnsuitedError,
    UploaderError,
    place_of_bug,
    refused_by_machine,
)

_BUG = 1
_COMPLETION: Final = "_UPLOADER_COMPLETE"
"""The environment variable by which a shell asks for completion."""

_LAST_WORD_SECONDS: Final = 1.0
_NO_THREAD = "can't start new thread"
"""Python's message when the machine refuses a thread."""

_COMMANDS: Final = {
    "changes": ("changes", "Show what change detection stores for each service."),
    "check": ("check_command", "Read and map everything, send nothing."),
    "explain": ("explain_command", "Show one row, from its fields to its request."),
    "init": ("init", "Write a configuration to start from."),
    "notify": ("notify", "Test the notifications of runs."),
    "report": ("report", "Write a report of a run to look at, as HTML."),
    "retry": ("retry", "Send the pending retry files of a job."),
    "run": ("run_command", "Check, then send."),
    "runs": ("runs", "List past runs, newest first."),
    "sandbox": ("sandbox", "Run a mock server of the API, for dry runs."),
    "schema": ("schema", "Print the JSON Schema of the configuration."),
}
"""Each command's function in the module of its name, and what it does.

A module is loaded only when its command is used: the start of the others stays fast.
"""

_ALIASES: Final = {"memory": "changes"}
"""Former names of commands, which still work. No help names them."""


@handle_signals()
def main() -> NoReturn:
    """Run the command, and end the process with its exit status."""
    if _COMPLETION in os.environ:
        import_module("uploader.cli.completion").complete()
    reserve_closed_streams()
    take_streams()
    LINES.reset()
    try:
        status = cli.main(prog_name="uploader", standalone_mode=False)
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        for line in shown.getvalue().splitlines():
            say(line)
        status = error.exit_code
    except click.Abort:
        status = 130
    except SignalledError as error:
        use_output_thread()
        say(str(error), "error")
        drain_output(_LAST_WORD_SECONDS)
        end_by(error.number)
    except UploaderError as error:
        # Of a configuration every problem is shown, each on its line.
        for line in str(error).split("\n") if isinstance(error, (ConfigError, UnsuitedError)) else [str(error)]:
            say(line, "error")
        status = error.exit_status
    except Exception as error:  # noqa: BLE001 — no traceback reaches a user: it may hold values of rows
        say(_bug(error), "error")
        status = _BUG
    drain_output()
    sys.exit(status or 0)


class _Commands(click.Group):
    """The commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(_COMMANDS)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; turn what the machine refuses into an UploaderError before click sees it."""
        try:
            return super().invoke(ctx)
        except (OSError, MemoryError) as error:
            raise refused_by_machine(error) from None
        except RuntimeError as error:
            if str(error) != _NO_THREAD:
                raise
            raise StorageError("This machine has no thread left for it. Allow it more, then run again.") from None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name."""
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            name, does = _COMMANDS[cmd_name]
            command: click.Command = getattr(import_module(f"uploader.cli.{cmd_name}"), name)
            command.short_help = does
            if command.callback is not None:
                command.callback = _with_whole_commands(command.callback)
            self.add_command(command)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that *args* begin with; an error suggests the one most like it, loaded or not."""
        try:
            return super().resolve_command(ctx, [_ALIASES.get(args[0], args[0]), *args[1:]])
        except NoSuchCommand as error:
            nearest = get_close_matches(error.command_name, _COMMANDS, n=1)
            raise NoSuchCommand(error.command_name, possibilities=nearest, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does, without loading it."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in sorted(_COMMANDS.items())])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="uploader")
def cli() -> None:
    """Upload files of customer profiles to Dfinery, exactly as fast as its request limit allows."""


def _with_whole_commands(callback: Callable[..., object]) -> Callable[..., object]:
    """Return *callback*; commands that its errors name get the flags that it was called with."""

    @wraps(callback)
    def call(**words: object) -> object:
        try:
            return callback(**words)
        except UploaderError as error:
            message = error.shown if isinstance(error, JoinedError) and words.get("show_values") else str(error)
            error.args = (completed(message, CommandLine.by(words)),)
            raise

    return call


def every_command() -> dict[str, click.Command]:
    """Return all commands by their names, loaded."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def _bug(error: Exception) -> str:
    """Return where the bug occurred, without the error's own text: that may hold values of rows."""
    return f"A bug in uploader {__version__}: {place_of_bug(error)}. Please report it with this line."
