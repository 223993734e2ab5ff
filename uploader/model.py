"""Say what flows through a run: plain records that nobody changes, one for each stage of a row's way."""

import re
import sys
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
"""The last column of a retry file: with `_row` it says where a row came from first, through all generations."""

OWN_COLUMNS = frozenset((*RETRY_COLUMNS, RAW_COLUMN, RUN_COLUMN))
"""All that a retry file adds: names that no mapping reads."""

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""A value as JSON can say it."""

Person: TypeAlias = tuple[str, ...]
"""The identity values of one row, each as `field=value`: rows that share one of them are one person.

Where rows are one person's though they need not share a value, a tie is the last of them (`coalesce.same_person`).
"""

PERSON_KEY_MARK = "~"
"""What a tie begins with, and no identity value does: it is the same for all rows of a person, within one command."""


LEAST_NORMAL = sys.float_info.min
"""A double that is smaller holds fewer digits than others do."""

WHOLE_DOUBLES = 2.0**53
"""A double that is smaller, and not too small, has the whole part of every number that becomes it."""


class WrittenFloat(float):
    """A number of a JSON text beyond these two bounds, with the *digits* that it was written in."""

    __slots__ = ("digits",)

    def __new__(cls, digits: str) -> Self:
        """Return the number that *digits* say."""
        number = super().__new__(cls, digits)
        number.digits = digits
        return number

    digits: str

    def __str__(self) -> str:
        """Return it as it was written."""
        return self.digits

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # float's own hands on a float
        """Return what makes the number again."""
        return (self.digits,)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Make *kind* a record that is equal to another one by its values, and never changed.

    It is the type checker that forbids a change. At run time nothing does: to make a frozen dataclass takes four times
    as long, and every row makes about ten records.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a row came from first: the number of a *run*, and the *row* of that run's source.

    Origins are totally ordered: the later one is the newer row. Runs are numbered by the state folder, not by a clock.
    """

    run: int
    row: int


_OLD_ID = re.compile(r"(\d{8}T\d{6})Z(?:-([0-9a-f]{6}))?", re.ASCII)
_BEFORE_ALL = 2**61


def number_of_old(run_id: str) -> int:
    """Return a negative number for the run *run_id* of a version that numbered none: they are ordered as their IDs."""
    found = _OLD_ID.match(run_id)
    if found is None:
        return -_BEFORE_ALL
    try:
        began = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return -_BEFORE_ALL
    return (int(began.timestamp()) << 24) + int(found[2] or "0", 16) - _BEFORE_ALL


UNKNOWN_RUN = -(2**62)
"""Stands for the number of a run of which nothing is known: older than every other."""


@frozen
class RetryOf:
    """What a row of a retry file says of its origin: the texts of `_run` ("" where that is missing) and `_row`."""

    run: str
    row: int


@frozen
class Row:
    """One record of the source, split into its fields, nothing altered.

    *number* counts records from 1, the header and blank lines not counted. *fields* holds each value as the format
    has it: text in CSV, JSON values in JSONL, Python's own types in Parquet. *line* is the physical line on which
    the record begins (0 where the format has none). *text* is the record as written, where the format is JSONL.
    *retry_of* is what a row of a retry file says of its origin.
    """

    number: int
    fields: Mapping[str, object]
    line: int = 0
    text: str = field(default="", repr=False)
    retry_of: RetryOf | None = None


@frozen
class Reason:
    """Why a row was not accepted: a stable *code* for programs, a *phrase* for people.

    The phrase is made of fixed words and column names only: no value of the row, no text of the server.
    """

    code: str
    phrase: str


@frozen
class Damaged:
    """One record of the source that can't be split into fields: its *text* as it stands, and why."""

    number: int
    reason: Reason
    line: int = 0
    text: str = field(default="", repr=False)
    retry_of: RetryOf | None = None


Record: TypeAlias = Row | Damaged


@frozen
class Request:
    """What is sent for one row: the person that orders it, and the body, the same bytes on every attempt.

    *merged* are earlier rows of the person whose values it takes with it, oldest first (`coalesce`).
    """

    row: Row
    person: Person = field(repr=False)
    body: bytes = field(repr=False)
    merged: "tuple[Request, ...]" = field(default=(), repr=False)


@frozen
class WindowState:
    """What one reply says of the request window, as numbers; None for what it does not say (`api.md`, Request limits).

    *period* is the window's length in seconds, *remaining* how many requests are left in it. *reset* and *date* are
    the server's own clock, in seconds since 1970: when the window resets, and when the reply was made.
    *retry_after* is what a proxy asks for, in seconds from the reply on.
    """

    period: float | None = None
    remaining: int | None = None
    reset: float | None = None
    date: float | None = None
    retry_after: float | None = None


@frozen
class Answer:
    """The service spoke: the HTTP *status*, and the *code* of the body ("" where the body is not the API's).

    *crossed* is whether it may be about the connection alone: an HTTP 408 that ends one which has served a request
    before, as a balancer does with what was idle for too long, while the next request is on its way.
    """

    status: int
    code: str
    window: WindowState = WindowState()
    crossed: bool = False

    @property
    def is_limit(self) -> bool:
        """Whether it says that the limit is exceeded (`api.md`, Replies: 40401, or HTTP 429)."""
        return self.status == LIMIT_STATUS or self.code == LIMIT_CODE


