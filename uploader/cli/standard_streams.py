"""Use the standard streams, any of which may be closed, full or left by its reader."""

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

from uploader.cli.line_format import LINES, LineLevel
from uploader.cli.output_thread import OUTPUT
from uploader.errors import StorageError

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The Unicode categories of characters that control a terminal or that it hides."""

_SPELLED: Final = "uploader.spelled"
"""The error handler of both output streams: characters that their encoding lacks become JSON escapes."""


def reserve_closed_streams() -> None:
    """Reserve the numbers of closed standard streams, so that no opened file gets one and, with it, the output.

    A reserved stream still can't be used: nothing is read from standard input, nothing is written to the others.
    `sys` has it as closed, because Python looked earlier.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            # open() takes the lowest free number.
            os.open(os.devnull, flags)


def take_streams() -> None:
    """Replace standard output and standard error by streams that can't end a run.

    All output goes through them: messages, log, progress bar, click's messages, and what the interpreter flushes when
    it ends.
    """
    codecs.register_error(_SPELLED, _spelled_for)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_SPELLED)
    if not isinstance(sys.stdout, _DataStream):
        sys.stdout = cast("TextIO", _DataStream(sys.stdout))
    if not isinstance(sys.stderr, _PeopleStream):
        sys.stderr = cast("TextIO", _PeopleStream(sys.stderr))


def say(line: str, level: LineLevel = "info") -> None:
    """Print one line for people of this *level*, or drop it if it can't be printed; never raises.

    Control and hidden characters become JSON escapes: names of columns and files come from outside, and a file may
    hold anything.
    """
    text = LINES.line(spelled_out(line), level)
    if OUTPUT.is_on:
        OUTPUT.say(text)
    else:
        _PeopleStream(sys.stderr).write(f"{text}\n")


def say_detail(line: str, level: LineLevel = "info") -> None:
    """Print one of possibly very many lines for people, of this *level*."""
    if OUTPUT.is_on:
        OUTPUT.say(LINES.line(spelled_out(line), level), detail=True)
    else:
        say(line, level)


def use_output_thread() -> None:
    """Print from a thread of its own from now on, so that no line waits for its reader; `drain_output` ends that."""
    OUTPUT.start(sys.stderr)


def drain_output(patience: float = 3.0) -> None:
    """Write all output that waits, but wait at most *patience* seconds for a reader that does not read."""
    OUTPUT.stop(patience)


def terminal() -> TextIO | None:
    """Return the terminal for a progress bar; None without one, or where it can't draw over a line."""
    if not is_terminal() or os.environ.get("TERM") == "dumb":
        return None
    return OUTPUT.drawing() if OUTPUT.is_on else sys.stderr


def show(text: str) -> None:
    """Print *text*, which is data, on standard output; drop it if the reader has left.

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
    """Whether standard error is a terminal."""
    stderr: object = sys.stderr
    return stderr is not None and bool(sys.stderr.isatty())


def spelled_out(line: str) -> str:
    """Return *line* with control and hidden characters as JSON escapes."""
    if line.isprintable():
        return line
    return "".join(json.dumps(one)[1:-1] if unicodedata.category(one) in _UNSEEN else one for one in line)


class _Stream:
    """Wraps a text stream and has all its attributes but `buffer`, which would bypass it."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write on *stream*; None: it is closed."""
        self._stream = stream

    def fileno(self) -> int:
        """Return the descriptor; raises OSError where the stream is closed."""
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 — an attribute of the stream
        """Return the stream's attribute *name*."""
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


class _PeopleStream(_Stream):
    """A stream for people: what can't be written is dropped, whatever the reason."""

    def write(self, text: str) -> int:
        """Write *text* at once, or drop it."""
        # It may be full, left by its reader, closed, or of an encoding that lacks even the escapes.
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has flushed."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False


class _DataStream(_Stream):
    """A stream for data: what can't be written is an error of the command, unless the reader has left."""

    _left = False
    _error: StorageError | None = None

    def write(self, text: str) -> int:
        """Write *text*; raises StorageError."""
        if self._stream is None:
            raise _trouble("it is closed")
        if self._error is not None:
            raise self._error
        # click writes an empty text to find out what kind of stream it is.
        if text != "":
            self._do(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream; raises StorageError only once, since the interpreter flushes it again when it ends."""
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
