"""Read the command line."""

import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

import click

from uploader import __version__
from uploader.cli.streams import say
from uploader.errors import SignalledError, UploaderError

_BUG = 1

_COMMANDS: Final = {
    "check": ("uploader.cli.check", "check_command"),
    "explain": ("uploader.cli.explain", "explain_command"),
    "init": ("uploader.cli.init", "init"),
    "memory": ("uploader.cli.memory", "memory"),
    "run": ("uploader.cli.run", "run_command"),
    "runs": ("uploader.cli.runs", "runs"),
    "sandbox": ("uploader.cli.sandbox", "sandbox"),
}
"""Where each command is: it is loaded when it is asked for, so that what one needs costs the others no time."""


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
        # Whatever raised it has loaded this already.
        from uploader.cli.signals import end_by  # noqa: PLC0415 — the other ways to end do without asyncio

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


class _Commands(click.Group):
    """The commands, each loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name."""
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            module, name = _COMMANDS[cmd_name]
            self.add_command(getattr(import_module(module), name))
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="uploader")
def cli() -> None:
    """Upload files of customer profiles to Dfinery, exactly as fast as its request limit allows."""


def every_command() -> dict[str, click.Command]:
    """Return all commands by their names, loaded."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def _bug(error: Exception) -> str:
    """Return where a bug showed itself, and nothing of what was being handled: that could be anybody's data."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    return f"A bug in uploader {__version__}: {type(error).__name__} at {where}. Please report it with this line."
