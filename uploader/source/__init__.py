"""Read a CSV, JSONL or Parquet file as a stream of records, with no value altered."""

from uploader.source.byte_stream import Fingerprint
from uploader.source.compression import unpacked_name
from uploader.source.csv_header import refuse_unmappable
from uploader.source.dialect_detection import FileDialect
from uploader.source.file_change_detection import ReadTrace
from uploader.source.open import Source, open_source, open_unknown
from uploader.source.reader import BY_POLARS, BatchReading, Reading, Suspicion, Way
from uploader.source.stdin_and_pipes import descriptor
from uploader.source.take_batches import Columnar

__all__ = [
    "BY_POLARS",
    "BatchReading",
    "Columnar",
    "FileDialect",
    "Fingerprint",
    "ReadTrace",
    "Reading",
    "Source",
    "Suspicion",
    "Way",
    "descriptor",
    "open_source",
    "open_unknown",
    "refuse_unmappable",
    "unpacked_name",
]
