"""Get the access token from the command of a secret manager."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from uploader.config.error_messages import UnfitValueError
from uploader.config.written_form import INNER, written_as

COMMAND_SECONDS: Final = 30.0
"""How long the command may take; who has to unlock something does it before."""

_BY_HAND: Final = "type it yourself to see why"


@written_as(INNER)
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
    be a SOURCE. Raises UnfitValueError.
    """
    try:
        done = subprocess.run(  # noqa: S603 — the user's own command, word by word
            words,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        done = None
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
    return _sole_word(done.stdout)


def _sole_word(printed: bytes) -> str:
    text = printed.decode("utf-8", "replace").strip()
    if not text:
        raise UnfitValueError("it printed nothing; let it print the token on standard output")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise UnfitValueError("it printed more than one token; let it print the token and nothing else")
    return text
