"""Hold what the command line asks of one run."""

from dataclasses import dataclass
from pathlib import Path

from uploader.run.time_limit import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What is known of the sources of a command besides their names.

    *job* is the name of the job, over that of the configuration ("": none was given). *newest* are patterns of which
    the newest file is a source as well, *patterned* the sources that a pattern found. *added_retry_files* are the
    sources that the user did not name: retry files of earlier runs (`retry_last_failures`). *retries_of* is the job, or
    the SOURCE, whose pending retry files are all that is sent (`uploader retry`); "": the sources are named.
    """

    job: str = ""
    newest: tuple[str, ...] = ()
    patterned: tuple[str, ...] = ()
    added_retry_files: tuple[str, ...] = ()
    retries_of: str = ""


@dataclass(frozen=True, slots=True)
class Options(SourceOptions):
    """The flags of `run` and `check`; paths are relative to the working directory.

    It has no states.
    """

    sources: tuple[str, ...]
    config: Path
    overrides: tuple[str, ...] = ()
    limit: int | None = None
    summary: Path | None = None
    retry_file: Path | None = None
    sandbox: bool = False
    fresh: bool = False
    full: bool = False
    accept: bool = False
    deadline: Deadline | None = None
