"""Speak and listen on the standard streams, any of which may be closed."""

import json
import os
import sys
import unicodedata
from typing import BinaryIO, Final

import click

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The kinds of characters that a terminal obeys or hides."""


def hold_closed_streams() -> None:
    """Take the numbers of standard streams that are closed, lest a file that is opened gets one, and what is said.

    Each is held so that it still can't be used: nothing is read from standard input, nothing written to the others.
    Python has looked before, so that to `sys` it is closed.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is taken.
            os.open(os.devnull, flags)


def say(line: str) -> None:
    """Print one line for people; what a terminal would obey or hide is spelled as JSON spells it.

    Names of columns and of files come from outside, and a file may hold anything.
    """
    click.echo(_spelled_out(line), err=True)


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
