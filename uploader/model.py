"""Define what flows through a run: frozen records, one for each stage of a row."""

import re
import sys
import unicodedata
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal, Self, TypeAlias, TypeVar, assert_never, dataclass_transform

from uploader.api import LIMIT_CODE, LIMIT_STATUS

T = TypeVar("T")

ROW_COLUMN = "_row"
RETRY_COLUMNS = (ROW_COLUMN, "_kind", "_code", "_reason", "_attempts")
"""The columns that a retry file adds to those of its source, in their order."""

RAW_COLUMN = "_raw"
"""The sixth column of a retry file: the text of a record that could not be split into fields."""

RUN_COLUMN = "_run"
"""The last column of a retry file: with `_row`, the first origin of a row, also after several retry files."""

OWN_COLUMNS = frozenset((*RETRY_COLUMNS, RAW_COLUMN, RUN_COLUMN))
"""All columns that a retry file adds; no mapping reads them."""

INVISIBLE_KINDS = frozenset({"Cc", "Cf"})
"""The kinds of characters that nobody sees in a name: zero-width spaces, directional marks, a byte order mark."""

_UNMAPPABLE = re.compile(r"(?P<name>.*)\0#(?P<position>[0-9]+)", re.DOTALL)


def unmappable(name: str, position: int) -> str:
    """Return the key of a field whose column, the one at *position*, has no *name*, or the name of another one.

    No header can hold its NUL, so that no mapping reads such a column by mistake.
    """
    return f"{name}\0#{position}"


def is_mappable(column: str) -> bool:
    """Whether *column*, a key of a row, is the name of one column only."""
    return "\0" not in column or _UNMAPPABLE.fullmatch(column) is None


def written_name(column: str) -> str:
    """Return the name of *column*, a key of a row, as it is written in the header."""
    found = None if is_mappable(column) else _UNMAPPABLE.fullmatch(column)
    return column if found is None else found["name"]


def spoken_name(column: str) -> str:
    """Return how *column*, a key of a row, is called where each must have a name: `memo (column 3)`."""
    found = None if is_mappable(column) else _UNMAPPABLE.fullmatch(column)
    return column if found is None else f"{found['name']} (column {found['position']})".lstrip()


Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""A JSON value."""

Person: TypeAlias = tuple[str, ...]
"""The identity values of one row, each as `field=value`: rows that share one of them are one person.

Rows can also be one person without a shared value. Then the last item is their person key (`coalesce.same_person`).
"""

PERSON_KEY_MARK = "~"
"""The first character of a person key, and of no identity value. Within a command, a person's rows share one key."""


LEAST_NORMAL = sys.float_info.min
"""A double closer to 0 holds fewer digits than others."""

WHOLE_DOUBLES = 2.0**53
"""A double closer to 0 than this keeps the whole part of a number exactly."""


class WrittenFloat(float):
    """A JSON number outside these two bounds, with the *digits* as they were written."""

    __slots__ = ("digits",)

    def __new__(cls, digits: str) -> Self:
        """Return the number written as *digits*."""
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    digits: str

    def __str__(self) -> str:
        """Return the number as it was written."""
        return self.digits

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # that of float returns a float
        """Return the arguments that make the number again."""
        return (self.digits,)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Make *kind* a record that is compared by its values and never changed.

    Only the type checker forbids a change. A dataclass that is frozen at run time takes four times as long to create,
    and each row needs about ten records.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a row came from first: the number of a *run*, and the *row* in the source of that run.

    Origins are totally ordered: the greater one is the newer row. The state folder numbers the runs, not a clock.
    """

    run: int
    row: int


_OLD_ID = re.compile(r"(\d{8}T\d{6})Z(?:-([0-9a-f]{6}))?", re.ASCII)
_BEFORE_ALL = 2**61


def number_of_old(run_id: str) -> int:
    """Return a negative number for a run of a version without run numbers, in the order of the IDs."""
    found = _OLD_ID.match(run_id)
    if found is None:
        return -_BEFORE_ALL
    try:
        began = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return -_BEFORE_ALL
    return (int(began.timestamp()) << 24) + int(found[2] or "0", 16) - _BEFORE_ALL


UNKNOWN_RUN = -(2**62)
"""The number of a run of which nothing is known; it is older than every other."""


@frozen
class RetryOf:
    """The origin in a row of a retry file: the text of `_run` ("" if missing), and the number in `_row`."""

    run: str
    row: int


@frozen
class Row:
    """One record of the source, split into unchanged fields.

    *number* counts records from 1, without the header and blank lines. *fields* holds each value in the type of the
    format: text in CSV, JSON values in JSONL, Python's types in Parquet. *line* is the physical line on which the
    record starts (0 if the format has no lines). *text* is the record as written, in JSONL only. *retry_of* is the
    origin of a row of a retry file.
    """

    number: int
    fields: Mapping[str, object]
    line: int = 0
    text: str = field(default="", repr=False)
    retry_of: RetryOf | None = None


@frozen
class Reason:
    """Why a row was not accepted: a stable *code* for programs, a *phrase* for people.

    The phrase has only fixed words and column names: no value of the row, no text of the server. A reason that is about
    one value ends with what was *expected* of it, and *column* is the key or path of the value in its row.
    """

    code: str
    phrase: str
    column: str | None = field(default=None, repr=False, compare=False)
    expected: str = field(default="", repr=False, compare=False)

    @classmethod
    def of_value(cls, code: str, label: str, expected: str, column: str | None) -> "Reason":
        """Return the reason why the value in *column*, called *label*, is not what was *expected*."""
        return cls(code, f"{label}: {expected}", column, expected)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many rows may be rejected or failed in a run that counts as succeeded: *rows*, and *share* of all (of 1)."""

    rows: int = 0
    share: float = 0.0

    def allows(self, left: int, *, read: int) -> bool:
        """Whether *left* rows of those that were *read* may be missing."""
        # Division is exact where it matters: 29 / 100 is 0.29, but 0.29 * 100 is slightly less than 29.
        return left <= self.rows or left / read <= self.share


