"""List the words of the command line that a shell can complete: commands, options, and what they take."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from uploader.config.settings import IDENTITY_SECTION, keys_of

_KINDS: Final = {"run_id": "run", "overrides": "key", "retries_of": "job", "job": "job name"}
"""What the parameters of these names take."""


def completion_words(commands: Mapping[str, click.Command]) -> dict[str, Any]:
    """Return the table that `completion` reads: for each of *commands* what it does, its arguments and options.

    What an argument or option takes is "file", "run" (the ID of one), "job" (one, or a file that has none), "job name",
    "key" (of the configuration), "text", a list of words, or None for a flag.
    """
    return {
        "commands": {
            name: {
                "help": command.get_short_help_str(200),
                "arguments": [_takes(one) for one in command.params if isinstance(one, click.Argument)],
                "options": [
                    {"names": one.opts, "help": one.help or "", "takes": _takes(one), "multiple": one.multiple}
                    for one in command.params
                    if isinstance(one, click.Option)
                ],
            }
            for name, command in sorted(commands.items())
        },
        "keys": sorted(_keys()),
    }


def _takes(parameter: click.Parameter) -> str | list[str] | None:
    if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count):
        return None
    if parameter.name in _KINDS:
        return _KINDS[parameter.name]
    if isinstance(parameter.type, click.Choice):
        return [str(choice) for choice in parameter.type.choices]
    return "file" if isinstance(parameter, click.Argument) or isinstance(parameter.type, click.Path) else "text"


def _keys(above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every key of the configuration, with its sections; below an identity field none is listed."""
    for key in keys_of(above):
        path = (*above, key)
        if above != IDENTITY_SECTION and keys_of(path):
            yield from _keys(path)
        else:
            yield ".".join(path)
