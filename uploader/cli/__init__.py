"""Turn words into a run, and a run's end into an exit status; the only room that prints."""

from uploader.cli.entry_point import main

__all__ = ["main"]
