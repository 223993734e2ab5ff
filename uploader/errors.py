"""Define the errors that end a run, each with its exit status in the contract."""

import os
import traceback
from pathlib import Path


class UploaderError(Exception):
    """An error that ends a run: one line for the user, or one for each problem, and an exit status.

    The message names the thing, what was found and the next step; it has no token and no personal data.
    """

    exit_status: int = 1


class ConfigError(UploaderError):
    """An option, a key of the configuration or an environment variable is wrong."""

    exit_status = 2


class SummaryInTheWayError(ConfigError):
    """The summary would replace a file that the run reads or keeps; no summary is written."""


class InputError(UploaderError):
    """The source is unreadable or wrong as a whole; nothing was sent."""

    exit_status = 4


class UnsuitedError(InputError):
    """A source and the mapping do not suit each other in several ways, one line for each; nothing was sent."""


class JoinedError(InputError):
    """Values would join people; nothing was sent. *shown* is the message with these values, for who asked to see them.

    The message itself is kept in reports, and has none of them.
    """

    def __init__(self, message: str, shown: str) -> None:
        """Keep both messages."""
        super().__init__(message)
        self.shown = shown


class RefusedError(UploaderError):
    """The service refuses every request of this run: token, service id, certificate, redirect or URL."""

    exit_status = 5


class OutageError(UploaderError):
    """The service was unreachable, or throttled the run, for longer than `retry.outage_timeout`."""

    exit_status = 6


class StorageError(UploaderError):
    """A local file (retry file, summary, state) can't be written."""

    exit_status = 7


class LockedError(UploaderError):
    """Another run holds the lock that this one needs; nothing was done."""

    exit_status = 8


class ChangedError(UploaderError):
    """The source changed while it was being read."""

    exit_status = 9


class TimeUpError(UploaderError):
    """A time limit given to the run was reached."""

    exit_status = 10


class SignalledError(UploaderError):
    """A signal stopped the run; the exit status is 128 plus the number of the signal."""

    def __init__(self, message: str, number: int) -> None:
        """Keep the *number* of the signal."""
        super().__init__(message)
        self.number = number
        self.exit_status = 128 + number


def refused_by_machine(error: OSError | MemoryError) -> StorageError:
    """Return the error of the run for an *error* of this machine that no other part has handled."""
    if isinstance(error, MemoryError):
        return StorageError("This machine has no memory left for it. Free some, or allow it more, then run again.")
    try:
        os.getcwd()  # noqa: PTH109 — this only tests whether it exists
    except OSError:
        return StorageError("The working directory is gone. Change to another one, then run again.")
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    why = error.strerror or type(error).__name__
    return StorageError(
        f"{where}this machine refused something: {why}. Make room or allow access there, then run again."
    )


def place_of_bug(error: BaseException) -> str:
    """Return what was raised and where, `ValueError at plan.py:12`, without its text: that may hold values of rows."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    return f"{type(error).__name__} at {where}"
