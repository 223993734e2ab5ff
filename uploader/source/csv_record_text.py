"""Keep the lines of the CSV record that is being read, so that its text can be shown as written."""

from collections.abc import Iterable, Iterator

from uploader.source.lines import LIMIT, Lines, at_any_end, too_long

SHORT = 16 * 1024
"""A text of this many characters takes at most 64 KiB in UTF-8."""


_FOLLOWING = 3


class CsvLines:
    """The lines of a CSV for `csv.reader`, each kept until its record is finished.

    The first *skipped* lines are blank, whatever the file has there. *start* is how many lines come before the record
    that is being read; the caller keeps it current. *ended* is whether a line past the last was asked for, *nul_seen*
    whether a NUL character was read so far. *long_seen* is whether a line of the latest list has more than SHORT
    characters.
    """

    def __init__(self, label: str, texts: Iterable[str], before: int = 0, skipped: int = 0) -> None:
        """Read *texts*, which are those of the file that messages call *label* after its first *before* lines."""
        self._skipped = skipped
        self.start = before
        self.ended = False
        self.nul_seen = False
        self.long_seen = False
        self._label = label
        self._lines = Lines(label, texts, at_any_end, before)
        self._held: list[str] = []
        self._held_from = before
        self._held_size = 0

    def lists(self) -> Iterator[list[str]]:
        """Yield lists of lines, in order; raises UndecodedError, and InputError where a record grows past LIMIT."""
        for lines in self._lines:
            self._forget_finished_records()
            if self._held_size > LIMIT:
                raise too_long(self._label, f"the record that begins on line {self.start + 1}")
            if self._skipped:
                blank = lines[: self._skipped]
                lines[: len(blank)] = ["\n"] * len(blank)
                self._skipped -= len(blank)
            self._held += lines
            sizes = list(map(len, lines))
            self._held_size += sum(sizes)
            self.long_seen = max(sizes, default=0) > SHORT
            self.nul_seen = self._lines.nul_seen
            yield lines
        self.ended = True

    def text(self, end: int) -> str:
        """Return the text of the record that is being read, up to line *end*, without its line end."""
        text = "".join(self._held[self.start - self._held_from : end - self._held_from])
        return text.removesuffix("\n").removesuffix("\r")

    def following(self, end: int) -> str:
        """Return the text of the next lines after line *end*, as far as they were read."""
        after = end - self._held_from
        return "".join(self._held[after : after + _FOLLOWING])

    def has_more(self, end: int) -> bool:
        """Return whether lines after line *end* were read already."""
        return len(self._held) > end - self._held_from

    def unread(self, end: int) -> str:
        """Return the text after line *end* that was read already."""
        return "".join(self._held[end - self._held_from :]) + self._lines.rest

    @property
    def cut_line(self) -> str:
        """The last line of the file, if that was read and has no line end, as all others have."""
        return "" if self._lines.last.endswith("\r") else self._lines.last

    def is_unended(self, end: int) -> bool:
        """Return whether line *end*, the last of the record that is being read, lacks its end."""
        return not self._held[end - 1 - self._held_from].endswith(("\n", "\r"))

    def _forget_finished_records(self) -> None:
        finished = self.start - self._held_from
        if finished:
            del self._held[:finished]
            # Few lines are left to sum, if any.
            self._held_size = sum(map(len, self._held))
            self._held_from = self.start