@frozen
class Damaged:
    """One record of the source that can't be split into fields: its unchanged *text*, and why."""

    number: int
    reason: Reason
    line: int = 0
    text: str = field(default="", repr=False)
    retry_of: RetryOf | None = None


Record: TypeAlias = Row | Damaged


@frozen
class Request:
    """What is sent for one row: the body, the same bytes on every attempt, and the person, by whom rows are ordered.

    *merged* are earlier rows of the person whose values the body includes, oldest first (`coalesce`).
    """

    row: Row
    person: Person = field(repr=False)
    body: bytes = field(repr=False)
    merged: "tuple[Request, ...]" = field(default=(), repr=False)


@frozen
class WindowState:
    """The numbers in one reply about the request window; None for each that is missing (`api.md`, Request limits).

    *period* is the window's length in seconds, *remaining* how many requests are left in it. *reset* and *date* are
    the server's own clock, in seconds since 1970: when the window resets, and when the reply was made.
    *retry_after* is the wait that a proxy asks for, in seconds from the reply.
    """

    period: float | None = None
    remaining: int | None = None
    reset: float | None = None
    date: float | None = None
    retry_after: float | None = None


@frozen
class Answer:
    """A reply of the service: the HTTP *status*, and the *code* of the body ("" if the body is not the API's).

    *crossed* is whether the reply may be about the connection only. A load balancer ends an idle connection with an
    HTTP 408; the next request may be on its way at that moment. *message* is the service's own text, which may hold
    values of the row; "" for a documented message.
    """

    status: int
    code: str
    window: WindowState = WindowState()
    crossed: bool = False
    message: str = field(default="", repr=False)

    @property
    def is_limit(self) -> bool:
        """Whether the request was throttled (`api.md`, Replies: 40401, or HTTP 429)."""
        return self.status == LIMIT_STATUS or self.code == LIMIT_CODE


@frozen
class Silence:
    """No reply of the service: a fixed phrase that says *why*, and what is known of the request.

    *applied* is whether the service may have stored the request. *refused* is whether no connection could be made, so
    that the row is not the cause. *local* is whether this machine has no socket or file left. *fatal* is whether every
    request of the run will fail the same way (an untrusted certificate). *by_proxy* is whether a proxy is the cause.
    """

    why: str
    applied: bool = True
    refused: bool = False
    local: bool = False
    fatal: bool = False
    by_proxy: bool = False


Reply: TypeAlias = Answer | Silence

OutcomeKind: TypeAlias = Literal["sent", "unchanged", "superseded", "rejected", "failed"]
"""What became of a row, in the words of the summary; each outcome below has one as its *kind*."""

RetryKind: TypeAlias = Literal["failed", "rejected", "again"]
"""Why a row is in the retry file (`_kind`); `again`: it was accepted, but has to follow an earlier row."""


@frozen
class Sent:
    """The row was accepted: HTTP 200 and code 20000.

    In every outcome, *attempts* counts the requests for the row. *unsure* is whether the result of one of them is
    unknown, so that the row may have been applied more than once. *merged_into* is the later row whose request included
    this one, and whose *attempts* these are; 0 if the row had its own request.
    """

    kind: ClassVar[Literal["sent"]] = "sent"
    request: Request
    attempts: int
    unsure: bool = False
    merged_into: int = 0


@frozen
class Failed:
    """The row was not accepted, but a later run may succeed.

    *merged_into* is as in `Sent`.
    """

    kind: ClassVar[Literal["failed"]] = "failed"
    request: Request
    reason: Reason
    attempts: int
    unsure: bool = False
    merged_into: int = 0


@frozen
class Rejected:
    """The row is refused unless it is fixed: by the check (*attempts* 0) or by the service.

    *merged_into* is as in `Sent`. *message* is the service's own text, which may hold values of the row: it goes to the
    retry file and, if asked for, to the user's terminal, and nowhere else.
    """

    kind: ClassVar[Literal["rejected"]] = "rejected"
    record: Record
    person: Person = field(repr=False)
    reason: Reason
    attempts: int = 0
    unsure: bool = False
    merged_into: int = 0
    message: str = field(default="", repr=False)


