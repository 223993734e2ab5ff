"""Add to the message of a stop the one command to type next."""

import re
from collections.abc import Mapping
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

_AGAIN: Final = re.compile(r"\b(?P<again>[Rr]un again(?: after that)?)(?: to resume)?(?P<when>[^.]*)\.$")
"""The advice at the end of a message: to run again, as what, and when."""

_RESUMED: Final = re.compile(r" (?:Then run|Run) again to resume[^.]*\.$")
_DATE: Final = re.compile(r"--until \d{4}-")


def add_next_step(error: BaseException | None, words: Mapping[str, object], *, has_started: bool) -> None:
    """End the message of *error*, which ended a run with the flags *words*, with the one command to type next.

    *has_started* is whether any row has an outcome. A message after which nothing has to be typed stays as it is. A
    dry run has nothing to resume.
    """
    if not isinstance(error, (*_STOPS, ChangedError)):
        return
    message = str(error)
    if words.get("sandbox") is True:
        error.args = (_RESUMED.sub(" A dry run is not resumed.", message),)
    elif has_started or isinstance(error, (OutageError, TimeUpError, SignalledError)):
        error.args = (_with_command(message, _purpose(error, words, has_started=has_started), same_command(words)),)
    # Else the error says what is wrong, and nothing is lost.


def say_that_it_finished(error: SignalledError) -> None:
    """Take the advice to resume out of *error*, a signal that came when the run had finished."""
    error.args = (_RESUMED.sub(" The run had finished before.", str(error)),)


def _purpose(error: UploaderError, words: Mapping[str, object], *, has_started: bool) -> str:
    if isinstance(error, ChangedError):
        return " to send the file as it is now"
    if words.get("limit") is not None:
        return " to start over (a run with --limit is not resumed)"
    return " to resume" if has_started else ""


def _with_command(message: str, purpose: str, typed: str) -> str:
    """Return *message* that ends with *typed*, without a full stop, which would be copied with it."""
    found = _AGAIN.search(message)
    if found is None:
        message, advice = f"{message} ", f"Run again{purpose}"
    else:
        when = "" if found["when"].startswith(" with the file") else found["when"]
        message, advice = message[: found.start()], f"{found['again']}{purpose}{when}"
    secret = (
        f" (replace {WITHHELD} by what you gave with that --set: it may hold a secret)" if WITHHELD in typed else ""
    )
    return f"{message}{advice}: {typed}{secret}"


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
