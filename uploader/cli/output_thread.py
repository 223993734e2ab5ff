"""Print lines from a thread of its own, so that a slow reader never delays the run."""

import contextlib
import io
import os
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, TextIO

from uploader.cli.line_format import LINES

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ROOM: Final = 1 << 20
"""The most bytes that wait for a slow reader."""

_FOR_DETAILS: Final = _ROOM // 2
_FOR_FRAMES: Final = select.PIPE_BUF
_AT_ONCE: Final = select.PIPE_BUF
"""The most bytes of one write: within them, no other writer of the same pipe can interfere."""

_ERASE_FRAME: Final = b"\r\x1b[K"
"""Goes to the beginning of the line, and erases it: a frame has no end of line."""


class OutputThread:
    """A thread that writes lines to a descriptor in order, from `start` to `stop`.

    The waiting lines are bounded. A line that has no room is dropped and counted; the count is printed before the next
    line that has room. A line that can't be written (the reader has left, the disk is full) is dropped as well.
    """

    def __init__(self) -> None:
        """Print nothing until `start`."""
        self.is_on = False
        self._stream: TextIO
        self._thread: threading.Thread
        self._descriptor = -1
        self._moved = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._written = 0
        self._is_drawn = False

    def start(self, stream: TextIO | None) -> None:
        """Print to *stream* from now on; if it is not an open file, print nothing."""
        if self.is_on or stream is None:
            return
        try:
            self._descriptor = stream.fileno()
            self._stream = stream
            stream.flush()
            self.is_on = True
            self._thread = threading.Thread(target=self._write, name="speaker", daemon=True)
            self._thread.start()
        except (OSError, ValueError, RuntimeError):
            # No descriptor, a closed one, or no thread left.
            self.is_on = False

    def stop(self, patience: float) -> None:
        """Wait until all is written, but at most *patience* seconds without progress."""
        if not self.is_on:
            return
        with self._moved:
            self._note_dropped()
            self.is_on = False
            self._moved.notify_all()
            written, until = self._written, time.monotonic() + patience
            while self._size > 0 and (left := until - time.monotonic()) > 0:
                self._moved.wait(left)
                if self._written != written:
                    written, until = self._written, time.monotonic() + patience
            is_all_said = self._size <= 0
        if is_all_said:
            # `start` may be called again.
            self._thread.join(patience)

    def say(self, line: str, *, detail: bool = False) -> None:
        """Print *line*; a *detail* leaves room for other lines."""
        data = self._encoded(line + "\n")
        with self._moved:
            if self._size + len(data) > (_FOR_DETAILS if detail else _ROOM):
                self._dropped += 1
                return
            if self._is_drawn:
                # The next frame is drawn below the line.
                self._add(_ERASE_FRAME)
                self._is_drawn = False
            self._note_dropped()
            self._add(data)

    def draw(self, frame: bytes) -> None:
        """Show *frame*, which a later one replaces; drop it while other output waits: nobody would see it."""
        with self._moved:
            if self._size + len(frame) <= _FOR_FRAMES:
                self._add(frame)
                self._is_drawn = bool(frame.strip())

    def drawing(self) -> TextIO:
        """Return a stream that passes what is written to `draw`."""
        stream = self._stream
        raw = _Drawing(self, self._descriptor)
        return io.TextIOWrapper(raw, stream.encoding, stream.errors, newline="", write_through=True)

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._stream.encoding, self._stream.errors or "backslashreplace")

    def _note_dropped(self) -> None:
        if self._dropped:
            lines = "1 line was" if self._dropped == 1 else f"{self._dropped:,} lines were"
            text = LINES.line(f"… {lines} dropped here: nobody read them in time.", "warning")
            self._add(self._encoded(f"{text}\n"))
            self._dropped = 0

    def _add(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._moved.notify_all()

    def _write(self) -> None:
        while True:
            with self._moved:
                while not self._waiting:
                    if not self.is_on:
                        return
                    self._moved.wait()
                block = self._waiting.popleft()
                while self._waiting and len(block) + len(self._waiting[0]) <= _AT_ONCE:
                    block += self._waiting.popleft()
            # Not through the stream: if the interpreter ended meanwhile, its lock would stay taken.
            with contextlib.suppress(OSError):
                _write_all(self._descriptor, block)
            with self._moved:
                self._size -= len(block)
                self._written += len(block)
                self._moved.notify_all()


class _Drawing(io.BufferedIOBase):
    """The binary stream under the one of `drawing`."""

    name = "<bar>"

    def __init__(self, speaker: OutputThread, descriptor: int) -> None:
        self._speaker = speaker
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        # tqdm asks for the width of the terminal.
        return self._descriptor

    def write(self, data: "ReadableBuffer", /) -> int:
        frame = bytes(data)
        self._speaker.draw(frame)
        return len(frame)


def say_if_written(stream: TextIO | None, line: str) -> None:
    """Write a short *line* to *stream*, if that needs no wait."""
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        if poll.poll(0):
            os.write(stream.fileno(), f"{line}\n".encode())


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*, without a time limit; raises OSError."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            # Another process has set the shared open file to non-blocking.
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


OUTPUT: Final = OutputThread()
"""The thread of this process."""