@frozen
class Unchanged:
    """The row equals what the service last accepted of the person, so it is not sent."""

    kind: ClassVar[Literal["unchanged"]] = "unchanged"
    request: Request


@frozen
class Superseded:
    """A newer row of the person replaces this one, so that it is not sent.

    *by* is the later row of the same source that includes its values; 0: a row of a later run. *attempts* and *unsure*
    are those of its own requests, made before it was replaced.
    """

    kind: ClassVar[Literal["superseded"]] = "superseded"
    request: Request
    by: int = 0
    attempts: int = 0
    unsure: bool = False


NotSent: TypeAlias = Unchanged | Superseded
"""A row for which no request is made, or no further one."""

NotNewest: TypeAlias = Superseded | Rejected
"""The outcome of a request that is not, or may not be, the newest one of its person."""

Outcome: TypeAlias = Sent | Failed | Rejected | NotSent


Work: TypeAlias = Request | Rejected | NotSent
"""The next step for one row: a request to deliver, or an outcome that is already known."""


@frozen
class Settled:
    """A row with an outcome from an earlier session of the run: nothing is left to do."""

    number: int


@frozen
class AwaitsMerge:
    """A row that waits to be merged into the last row of its person."""

    number: int


@frozen
class UnchangedRange:
    """The rows from *first* to *last*, of which each equals what the service last accepted: nothing is made of them."""

    first: int
    last: int

    @property
    def rows(self) -> int:
        """How many rows they are."""
        return self.last - self.first + 1


NoWork: TypeAlias = Settled | AwaitsMerge | UnchangedRange
"""Rows for which there is nothing to do now."""


@frozen
class NotYet:
    """No row may be taken now, though there are more; ask again when one that is at work is settled."""


@frozen
class Unsettled:
    """The run stopped before the row had an outcome; it is sent when the run resumes."""

    request: Request
    attempts: int = 0
    unsure: bool = False


WorkOutcome: TypeAlias = tuple[Work, Outcome | Unsettled]
"""A row, and what became of it."""

_LONGEST_NAME = 64
_MANY_DIGITS = re.compile(r"[0-9](?:[ ().-]{0,2}[0-9]){6}")


def alike(name: str) -> str:
    """Return what all spellings of a column's *name* have in common: in any case, space, width and Unicode form."""
    visible = "".join(one for one in name if unicodedata.category(one) not in INVISIBLE_KINDS)
    return "".join(unicodedata.normalize("NFKC", visible).casefold().split()).replace("_", "")


def looks_like_data(name: str) -> bool:
    """Whether *name*, of a column or a key, may be a person's data.

    It has an @, as many digits as a phone number or a birthday, or the length of a sentence.
    """
    return "@" in name or len(name) > _LONGEST_NAME or _MANY_DIGITS.search(name) is not None


def column_in_words(column: str | None, named: Container[object]) -> str:
    """Return the words for *column* in messages, which hide a name that looks like data unless it is *named*."""
    if column is not None and column not in named and looks_like_data(column):
        return "a column whose name looks like data"
    return f"column '{column}'"


def person_of(work: Work) -> Person:
    """Return the person that *work* is about."""
    return work.request.person if isinstance(work, NotSent) else work.person


def person_key_of(person: Person) -> str | None:
    """Return the person key of *person*; None if there are only identity values."""
    return person[-1] if person and person[-1].startswith(PERSON_KEY_MARK) else None


def values_of(person: Person) -> Person:
    """Return the identity values of *person*, without the person key."""
    return person if person_key_of(person) is None else person[:-1]


def merged_rows_of(work: Work) -> tuple[Request, ...]:
    """Return the earlier rows that are merged into *work*."""
    match work:
        case Request():
            return work.merged
        case Unchanged() | Superseded():
            return work.request.merged
        case Rejected():
            return ()
        case _ as never:
            assert_never(never)


def record_of(outcome: Outcome | Unsettled) -> Record:
    """Return the record of the source that *outcome* is about."""
    if isinstance(outcome, Rejected):
        return outcome.record
    return outcome.request.row


@dataclass(frozen=True, slots=True)
class Unpacking:
    """How large a compressed file may become: *size* bytes, or, if that is None, *times* its own size."""

    times: int | None = 200
    size: int | None = None


MAX_JOINED: Final = 5


@dataclass(frozen=True, slots=True)
class MaxJoined:
    """Beside how many different values of another identity field a value may stand: *most*, None for any number.

    *of_field* has the identity fields for which it is another number.
    """

    most: int | None = MAX_JOINED
    of_field: Mapping[str, int | None] = field(default_factory=dict)

    def of(self, name: str) -> int | None:
        """Return beside how many values one of the identity field *name* may stand; None is any number."""
        return self.of_field.get(name, self.most)
