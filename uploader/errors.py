"""Name what ends a run, each with the exit status that the contract gives it."""

import os


class UploaderError(Exception):
    """A run's trouble: one line for the user (of a configuration one for each problem), and an exit status.

    The message names the thing, what was found and the next step; it holds no token and no personal data.
    """

    exit_status: int = 1


class ConfigError(UploaderError):
    """A flag, a key of the configuration or a variable of the environment is wrong."""

    exit_status = 2


class InputError(UploaderError):
    """The source is unreadable or wrong as a whole; nothing was sent."""

    exit_status = 4


class RefusedError(UploaderError):
    """The service refuses every request of this run: token, service id, certificate, redirect or URL."""

    exit_status = 5


class OutageError(UploaderError):
    """The service was unreachable, or limited us, for longer than `retry.outage_timeout`."""

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
    """The run was told to stop by a signal; its exit status is 128 and the signal's number."""

    def __init__(self, message: str, number: int) -> None:
        """Keep the signal's *number*."""
        super().__init__(message)
        self.number = number
        self.exit_status = 128 + number


def refused_by_machine(error: OSError | MemoryError) -> StorageError:
    """Return the run's trouble for an *error* of this machine that no part of the run has put into its own words."""
    if isinstance(error, MemoryError):
        return StorageError("This machine has no memory left for it. Free some, or allow it more, then run again.")
    try:
        os.getcwd()  # noqa: PTH109 — only whether there is one
    except OSError:
        return StorageError("The working directory is gone. Change to another one, then run again.")
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    why = error.strerror or type(error).__name__
    return StorageError(f"{where}this machine refused something: {why}. Make room or give way there, then run again.")
