"""Speak and listen on the standard streams, any of which may be closed."""

import json
import sys
import unicodedata
from typing import BinaryIO, Final, TextIO

import click

from uploader.cli.speaker import SPEAKER

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The kinds of characters that a terminal obeys or hides."""


def say(line: str) -> None:
    """Print one line for people; what a terminal would obey or hide is spelled as JSON spells it.

    Names of columns and of files come from outside, and a file may hold anything.
    """
    text = _spelled_out(line)
    if SPEAKER.is_on:
        SPEAKER.say(text)
    else:
        click.echo(text, err=True)


def say_detail(line: str) -> None:
    """Print one line for people, of which there may be very many."""
    if SPEAKER.is_on:
        SPEAKER.say(_spelled_out(line), detail=True)
    else:
        say(line)


def speak_aside() -> None:
    """Let nobody who says something wait from now on for who reads it; `hush` ends that."""
    SPEAKER.start(sys.stderr)


def hush(patience: float = 3.0) -> None:
    """See to it that what was said is written, but wait no longer than *patience* seconds for who does not read."""
    SPEAKER.stop(patience)


def terminal() -> TextIO | None:
    """Return where people watch a bar; None where nobody does."""
    if not is_watched():
        return None
    return SPEAKER.drawing() if SPEAKER.is_on else sys.stderr


def standard_input() -> BinaryIO | None:
    """Return standard input as bytes; None where it is closed."""
    # The type stubs don't know that it can be None.
    stdin: object = sys.stdin
    return None if stdin is None else sys.stdin.buffer


def is_watched() -> bool:
    """Whether what is said goes to a terminal."""
    stderr: object = sys.stderr
    return stderr is not None and sys.stderr.isatty()


def _spelled_out(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(json.dumps(one)[1:-1] if unicodedata.category(one) in _UNSEEN else one for one in line)
