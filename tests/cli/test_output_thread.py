"""Who speaks never waits for who listens, and who listens hears everything in its order, or how much is missing."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

import pytest

from uploader.cli.output_thread import OutputThread, say_if_written

LINE = "x" * 99
"""With its end, a hundred bytes."""


@dataclass
class Pipe:
    read: int
    stream: TextIO

    def all(self) -> list[str]:
        """Close the end to write to, and return the lines that came."""
        self.stream.close()
        with os.fdopen(self.read, encoding="utf-8", closefd=False) as file:
            return file.read().splitlines()

    def fill(self) -> None:
        """Let the pipe take no byte more."""
        os.set_blocking(self.stream.fileno(), False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.stream.fileno(), b"." * 512)
        os.set_blocking(self.stream.fileno(), True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding="utf-8") as stream:
        yield Pipe(read, stream)
    with suppress(OSError):
        os.close(read)


def test_what_is_said_is_heard_in_its_order(pipe: Pipe) -> None:
    speaker = OutputThread()
    speaker.start(pipe.stream)
    for number in range(500):
        speaker.say(f"{number} Zoë", detail=number % 2 == 0)
    speaker.stop(60)

    assert pipe.all() == [f"{number} Zoë" for number in range(500)]


def test_a_line_stands_where_a_frame_of_the_bar_stood(pipe: Pipe) -> None:
    speaker = OutputThread()
    speaker.start(pipe.stream)
    for frame, line in ((b"\r 1%", "one"), (b"\r 2%", "two"), (b"\r    \r", "three")):
        speaker.draw(frame)
        speaker.say(line)
    speaker.say("four")
    speaker.stop(60)

    pipe.stream.close()
    with os.fdopen(pipe.read, "rb", closefd=False) as file:
        assert file.read() == b"\r 1%\r\x1b[Kone\n\r 2%\r\x1b[Ktwo\n\r    \rthree\nfour\n"


def test_what_nobody_reads_is_dropped_and_counted_and_the_last_words_are_not(pipe: Pipe) -> None:
    speaker = OutputThread()
    speaker.start(pipe.stream)
    pipe.fill()
    for _ in range(20_000):
        speaker.say(LINE, detail=True)
    speaker.say("the end")
    speaker.stop(0)
    with os.fdopen(os.dup(pipe.read), encoding="utf-8") as file:
        heard = file.read(1)
        while not heard.endswith("the end\n"):
            heard += file.readline()

    lines = heard.lstrip(".").splitlines()
    dropped = 20_000 - lines.count(LINE)
    assert 14_000 < dropped < 20_000
    assert lines[-2:] == [f"… {dropped:,} lines were dropped here: nobody read them in time.", "the end"]


def test_the_end_does_not_wait_for_who_does_not_read(pipe: Pipe) -> None:
    speaker = OutputThread()
    speaker.start(pipe.stream)
    pipe.fill()
    speaker.say(LINE)

    speaker.stop(0.05)

    assert not speaker.is_on


def test_who_is_gone_is_spoken_to_without_trouble(pipe: Pipe) -> None:
    speaker = OutputThread()
    speaker.start(pipe.stream)
    os.close(pipe.read)
    for _ in range(1_000):
        speaker.say(LINE)

    speaker.stop(60)


def test_a_picture_is_not_kept_for_who_does_not_read(pipe: Pipe) -> None:
    speaker = OutputThread()
    speaker.start(pipe.stream)
    pipe.fill()
    drawing = speaker.drawing()
    for _ in range(10_000):
        drawing.write(f"\r{LINE}")
    speaker.say("the end")
    speaker.stop(0)
    with os.fdopen(os.dup(pipe.read), encoding="utf-8", newline="") as file:
        heard = ""
        while not heard.endswith("the end\n"):
            heard += file.readline()

    assert 10 < heard.count("\r") < 100
    assert drawing.fileno() == pipe.stream.fileno()


def test_a_stream_that_makes_no_file_is_not_spoken_to(capsys: pytest.CaptureFixture[str]) -> None:
    import sys  # noqa: PLC0415 — as it is while it is captured

    speaker = OutputThread()
    speaker.start(sys.stderr)
    speaker.stop(0)

    assert (speaker.is_on, capsys.readouterr().err) == (False, "")


def test_last_words_are_said_only_if_that_takes_no_waiting(pipe: Pipe) -> None:
    say_if_written(pipe.stream, "heard")
    pipe.fill()
    say_if_written(pipe.stream, "unheard")
    say_if_written(None, "unheard")

    heard = os.read(pipe.read, 1 << 20).decode()
    assert heard.startswith("heard\n.")
    assert "unheard" not in heard
