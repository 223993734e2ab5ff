"""Decode a text file strictly and split it into lines, a block at a time."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import TypeAlias

from uploader.errors import InputError
from uploader.source.byte_stream import ByteStream, SourceLocation
from uploader.source.encoding import BOM, MARKED

LIMIT = 16 * 1024 * 1024
"""How many characters a line or a record may have: a longer one lacks a line end or a closing quote."""

Split: TypeAlias = Callable[[str], tuple[list[str], str]]
"""Splits a text into its whole lines, and the rest, which continues in the next block."""

REPLACEMENT = "\ufffd"
"""Stands for bytes that can't be decoded, until the error is raised."""

KOREAN = "cp949"
"""The encoding of old Korean programs."""


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
    """Return the error for *what* (a line, a record), which is longer than LIMIT."""
    return InputError(f"{label}: {what} is longer than 16 MiB. Look there for a missing line end or closing quote.")


def _refuse_ctrl_z(label: str, text: str) -> None:
    if text.endswith("\x1a"):
        raise InputError(
            f"{label} ends with a Ctrl-Z (character 1A), which programs of DOS put at the end of a file. "
            "Remove it, for example with: tr -d '\\032'"
        )


class BadBytesError(Exception):
    """Bytes that are no text in their encoding."""


class UndecodedError(Exception):
    """Bytes on *line* of the file that are no text in its encoding."""

    def __init__(self, line: int) -> None:
        """Keep the *line* only: no value of a row may reach a message."""
        super().__init__(f"line {line}")
        self.line = line


def undecodable(location: SourceLocation, encoding: str, where: str) -> InputError:
    """Return the error for bytes at *where* that are not *encoding*; may read the whole file again."""
    found = f"{location.label}: {where} is not {encoding}"
    if encoding != KOREAN and reads_whole(location, KOREAN):
        return InputError(f"{found}, but the whole file reads as {KOREAN}. Set source.encoding: {KOREAN}.")
    return InputError(f"{found}. Set source.encoding to the encoding that the file was saved in.")


class DecodedText:
    """The text of blocks of bytes, decoded strictly as the blocks come.

    *at_start* is whether the first block is the first of its file, where a byte order mark is no part of the text.
    """

    def __init__(self, blocks: Iterable[bytes], encoding: str, *, at_start: bool = True) -> None:
        """Decode *blocks*, which are in *encoding*."""
        self._blocks = blocks
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        # These decoders drop the mark themselves; a second one is a character of the text.
        self._at_start = at_start and encoding not in MARKED
        self._bad = b""

    def __iter__(self) -> Iterator[str]:
        """Yield the text of each block, none of them empty.

        The text before bad bytes has REPLACEMENT at its end; BadBytesError is raised after it.
        """
        for block in self._blocks:
            yield from self._decoded(block, final=False)
        yield from self._decoded(b"", final=True)

    @property
    def is_broken(self) -> bool:
        """Whether bad bytes were met."""
        return bool(self._bad)

    @property
    def undecoded(self) -> bytes:
        """The bytes after the text: of a character whose other bytes are in the next block, or the bad ones."""
        return self._bad or self._decoder.getstate()[0]

    def _decoded(self, block: bytes, *, final: bool) -> Iterator[str]:
        before = self._decoder.getstate()
        try:
            text = self._decoder.decode(block, final)
        except UnicodeError:
            self._decoder.setstate(before)
            text, self._bad = _decodable(self._decoder, block)
            # With a character in place of the bad bytes, a \r before them is known to end a line.
            yield text + REPLACEMENT
            # The decoder's message quotes bytes of the file.
            raise BadBytesError from None
        if text:
            yield text.removeprefix(BOM) if self._at_start else text
            self._at_start = False


class Lines:
    """The lines of a text, in one list for each block.

    *nul_seen* is whether a NUL character was read so far, *unended* whether the last line was read and has no line end;
    *last* is that line. *rest* is what was read of a line whose end was not.
    """

    def __init__(self, label: str, texts: Iterable[str], split: Split, before: int = 0) -> None:
        """Split *texts*, which are those of the file that messages call *label* after its first *before* lines."""
        self.nul_seen = False
        self.unended = False
        self.last = ""
        self._label = label
        self._texts = texts
        self._split = split
        self._count = before
        self._rest: list[str] = []
        self._rest_size = 0

    def __iter__(self) -> Iterator[list[str]]:
        """Yield lists of lines, in order; a list may be empty, and the last line may have no line end.

        Raises UndecodedError at bytes that can't be decoded, after the lines before them, and InputError where a line
        grows past LIMIT, and where the file ends with a Ctrl-Z.
        """
        try:
            for text in self._texts:
                self.nul_seen = self.nul_seen or "\0" in text
                yield self._lines(text)
        except BadBytesError:
            raise UndecodedError(self._count + 1) from None
        if self._rest_size:
            self.unended = True
            self.last = self.rest
            self._rest, self._rest_size = [], 0
            _refuse_ctrl_z(self._label, self.last)
            yield [self.last]

    @property
    def rest(self) -> str:
        """What was read of a line whose end was not."""
        return "".join(self._rest)

    def _lines(self, text: str) -> list[str]:
        """Return the lines that are complete with *text*, and keep the rest."""
        lines: list[str] = []
        # A long line is joined once, when it ends, not again for each block.
        may_end = "\n" in text or "\r" in text or (self._rest and self._rest[-1].endswith("\r"))
        self._rest.append(text)
        self._rest_size += len(text)
        if may_end:
            lines, rest = self._split("".join(self._rest))
            self._rest = [rest] if rest else []
            self._rest_size = len(rest)
        if lines and len(lines[0]) > LIMIT:
            raise self._too_long()
        self._count += len(lines)
        if self._rest_size > LIMIT:
            raise self._too_long()
        return lines

    def _too_long(self) -> InputError:
        return too_long(self._label, f"line {self._count + 1}")


def _decodable(decoder: codecs.IncrementalDecoder, block: bytes) -> tuple[str, bytes]:
    """Return the text of *block* before what can't be decoded, and the bytes from there on."""
    text: list[str] = []
    for at in range(len(block)):
        held = decoder.getstate()[0]
        try:
            text.append(decoder.decode(block[at : at + 1]))
        except UnicodeError:
            return "".join(text), held + block[at:]
    return "".join(text), decoder.getstate()[0]


def reads_whole(location: SourceLocation, encoding: str) -> bool:
    """Return whether the whole file decodes as *encoding*; reads up to its end."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with ByteStream(location) as stream:
        try:
            for block in stream.blocks():
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return False
    return True
