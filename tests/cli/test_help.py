"""What `--help` shows of each command."""

import click
import pytest

from tests.command import Type
from uploader import __version__
from uploader.cli.entry_point import every_command
from uploader.sandbox import FAULT_KINDS
from uploader.sandbox.faults import GRAMMAR

LOADED = every_command()
COMMANDS = sorted(LOADED)
OPTIONS = [(name, option) for name in COMMANDS for option in LOADED[name].params if isinstance(option, click.Option)]


@pytest.fixture(autouse=True)
def _a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_the_first_help_names_every_command_with_what_it_does(typed: Type) -> None:
    ended = typed("--help")

    assert (ended.status, ended.err) == (0, [])
    assert ended.out[ended.out.index("Commands:") :] == [
        "Commands:",
        "  changes  Show what change detection stores for each service.",
        "  check    Read and map everything, send nothing.",
        "  explain  Show one row, from its fields to its request.",
        "  init     Write a configuration to start from.",
        "  notify   Test the notifications of runs.",
        "  report   Write a report of a run to look at, as HTML.",
        "  retry    Send the pending retry files of a job.",
        "  run      Check, then send.",
        "  runs     List past runs, newest first.",
        "  sandbox  Run a mock server of the API, for dry runs.",
        "  schema   Print the JSON Schema of the configuration.",
    ]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_the_help_of_a_command_names_all_its_options_and_fits_a_terminal(typed: Type, command: str, word: str) -> None:
    ended = typed(command, word)

    assert (ended.status, ended.err) == (0, [])
    assert ended.out[0].startswith(f"Usage: uploader {command} [OPTIONS]")
    text = "\n".join(ended.out)
    assert {name for option in LOADED[command].params for name in option.opts if name.startswith("-")} <= set(
        text.replace(",", " ").split()
    )
    assert max(map(len, ended.out)) <= 80


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=lambda value: getattr(value, "name", value))
def test_every_option_says_what_it_does_in_a_sentence(command: str, option: click.Option) -> None:
    assert command
    assert option.help is not None
    words = option.help.partition("  [default:")[0]
    assert words.endswith(".")
    assert words[0].isupper() or words[0].isdigit()


def test_the_help_of_the_sandbox_names_every_fault(typed: Type) -> None:
    out = typed("sandbox", "--help").out

    begins = out.index("  Faults, each written") + 1
    assert " ".join(line.strip() for line in out[begins : begins + 2]) == f"{GRAMMAR}:"
    faults = out[begins + 2 :]
    assert [line.split()[0] for line in faults if line[:5].strip()] == [kind.usage for kind in FAULT_KINDS.values()]


def test_the_version_is_the_packages(typed: Type) -> None:
    ended = typed("--version")

    assert (ended.status, ended.out, ended.err) == (0, [f"uploader, version {__version__}"], [])
