"""Speak and listen on the standard streams, any of which may be closed, full or left by its reader."""

import codecs
import errno
import json
import os
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, BinaryIO, Final, TextIO, cast

from uploader.cli.output_thread import OUTPUT
from uploader.errors import StorageError

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The kinds of characters that a terminal obeys or hides."""

_SPELLED: Final = "uploader.spelled"
"""The error handler of both output streams: what their encoding does not have is spelled as JSON spells it."""


def reserve_closed_streams() -> None:
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


def take_streams() -> None:
    """Put streams that can't end a run in the place of standard output and standard error.

    All that is written there goes through them: the words of a run, its log and its bar, click's messages, and what
    the interpreter flushes when it ends.
    """
    codecs.register_error(_SPELLED, _spelled_for)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_SPELLED)
    if not isinstance(sys.stdout, _DataStream):
        sys.stdout = cast("TextIO", _DataStream(sys.stdout))
    if not isinstance(sys.stderr, _PeopleStream):
        sys.stderr = cast("TextIO", _PeopleStream(sys.stderr))


def say(line: str) -> None:
    """Print one line for people; what can't be said is dropped. It never raises.

    What a terminal would obey or hide is spelled as JSON spells it: names of columns and of files come from outside,
    and a file may hold anything.
    """
    text = spelled_out(line)
    if OUTPUT.is_on:
        OUTPUT.say(text)
    else:
        _PeopleStream(sys.stderr).write(f"{text}\n")


def say_detail(line: str) -> None:
    """Print one line for people, of which there may be very many."""
    if OUTPUT.is_on:
        OUTPUT.say(spelled_out(line), detail=True)
    else:
        say(line)


def use_output_thread() -> None:
    """Let nobody who says something wait from now on for who reads it; `drain_output` ends that."""
    OUTPUT.start(sys.stderr)


def drain_output(patience: float = 3.0) -> None:
    """See to it that what was said is written, but wait no longer than *patience* seconds for who does not read."""
    OUTPUT.stop(patience)


def terminal() -> TextIO | None:
    """Return where people watch a bar; None where nobody does."""
    if not is_terminal():
        return None
    return OUTPUT.drawing() if OUTPUT.is_on else sys.stderr


def show(text: str) -> None:
    """Print *text*, which is data, on standard output; a reader that left does not miss it.

    Raises:
        StorageError: it can't be written.
    """
    output = _DataStream(sys.stdout)
    output.write("".join(f"{spelled_out(line)}\n" for line in text.split("\n")))
    output.flush()


def standard_input() -> BinaryIO | None:
    """Return standard input as bytes; None where it is closed."""
    # The type stubs don't know that it can be None.
    stdin: object = sys.stdin
    return None if stdin is None else sys.stdin.buffer


def is_terminal() -> bool:
    """Whether what is said goes to a terminal."""
    stderr: object = sys.stderr
    return stderr is not None and bool(sys.stderr.isatty())


def spelled_out(line: str) -> str:
    """Return *line* with all that a terminal would obey or hide spelled as JSON spells it."""
    if line.isprintable():
        return line
    return "".join(json.dumps(one)[1:-1] if unicodedata.category(one) in _UNSEEN else one for one in line)


class _Stream:
    """Stands before a text stream, and has all that it has but the way around: what lies under it."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write on *stream*; None: it is closed."""
        self._stream = stream

    def fileno(self) -> int:
        """Return the descriptor; raises OSError where the stream is closed."""
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 — whatever the stream has
        """Return what the stream has by this name."""
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


class _PeopleStream(_Stream):
    """A stream for people: what it can't take is dropped, whatever is the matter with it."""

    def write(self, text: str) -> int:
        """Write *text* at once, or drop it."""
        # It may be full, left by its reader, closed, or of an encoding that lacks even the spelling.
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Do nothing: all is written at once."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False


class _DataStream(_Stream):
    """A stream for data: what it can't take is the command's trouble, but for a reader that has left."""

    _left = False
    _error: StorageError | None = None

    def write(self, text: str) -> int:
        """Write *text*; raises StorageError."""
        if self._stream is None:
            raise _trouble("it is closed")
        if self._error is not None:
            raise self._error
        # click tries with nothing what kind of stream it is.
        if text != "":
            self._do(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what waits; raises StorageError once, since the interpreter flushes it when it ends."""
        if self._error is None:
            self._do(lambda stream: stream.flush())

    def _do(self, act: Callable[[TextIO], object]) -> None:
        if self._stream is None or self._left:
            return
        try:
            act(self._stream)
        except BrokenPipeError:
            self._left = True
        except OSError as error:
            self._error = _trouble(error.strerror or type(error).__name__)
            raise self._error from None


def _trouble(why: str) -> StorageError:
    return StorageError(f"Standard output can't be written: {why}. Send it elsewhere, then run again.")


def _spelled_for(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(json.dumps(one)[1:-1] for one in error.object[error.start : error.end]), error.end
