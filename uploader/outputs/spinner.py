"""Show on a terminal that a large file is being read, and how far."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import Final, TextIO

from uploader.outputs.duration_text import spell_seconds

_FIRST_SECONDS: Final = 1.0
"""Seconds without a spinner: most files are read by then."""

_FRAME_SECONDS: Final = 0.25
_WHEEL: Final = "|/-\\"
_MOST_COLUMNS: Final = 39
"""The most columns of a frame: it fits into the narrowest terminal."""


@contextmanager
def spinner(rows: Callable[[], int], stream: TextIO | None) -> Iterator[None]:
    """Show how many *rows* are read, and for how long, while the context lasts; nothing without a *stream*."""
    if stream is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_spin, args=(rows, stream, over), name="spinner", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # This machine has no thread left for it.
        yield
        return
    try:
        yield
    finally:
        over.set()
        # A terminal that is stopped keeps the thread; the command goes its way.
        thread.join(_FIRST_SECONDS)


def _spin(rows: Callable[[], int], stream: TextIO, over: threading.Event) -> None:
    began = time.monotonic()
    if over.wait(_FIRST_SECONDS):
        return
    # The terminal may be gone.
    with suppress(OSError, ValueError):
        for hand in cycle(_WHEEL):
            text = frame(hand, rows(), time.monotonic() - began)
            stream.write(f"\r{text:{_MOST_COLUMNS}}")
            stream.flush()
            if over.wait(_FRAME_SECONDS):
                break
        stream.write(f"\r{'':{_MOST_COLUMNS}}\r")
        stream.flush()


def frame(hand: str, rows: int, seconds: float) -> str:
    """Return one frame: *hand*, and how many *rows* were read in so many *seconds*."""
    return f"{hand} Checking: {rows:,} rows, {spell_seconds(seconds)}"[:_MOST_COLUMNS]
