"""Import polars so that it works in the thread that calls it."""

import os

# More threads read a little faster and take much more memory. polars looks at this once, when it is first used.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl

__all__ = ["pl"]
