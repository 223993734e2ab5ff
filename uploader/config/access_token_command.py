"""Get the access token from the command of a secret manager."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from uploader.config.error_messages import UnfitValueError
from uploader.config.written_form import LIST, written_as

COMMAND_SECONDS: Final = 30.0
"""How long the command may take; who has to unlock something does it before."""

_BY_HAND: Final = "type it yourself to see why"


@written_as(LIST)
def command_words(value: object) -> Sequence[str]:
    """Return *value* if it is a list of words, the first of them a program; else raise UnfitValueError."""
    if not isinstance(value, (list, tuple)) or not value:
        raise UnfitValueError("is not a list of words; write for example [pass, show, dfinery]")
    if not all(isinstance(each, str) for each in value) or not value[0]:
        raise UnfitValueError("holds something that is no word; write for example [pass, show, dfinery]")
    return value


def printed_by(
    words: Sequence[str], folder: Path, environ: Mapping[str, str], *, seconds: float = COMMAND_SECONDS
) -> str:
    """Return the token that the command of these *words* prints; it runs in *folder*, with *environ* and no shell.

    Neither its words nor its output are in any message: either may hold the token. It gets no standard input, which may
    be a SOURCE. Its end is all that is waited for: an agent that it starts may live longer. Raises UnfitValueError.
    """
    try:
        # Not a pipe, which would stay open as long as an agent has it.
        with _unnamed_file() as output:
            done = subprocess.run(  # noqa: S603 — the user's own command, word by word
                words,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
            output.seek(0)
            printed = output.read()
    except subprocess.TimeoutExpired:
        done, printed = None, b""
    except FileNotFoundError:
        raise UnfitValueError("its first word is no program that is found; install that, or write its path") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "a word holds a null character"
        raise UnfitValueError(f"it can't be run ({why}); let this user run it") from None
    # Raised outside the except block, so that no traceback shows the words.
    if done is None:
        raise UnfitValueError(f"it has not ended within {seconds:g} s; {_BY_HAND}")
    if done.returncode < 0:
        raise UnfitValueError(f"it was ended by {signal.Signals(-done.returncode).name}; {_BY_HAND}")
    if done.returncode:
        raise UnfitValueError(f"it ended with exit status {done.returncode}; {_BY_HAND}")
    return _sole_word(printed)


def _unnamed_file() -> BinaryIO:
    """Return an empty file that no other user can open; it is in memory where the system has such files."""
    in_memory = getattr(os, "memfd_create", None)
    return tempfile.TemporaryFile() if in_memory is None else os.fdopen(in_memory("token"), "w+b")


def _sole_word(printed: bytes) -> str:
    text = printed.decode("utf-8", "replace").strip()
    if not text:
        raise UnfitValueError("it printed nothing; let it print the token on standard output")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise UnfitValueError("it printed more than one token; let it print the token and nothing else")
    return text
