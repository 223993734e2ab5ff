"""Turn a command line into a run, and its end into an exit status; only this package prints."""

from uploader.cli.entry_point import main

__all__ = ["main"]