@frozen
class Silence:
    """The service did not speak: a fixed phrase that says *why*, and what is known of the request's fate.

    *applied* is whether the request may have been stored all the same. *refused* is whether no connection could be
    made, which is nobody's row's trouble; *local* whether this machine has no socket or file left for it; *fatal*
    whether no request of this run can fare better (a certificate that can't be trusted), *by_proxy* whether it was a
    proxy that said so, or that could not be passed.
    """

    why: str
    applied: bool = True
    refused: bool = False
    local: bool = False
    fatal: bool = False
    by_proxy: bool = False


Reply: TypeAlias = Answer | Silence

OutcomeKind: TypeAlias = Literal["sent", "unchanged", "superseded", "rejected", "failed"]
"""What became of a row, in the words of the summary: each outcome below has its own as its *kind*."""

RetryKind: TypeAlias = Literal["failed", "rejected", "again"]
"""Why a row stands in the retry file, as `_kind` says; `again`: it was accepted, but has to follow an earlier row."""


@frozen
class Sent:
    """The row was accepted: HTTP 200 and code 20000.

    Of every outcome, *attempts* counts the requests that were made for the row, and *unsure* is whether the fate of one
    of them is unknown, so that the row may have been applied more than once. *merged_into* is the later row whose
    request spoke for this one, and whose *attempts* these are; 0: its own did.
    """

    kind: ClassVar[Literal["sent"]] = "sent"
    request: Request
    attempts: int
    unsure: bool = False
    merged_into: int = 0


@frozen
class Failed:
    """The row was not accepted, and is worth another try another day.

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
    """The row would be refused again as it stands: by the check (*attempts* 0) or by the service.

    *merged_into* is as in `Sent`.
    """

    kind: ClassVar[Literal["rejected"]] = "rejected"
    record: Record
    person: Person = field(repr=False)
    reason: Reason
    attempts: int = 0
    unsure: bool = False
    merged_into: int = 0


@frozen
class Unchanged:
    """The service has just this of the person already: it accepted the same last, so nothing is sent."""

    kind: ClassVar[Literal["unchanged"]] = "unchanged"
    request: Request


@frozen
class Superseded:
    """Another row has the last word on the person, so that this one is not sent.

    *by* is the later row of the same source that took this row's values with it; 0: a row of a later run. *attempts*
    and *unsure* are those of its own request, before that was known.
    """

    kind: ClassVar[Literal["superseded"]] = "superseded"
    request: Request
    by: int = 0
    attempts: int = 0
    unsure: bool = False


NotSent: TypeAlias = Unchanged | Superseded
"""A row that no request is made for, or no more."""

NotNewest: TypeAlias = Superseded | Rejected
"""What becomes of a request that is not the newest word on its person, or of which nobody knows whether it is."""

Outcome: TypeAlias = Sent | Failed | Rejected | NotSent


Work: TypeAlias = Request | Rejected | NotSent
"""What is to be done about one row: a request is delivered, the others are what becomes of it already."""


@frozen
class Settled:
    """A row that needs nothing any more: an earlier life of the run has its outcome."""

    number: int


@frozen
class AwaitsMerge:
    """A row that is kept until the last row of its person comes, and takes it along."""

    number: int


NoWork: TypeAlias = Settled | AwaitsMerge
"""What asks for nothing when its row comes by."""


@frozen
class Unsettled:
    """The run stopped before the row had an outcome: it is sent again when the run continues."""

    request: Request
    attempts: int = 0
    unsure: bool = False


WorkOutcome: TypeAlias = tuple[Work, Outcome | Unsettled]
"""A row, and what became of it."""

_LONGEST_NAME = 64
_MANY_DIGITS = re.compile(r"[0-9](?:[ ().-]{0,2}[0-9]){6}")


def looks_like_data(name: str) -> bool:
    """Whether a column or a key that is called *name* may be called by somebody's data.

    It has the sign of an e-mail address, as many digits as a phone number or a birthday, or the length of a sentence.
    """
    return "@" in name or len(name) > _LONGEST_NAME or _MANY_DIGITS.search(name) is not None


def column_in_words(column: str | None, named: Container[object]) -> str:
    """Return what messages call *column*; only what the configuration has *named* may look like data."""
    if column is not None and column not in named and looks_like_data(column):
        return "a column whose name looks like data"
    return f"column '{column}'"


def person_of(work: Work) -> Person:
    """Return the person that *work* is about."""
    return work.request.person if isinstance(work, NotSent) else work.person


def person_key_of(person: Person) -> str | None:
    """Return the tie of *person*; None where their identity values alone say who they are."""
    return person[-1] if person and person[-1].startswith(PERSON_KEY_MARK) else None


def values_of(person: Person) -> Person:
    """Return the identity values of *person* alone, without the tie."""
    return person if person_key_of(person) is None else person[:-1]


def merged_rows_of(work: Work) -> tuple[Request, ...]:
    """Return the earlier rows that *work* takes with it."""
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
    """How much a compressed file may unpack to: *size* bytes, or where that is None, *times* its own size."""

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
