"""Split the bytes of a text file into lines, decoded strictly, a block at a time."""

import codecs
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from typing import TypeAlias

from uploader.errors import InputError
from uploader.source.encoding import BOM
from uploader.source.stream import ByteStream, Place

LIMIT = 16 * 1024 * 1024
"""How many characters a line or a record may have: what is longer was cut or quoted wrongly."""

Split: TypeAlias = Callable[[str], tuple[list[str], str]]
"""Takes a text apart into its whole lines, and the rest that the next block goes on with."""

_KOREAN = "cp949"


def at_any_end(text: str) -> tuple[list[str], str]:
    r"""Split after \n, \r and \r\n, and keep these line ends."""
    lines = StringIO(text, newline="").readlines()
    # A \r at the very end may be half of a \r\n.
    rest = lines.pop() if lines and not lines[-1].endswith("\n") else ""
    return lines, rest


def at_newlines(text: str) -> tuple[list[str], str]:
    r"""Split at \n, and drop it."""
    *lines, rest = text.split("\n")
    return lines, rest


def too_long(label: str, what: str) -> InputError:
    """Return what is said of *what* (a line, a record) that is longer than LIMIT."""
    return InputError(f"{label}: {what} is longer than 16 MiB. Look there for a missing line end or closing quote.")


class Lines:
    """The lines of a byte stream, in lists of as many as a block holds.

    *nul_seen* is whether a NUL character was read so far.
    """

    def __init__(self, stream: ByteStream, encoding: str, split: Split) -> None:
        """Read *stream* as text in *encoding*, its lines taken apart by *split*."""
        self.nul_seen = False
        self._stream = stream
        self._encoding = encoding
        self._split = split
        self._count = 0
        self._rest = ""

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the lines in their order; a list may be empty, and the last line may lack its end.

        Raises InputError where the bytes can't be decoded, or where a line grows past LIMIT.
        """
        for text in self._texts():
            self.nul_seen = self.nul_seen or "\0" in text
            lines, self._rest = self._split(self._rest + text)
            self._count += len(lines)
            if len(self._rest) > LIMIT:
                raise too_long(self._stream.place.label, f"line {self._count + 1}")
            yield lines
        if self._rest:
            yield [self._rest]

    def _texts(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._encoding)("strict")
        at_start = True
        for block in self._stream.blocks():
            text = self._decoded(decoder, block)
            yield text.removeprefix(BOM) if at_start else text
            at_start = at_start and not text
        yield self._decoded(decoder, b"", final=True)

    def _decoded(self, decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> str:
        before = decoder.getstate()
        try:
            return decoder.decode(block, final)
        except UnicodeError:
            decoder.setstate(before)
            # The mark in place of what can't be decoded settles whether a \r before it ends a line.
            lines, _ = self._split(self._rest + _decodable(decoder, block) + "\ufffd")
            # The error's own words hold bytes of the file.
            raise self._undecodable(self._count + len(lines) + 1) from None

    def _undecodable(self, line: int) -> InputError:
        place = self._stream.place
        found = f"{place.label}: line {line} is not {self._encoding}"
        if self._encoding != _KOREAN and _reads_whole(place, _KOREAN):
            return InputError(f"{found}, but the whole file reads as {_KOREAN}. Set source.encoding: {_KOREAN}.")
        return InputError(f"{found}. Set source.encoding to the encoding that the file was saved in.")


def _decodable(decoder: codecs.IncrementalDecoder, block: bytes) -> str:
    """Return the text of *block* before what can't be decoded."""
    text: list[str] = []
    with suppress(UnicodeError):
        text.extend(decoder.decode(block[at : at + 1]) for at in range(len(block)))
    return "".join(text)


def _reads_whole(place: Place, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with ByteStream(place) as stream:
        try:
            for block in stream.blocks():
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return False
    return True
