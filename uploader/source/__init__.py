"""Turn a CSV, JSONL or Parquet file into records, lazily, nothing altered."""

from uploader.source.opening import Source, open_source
from uploader.source.packing import unpacked_name
from uploader.source.pipe import descriptor
from uploader.source.reading import Reading
from uploader.source.stream import Fingerprint

__all__ = ["Fingerprint", "Reading", "Source", "descriptor", "open_source", "unpacked_name"]
