"""A terminal for tests: a command runs in a pseudo-terminal of some columns, and its screen is read."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

_ROWS: Final = 50
_ESCAPE: Final = re.compile("\x1b\\[([0-9;]*)([A-Za-z])")


class Screen:
    """What stands on a terminal: characters, line ends, returns, and the escapes that erase; others change nothing."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.wrapped = 0
        self._lines: list[list[str]] = [[]]
        self._at = 0

    @property
    def lines(self) -> list[str]:
        """The lines from the top, without blanks at their ends."""
        return ["".join(line).rstrip() for line in self._lines]

    def feed(self, text: str) -> None:
        """Show *text*; a line that is full goes on in the next one, which `wrapped` counts."""
        while text:
            found = _ESCAPE.match(text)
            if found is not None:
                if found[2] in "KJ":
                    del self._lines[-1][self._at :]
                text = text[found.end() :]
                continue
            self._show(text[0])
            text = text[1:]

    def _show(self, one: str) -> None:
        if one == "\r":
            self._at = 0
        elif one == "\n":
            self._lines.append([])
            self._at = 0
        else:
            width = columns_of(one)
            if self._at + width > self.columns:
                self.wrapped += 1
                self._lines.append([])
                self._at = 0
            line = self._lines[-1]
            line += [" "] * (self._at + width - len(line))
            line[self._at : self._at + width] = [one, *[""] * (width - 1)]
            self._at += width


def columns_of(text: str) -> int:
    """Return how many columns *text* takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


UPLOADER: Final = (sys.executable, "-m", "uploader")


class Terminal:
    """A command in a pseudo-terminal of so many *columns*; `read_until` and `end` read what it writes."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str], columns: int = 80) -> None:
        self.screen = Screen(columns)
        self.written = ""
        self._ours, theirs = pty.openpty()
        self.resize(columns)
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "TERM": "xterm", **environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 — as any terminal does it
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def resize(self, columns: int) -> None:
        """Give the terminal another width, as a user who pulls at its window."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        self.screen.columns = columns

    def press(self, keys: str) -> None:
        """Send *keys*, as a keyboard does."""
        os.write(self._ours, keys.encode())

    def press_ctrl_c(self) -> None:
        """Send what Ctrl-C sends."""
        self.press("\x03")

    def read_until(self, found: Callable[[str], object], seconds: float = 60.0) -> str:
        """Read until *found* is true of what was written since; return that."""
        since, patience = "", time.monotonic() + seconds
        while not found(since):
            assert time.monotonic() < patience, f"it never came: {since[-400:]!r}"
            since += self._read()
        return since

    def end(self, seconds: float = 60.0) -> int:
        """Read to the end, and return the exit status."""
        patience = time.monotonic() + seconds
        # Reading a terminal that nobody holds open any more is an error on Linux.
        with suppress(OSError):
            while True:
                assert time.monotonic() < patience, "it never ended"
                self._read()
        return self._process.wait(seconds)

    def _read(self) -> str:
        if not select.select([self._ours], [], [], 0.2)[0]:
            return ""
        chunk = os.read(self._ours, 65536)
        if not chunk:
            raise OSError
        text = chunk.decode("utf-8", "replace")
        self.written += text
        self.screen.feed(text)
        return text


def frames(written: str) -> list[str]:
    """Return the frames of the progress bar in *written*, without colours and blanks at their ends."""
    parts = re.split("[\r\n]+", _ESCAPE.sub("", written))
    return [part.rstrip() for part in parts if re.search(r"\d+%\|", part)]


def cells(frame: str) -> int:
    """Return how many cells the bar of a *frame* has."""
    found = re.search(r"%\|(.*?)\|", frame)
    return 0 if found is None else len(found[1])
