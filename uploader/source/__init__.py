"""Turn a CSV, JSONL or Parquet file into records, lazily, nothing altered."""

from uploader.source.opening import Source, open_source, open_unknown
from uploader.source.packing import unpacked_name
from uploader.source.pipe import descriptor
from uploader.source.reading import Reading
from uploader.source.sniffing import Manner
from uploader.source.stream import Fingerprint
from uploader.source.trail import Trail

__all__ = [
    "Fingerprint",
    "Manner",
    "Reading",
    "Source",
    "Trail",
    "descriptor",
    "open_source",
    "open_unknown",
    "unpacked_name",
]
