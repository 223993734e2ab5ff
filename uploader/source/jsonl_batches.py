"""Read JSONL in batches: the lines that have a shape as tables, the others row by row."""

from collections import Counter

from uploader.batch import Batch
from uploader.model import Damaged, Reason, Record, Row
from uploader.source.byte_stream import ByteStream
from uploader.source.jsonl_records import JsonlPlace, json_fields, jsonl_records_after, refuse_without_objects
from uploader.source.jsonl_shapes import JsonlShapes
from uploader.source.lines import LIMIT
from uploader.source.one_thread import pl
from uploader.source.reader import Batches, PassEnd, Way
from uploader.source.record_batches import MOST_ROWS, batches_by_rows
from uploader.source.unread_text import UnreadText, whole_lines


def jsonl_batches(stream: ByteStream, encoding: str, size: int) -> Batches:
    """Yield the records of *stream*, those that `jsonl_records` yields, in batches of about *size* bytes.

    Raises what that raises, after the records before it.
    """
    return (yield from _JsonlBatches(stream, encoding).batches(size))


class _JsonlBatches:
    """What of a JSONL file is in no batch yet, and the place where that begins."""

    def __init__(self, stream: ByteStream, encoding: str) -> None:
        self._location = stream.location
        self._encoding = encoding
        self._unread = UnreadText(stream, encoding)
        self._shapes = JsonlShapes()
        self._place = JsonlPlace()
        self._ways: Counter[Way] = Counter()

    def batches(self, size: int) -> Batches:
        """Yield all batches, from blocks of *size* bytes, or of one line that is longer."""
        while not self._unread.is_all_read():
            block = self._unread.cut(size, whole_lines(MOST_ROWS), LIMIT)
            lines = _lines_of(block)
            if lines is None:
                # The last line, one that is too long, or bytes that are no text: all of them end the file.
                self._unread.put_back_block(block)
                return (yield from self._read_rows(len(block) or size))
            batch = self._batch(lines)
            if batch.count:
                yield batch
        place = self._place
        refuse_without_objects(self._location.label, records=place.lines - place.blank, damaged=place.damaged)
        return PassEnd(place.blank, None, self._ways)

    def _read_rows(self, size: int) -> Batches:
        texts = self._unread.texts(size)
        records = jsonl_records_after(self._place, self._location, self._encoding, texts, is_retry=False)
        end = yield from batches_by_rows(records, "json")
        return PassEnd(end.blank_lines, None, self._ways + Counter(end.ways))

    def _batch(self, lines: "pl.Series") -> Batch:
        """Return the batch of *lines*, and step over them."""
        before = self._place
        shaped = self._shapes.split(lines)
        others, blank = self._read_lines(lines, shaped.left.to_list())
        first = before.lines - before.blank + 1
        numbers = shaped.places + first
        if blank:
            passed = pl.int_range(lines.len(), eager=True).is_in(blank).cum_sum()
            numbers -= passed.gather(shaped.places).cast(pl.Int64)
        self._place = JsonlPlace(
            before.lines + lines.len(),
            before.blank + len(blank),
            before.damaged + sum(isinstance(record, Damaged) for record in others),
        )
        self._ways["shape"] += numbers.len()
        self._ways["row"] += len(others)
        rows = _JsonRows(lines, shaped.places, numbers, before.lines + 1)
        count = lines.len() - len(blank)
        return Batch(first, count, shaped.table, "json", numbers.alias("number"), others, rows)

    def _read_lines(self, lines: "pl.Series", places: list[int]) -> tuple[list[Record], list[int]]:
        """Return the records on the lines at *places*, and which of these are blank."""
        others, blank = list[Record](), list[int]()
        line, number = self._place.lines + 1, self._place.lines - self._place.blank + 1
        for at, text in zip(places, lines.gather(places), strict=True):
            if not text or text.isspace():
                blank.append(at)
                continue
            fields = json_fields(text)
            here = number + at - len(blank)
            others.append(
                Damaged(here, fields, line + at, text)
                if isinstance(fields, Reason)
                else Row(here, fields, line + at, text)
            )
        return others, blank


class _JsonRows:
    """The rows on those of *lines* that have a shape, each made when it is asked for."""

    def __init__(self, lines: "pl.Series", places: "pl.Series", numbers: "pl.Series", first: int) -> None:
        """Make rows of the lines at *places*, which have these *numbers*; *first* is the first line of all."""
        self._lines = lines
        self._places = places
        self._numbers = numbers
        self._first = first

    def __call__(self, at: int) -> Row:
        """Return the row at the place *at* of the table."""
        place = self._places[at]
        text = self._lines[place]
        fields = json_fields(text)
        if isinstance(fields, Reason):
            raise RuntimeError(f"a shape took a line that is damaged: {fields.code}")  # noqa: TRY004 it is no argument
        return Row(self._numbers[at], fields, self._first + place, text)


def _lines_of(block: bytes) -> "pl.Series | None":
    """Return the lines of *block*, without their ends; None where there are none, or bytes that are no text."""
    try:
        text = block.decode()
    except UnicodeDecodeError:
        return None
    if not text:
        return None
    lines = pl.Series([text[:-1]]).str.split("\n").explode()
    return lines.str.strip_suffix("\r") if "\r" in text else lines
