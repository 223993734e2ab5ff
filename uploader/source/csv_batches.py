"""Read a CSV in batches: as tables that are proven, and row by row where none is."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from uploader.batch import Batch
from uploader.errors import UploaderError
from uploader.model import Damaged, Record
from uploader.source.byte_stream import ByteStream
from uploader.source.csv_records import CsvDialect, CsvParser, CsvPlace, misfit
from uploader.source.csv_tables import LINE_END, CsvTable, CsvTables, whole_records
from uploader.source.one_thread import pl
from uploader.source.reader import Batches, PassEnd, Way
from uploader.source.record_batches import MOST_ROWS, batch_by_rows
from uploader.source.text_rows import TextRows
from uploader.source.unread_text import UnreadText


def csv_batches(stream: ByteStream, dialect: CsvDialect, columns: tuple[str, ...], size: int) -> Batches:
    """Yield the records below the header, those that `csv_records` yields, in batches of about *size* bytes.

    Raises what that raises, after the records before it.
    """
    return (yield from _CsvBatches(stream, dialect, columns).batches(size))


class _CsvBatches:
    """What of a CSV is in no batch yet, and the place where that begins."""

    def __init__(self, stream: ByteStream, dialect: CsvDialect, columns: tuple[str, ...]) -> None:
        self._stream = stream
        self._dialect = dialect
        self._columns = columns
        self._unread = UnreadText(stream, dialect.encoding)
        self._tables = CsvTables(dialect.delimiter, columns)
        self._place = CsvPlace()
        self._ways: Counter[Way] = Counter()

    def batches(self, size: int) -> Batches:
        """Yield all batches, from blocks of *size* bytes."""
        self._read_header()
        find = whole_records(MOST_ROWS)
        end: PassEnd | None = None
        while end is None and not self._unread.is_all_read():
            block = self._unread.cut(size, find)
            table = self._tables.split(block) if block else None
            if table is None:
                self._unread.put_back_block(block)
                records, end, error = self._read_rows(len(block) or size)
                if records:
                    yield batch_by_rows(records, "text", self._columns)
                if error is not None:
                    raise error
            else:
                if table.count:
                    yield self._batch(table)
                self._pass_over(table)
        suspicion = None if end is None else end.suspicion
        return PassEnd(self._place.blank, suspicion, self._ways)

    def _read_header(self) -> None:
        texts = self._unread.texts(0)
        parser = CsvParser(self._stream, self._dialect, texts)
        parser.refuse_other_header(self._columns)
        self._place = parser.place
        self._unread.put_back(parser.unread(), texts)

    def _read_rows(self, size: int) -> tuple[list[Record], PassEnd | None, UploaderError | None]:
        """Read the next *size* bytes row by row, and the rest of a record that has no end in them.

        Return the records, and what ended the file: a value, or an error.
        """
        texts = self._unread.texts(size)
        parser = CsvParser(self._stream, self._dialect, texts, self._place)
        records, found = parser.records(self._columns), list[Record]()
        end: PassEnd | None = None
        error: UploaderError | None = None
        try:
            while not (found and parser.is_between_texts):
                found.append(next(records))
        except StopIteration as stop:
            end = stop.value
        except UploaderError as raised:
            error = raised
        self._place = parser.place
        self._unread.put_back(parser.unread(), texts)
        self._ways["row"] += len(found)
        return found, end, error

    def _batch(self, table: CsvTable) -> Batch:
        first, line = self._place.records + 1, self._place.lines + 1
        numbers = (
            pl.int_range(first, first + table.count, eager=True)
            if table.records is None
            else pl.Series([first + at for at in table.records], dtype=pl.Int64)
        ).alias("number")
        width = len(self._columns)
        others: list[Record] = [
            Damaged(first + one.record, misfit(one.text, one.fields, width), line + one.line, one.text)
            for one in table.misfits
        ]
        rows = TextRows(table.table, numbers, partial(_lines, table, line))
        return Batch(first, table.count, table.table, "text", numbers, others, rows)

    def _pass_over(self, table: CsvTable) -> None:
        before = self._place
        self._place = CsvPlace(
            lines=before.lines + table.lines,
            blank=before.blank + table.blank,
            records=before.records + table.count,
            last=before.lines + table.last + 1 if table.count else before.last,
        )
        self._ways[table.way] += table.table.height
        if table.misfits:
            self._ways["row"] += len(table.misfits)


def _lines(table: CsvTable, first: int) -> Sequence[int]:
    """Return the line on which each row of *table* begins, where *first* is the first line of the block."""
    if table.begins is not None:
        return [first + line for line in table.begins]
    height = table.table.height
    if table.lines == height:
        return range(first, first + height)
    more = pl.sum_horizontal(pl.all().str.count_matches(LINE_END))
    ends = table.table.select((more.cast(pl.Int64) + 1).cum_sum()).to_series()
    return [first, *(first + end for end in ends.head(height - 1))]
