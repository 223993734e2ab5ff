"""Run a command in a terminal, and return what its user sees in the end."""

import os
import pty
import re
import subprocess
import termios
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_ROWS: Final = 50
_CHUNK: Final = 65536


def run(command: str, folder: Path, environ: Mapping[str, str], *, columns: int = 200) -> list[str]:
    """Return the lines that *command* leaves in a terminal of so many *columns*."""
    return screen(record(command, folder, environ, columns=columns))


def record(command: str, folder: Path, environ: Mapping[str, str], *, columns: int = 200) -> str:
    """Return all that *command* writes to a terminal: lines end in newlines; a carriage return goes back."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (_ROWS, columns))
    with subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        # Reading a terminal that nobody holds open any more is an error on Linux, and empty on macOS.
        with suppress(OSError):
            while chunk := os.read(ours, _CHUNK):
                written += chunk
        os.close(ours)
        process.wait()
    return re.sub("\r+\n", "\n", written.decode())


def screen(written: str) -> list[str]:
    """Return the lines that *written* leaves on a screen: of each what stands after its last carriage return.

    That is enough for a progress bar, which wipes itself.
    """
    lines = written.removesuffix("\n").split("\n") if written else []
    return [line.rpartition("\r")[2].rstrip() for line in lines]
