"""Report what a sandbox received and replied."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from uploader.sandbox.calls import USER_PROFILE


class WindowCount(NamedTuple):
    """One window: its start (seconds since 1970), and how many requests it received, accepted and refused as over.

    Each *call* has windows of its own.
    """

    start: float
    received: int
    accepted: int
    over: int
    call: str = USER_PROFILE.name


@dataclass(frozen=True, slots=True)
class Report:
    """What a sandbox received and replied: counts and names, never a value of a request.

    *not_stored* counts the values that were not stored though the reply was 20000, by "property: why". *codes* counts
    the replies: by the API's code where HTTP is 200, else by "HTTP status", and "no reply". *strays* are requests to
    another path or with another method; they are counted nowhere else.
    """

    requests: int
    applied: int
    profiles: int
    windows: tuple[WindowCount, ...]
    over_limit: int
    not_stored: Mapping[str, int]
    codes: Mapping[str, int]
    strays: int = 0

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        return [
            f"requests   {self.requests:,} received, {self.applied:,} applied, {self.over_limit:,} over the limit",
            f"profiles   {self.profiles:,}",
            *(f"reply      {self.codes[code]:,} x {code}" for code in sorted(self.codes)),
            *(
                f"window     {_time(window.start)}: {window.received:,} received, {window.accepted:,} applied, "
                f"{window.over:,} over the limit{_of(window.call)}"
                for window in self.windows
            ),
            *(f"NOT STORED {self.not_stored[what]:,} x {what}" for what in sorted(self.not_stored)),
            *([f"wrong path {self.strays:,} to another path or with another method"] if self.strays else []),
        ]


def reply_name(status: int, code: str) -> str:
    """Return the name under which `Report.codes` counts a reply."""
    if status == 0:
        return "no reply"
    return code if status == 200 and code else f"HTTP {status}"  # noqa: PLR2004 - HTTP's own number for OK


def _of(call: str) -> str:
    return "" if call == USER_PROFILE.name else f" of {call}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
