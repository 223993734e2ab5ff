"""Read the command line of `uploader init`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

import click

from uploader.app.init import InitResult, SchemaFile, init_config
from uploader.cli.printed_commands import USUAL, CommandLine, command, quoted
from uploader.cli.signals import raise_on_signals
from uploader.cli.standard_streams import say, standard_input
from uploader.inference import SCHEMA_FILE, MappingGuess, property_line
from uploader.run.environment import Environment


@click.command("init")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=USUAL,
    show_default=True,
    metavar="FILE",
    help="Write the configuration to FILE, which must not exist yet.",
)
def init(*, source: str, config: Path) -> int:
    """Read the whole SOURCE, and write a configuration for it: columns, guessed identity fields and types.

    Each guess says why in a comment. Look them through before you send anything. Beside it stands config.schema.json,
    by which editors complete and check it. An existing file is never overwritten.
    """
    environment = Environment(environ=os.environ, stdin=standard_input())
    with raise_on_signals():
        result = init_config(source, config, environment)
    for line in _lines(result, config):
        say(line)
    return 0


def _lines(result: InitResult, config: Path) -> Iterator[str]:
    guess, written = result.guess, result.written
    name = "standard input" if written.source == "-" else written.source
    rows = "the 1 row" if guess.rows == 1 else f"all {guess.rows:,} rows"
    yield f"{config} is written, guessed from {rows} of {name}:"
    said = (
        ("format", written.format),
        ("encoding", written.encoding),
        ("delimiter", "tab" if written.delimiter == "\t" else written.delimiter),
        ("skip_lines", written.skip_lines),
    )
    for key, value in said:
        if value is not None:
            yield f"  {key}: {value}"
    yield from _guess_lines(guess)
    if (odd := result.suspicion) is not None:
        yield f"  row {odd.row:,} (line {odd.line:,}): {odd.reason.phrase}"
    yield from _schema_lines(result.schema_file, config)
    yield "Each guess says why in a comment. Look them through, then type:"
    given = CommandLine(config=config)
    yield f"  {command('check', [written.source], given)}"
    yield f"  {command('run', [written.source], given, '--sandbox')}"


def _schema_lines(schema_file: SchemaFile, config: Path) -> Iterator[str]:
    path = config.with_name(SCHEMA_FILE)
    match schema_file:
        case "there":
            pass
        case "written":
            yield f"{path} is written too: editors complete and check {config.name} by it."
        case "different":
            yield (
                f"{path} was there, differs from the schema of this version, and stays as it is. To replace it, type "
                f"`uploader schema > {quoted(str(path))}`."
            )
        case "not written":
            yield f"{path} can't be written: editors do not check {config.name}. It is valid all the same."
        case _ as never:
            assert_never(never)


def _guess_lines(guess: MappingGuess) -> Iterator[str]:
    yield f"  identity: {', '.join(f'{each.field} from {each.column!r}' for each in guess.identities)}"
    count = len(guess.properties)
    yield f"  {count:,} {'property' if count == 1 else 'properties'}"
    for each in guess.consents:
        yield f"  consent: {each.key} from {each.column!r}"
    quiet = [repr(omission.column) for omission in guess.omissions if omission.harm is None]
    if quiet:
        yield f"  left out: {', '.join(quiet)}"
    reviews = guess.reviews
    if reviews:
        yield "REVIEW these first, what can do most harm at the top:"
    for column, review in reviews:
        yield f"  {column!r}: {review.text}"
        if review.instead is not None:
            yield f"    {property_line(review.instead)}"
