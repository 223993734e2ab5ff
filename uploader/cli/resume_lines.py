"""Word what a user types after a run that was stopped."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from uploader.cli.printed_commands import WITHHELD, CommandLine, run_again
from uploader.errors import (
    ChangedError,
    OutageError,
    RefusedError,
    SignalledError,
    StorageError,
    TimeUpError,
    UploaderError,
)
from uploader.run.time_limit import Deadline

_STOPS: Final = (RefusedError, OutageError, StorageError, TimeUpError, SignalledError)
"""The errors after which the same command resumes the run."""

_ADVICE: Final = re.compile(r" (?:Then run|Run) again to resume[^.]*\.$")
_DATE: Final = re.compile(r"--until \d{4}-")


def resume_lines(error: BaseException | None, words: Mapping[str, object], *, has_started: bool) -> Iterator[str]:
    """Yield the one command to type after a run with the flags *words* that *error* ended; nothing if there is none.

    *has_started* is whether any row has an outcome. A dry run has nothing to resume.
    """
    if words.get("sandbox") is True or not isinstance(error, (*_STOPS, ChangedError)):
        return
    if not has_started and not isinstance(error, (TimeUpError, SignalledError)):
        # The error says what is wrong, and nothing is lost.
        return
    if isinstance(error, ChangedError):
        yield "To send the file as it is now, type:"
    elif words.get("limit") is not None or not has_started:
        yield "To run it again, type:"
    else:
        yield "To resume, type:"
    typed = same_command(words)
    yield f"  {typed}"
    if WITHHELD in typed:
        yield f"(Replace {WITHHELD} by what you gave with that --set: it may hold a secret.)"


def same_command(words: Mapping[str, object]) -> str:
    """Return the `run` or `retry` with the flags *words*, but for those that would start it over or end it at once."""
    deadline = words.get("until")
    kept = {**words, "fresh": False}
    if isinstance(deadline, Deadline) and _DATE.match(deadline.flag) and deadline.left() <= 0:
        kept["until"] = None
    # `by` takes the flags of `run` only where it sees that it is one.
    given = CommandLine.by({"accept": False, **kept})
    flags = [*given.others]
    if words.get("limit") is not None:
        flags += ["--limit", str(words["limit"])]
    if words.get("accept") is True:
        flags.append("--accept")
    return run_again(replace(given, others=()), *flags)


def correct_advice(error: BaseException | None, words: Mapping[str, object]) -> None:
    """Take the advice to resume out of *error* where the run with the flags *words* can't be resumed."""
    if not isinstance(error, UploaderError):
        return
    if words.get("sandbox") is True:
        error.args = (_ADVICE.sub(" A dry run is not resumed.", str(error)),)
    elif words.get("limit") is not None:
        error.args = (_ADVICE.sub(" Run again to start over: a run with --limit is not resumed.", str(error)),)
