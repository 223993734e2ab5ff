"""Hold what of a text file is not yet split into records, as UTF-8, and cut blocks from it."""

import codecs
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from uploader.errors import UploaderError
from uploader.source.byte_stream import ByteStream
from uploader.source.lines import REPLACEMENT, BadBytesError, DecodedText

Cut: TypeAlias = Callable[[bytes], int]
"""Returns how many of the first bytes of a text are whole records; 0: none is whole."""

_UTF_8: Final = frozenset({"utf-8", "utf-8-sig"})


class UnreadText:
    """The text of a stream that is in no record yet, in UTF-8 whatever the encoding of the file.

    Bytes of a file in UTF-8 are not checked: `texts` does that. What ends the stream early, bad bytes or an error, is
    raised by `texts`, after all text before it.
    """

    def __init__(self, stream: ByteStream, encoding: str) -> None:
        """Hold the text of *stream*, which is in *encoding*."""
        if encoding in _UTF_8:
            self._more = _without_mark(stream.blocks())
        else:
            self._more = (text.encode() for text in DecodedText(stream.blocks(), encoding))
        self._held = b""
        self._has_ended = False
        self._failed: UploaderError | BadBytesError | None = None

    def is_all_read(self) -> bool:
        """Return whether nothing follows, also no error."""
        while not self._held and not self._has_ended:
            self._held = self._next()
        return not self._held and self._failed is None

    def cut(self, size: int, find: Cut, most: int = 0) -> bytes:
        """Take the next block of whole records, found by *find* in the next *size* bytes; b"" where none is whole.

        Where none is whole, it looks at more bytes, up to *most*.
        """
        while True:
            self._fill(size)
            end = find(self._held[:size])
            if end or size >= most or size > len(self._held):
                break
            size = min(2 * size, most)
        block, self._held = self._held[:end], self._held[end:]
        return block

    def texts(self, first: int) -> DecodedText:
        """Return the texts from here on, the first of them of *first* bytes (0: as many as there are).

        Text that the caller does not use goes back by `put_back`.
        """
        return DecodedText(self._pieces(first), "utf-8", at_start=False)

    def put_back(self, text: str, texts: DecodedText) -> None:
        """Hold *text* again, the last that was read of *texts*."""
        if texts.is_broken:
            text = text.removesuffix(REPLACEMENT)
        self._held = text.encode() + texts.undecoded + self._held

    def put_back_block(self, block: bytes) -> None:
        """Hold *block* again, the last that was cut."""
        self._held = block + self._held

    def _fill(self, size: int) -> None:
        pieces = [self._held]
        count = len(self._held)
        while count < size and not self._has_ended:
            pieces.append(self._next())
            count += len(pieces[-1])
        if len(pieces) > 1:
            self._held = b"".join(pieces)

    def _next(self) -> bytes:
        """Return more bytes; none at the end, and where the stream fails."""
        try:
            piece = next(self._more, None)
        except (UploaderError, BadBytesError) as error:
            self._failed, piece = error, None
        self._has_ended = piece is None
        return piece or b""

    def _pieces(self, first: int) -> Iterator[bytes]:
        if first:
            piece, self._held = self._held[:first], self._held[first:]
            yield piece
        while not self.is_all_read():
            if not self._held and self._failed is not None:
                raise self._failed
            piece, self._held = self._held, b""
            yield piece


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield *blocks* without the byte order mark at their begin."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(codecs.BOM_UTF8):
            break
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from blocks


def whole_lines(most: int) -> Cut:
    """Return a function that cuts after the last line feed of a text, or after its line number *most*."""

    def find(text: bytes) -> int:
        end = text.rfind(b"\n") + 1
        lines = text.count(b"\n", 0, end)
        while lines > most:
            end = text.rfind(b"\n", 0, end * most // lines) + 1 or text.index(b"\n") + 1
            lines = text.count(b"\n", 0, end)
        return end

    return find
