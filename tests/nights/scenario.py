"""Draw a story of some nights from a seed: files, commands, troubles, and what people do with retry files."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from tests.nights.model import Value

PROPERTIES: Final = {"name": "df_name", "city": "city", "push": "df_push_optin", "sms": "df_sms_ads_optin"}
"""Each column and the property that it is mapped to; the last two are consents."""

CONSENTS: Final = ("push", "sms")
BAD: Final = "perhaps"
"""What is neither true nor false, so that the check rejects its row."""

DAY: Final = 86_400
CLOCKS: Final = (-400 * DAY, -40 * DAY, -2 * DAY, -3600, 3600, 2 * DAY, 40 * DAY, 400 * DAY)

Where: TypeAlias = Literal["before", "after", "with", "hold", "file", "rename", "term", "for"]
"""Where a command is broken off; see `StopRun`."""

What: TypeAlias = Literal["rename", "away", "back", "mend", "drop", "delete"]
"""What somebody does with a retry file; see `Handle`."""

Kind: TypeAlias = Literal["one", "both", "family", "loose"]
"""How a person is named: by one field; by both in every row; by one of two customer numbers beside the same mail; by
either field or both, where a row of each file has both."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: *tag* is its alone in the whole story, *bad* the consent that can't be read ("": none)."""

    tag: int
    person: int
    identity: tuple[tuple[str, str], ...]
    cells: tuple[tuple[str, Value], ...]
    bad: str = ""

    @property
    def values(self) -> Mapping[str, Value]:
        """What the row says, by the names of the properties; of a bad one what it says when it is mended."""
        return {PROPERTIES[name]: value for name, value in self.cells}

    @property
    def is_mended_to(self) -> bool:
        """What somebody writes in the place of the bad consent."""
        return dict(self.cells)[self.bad] is True


@dataclass(frozen=True, slots=True)
class Stop:
    """How a command is broken off: *where* is counted by *nth* (from 1), in milliseconds for `for`.

    `before`, `after` and `with` kill at a request: before it is applied, before its reply, right behind its reply.
    `hold` kills at a request that the service applies later. `file` kills before a write or sync of a file, `rename`
    before a file takes its place (the end marks are such). `term` sends SIGTERM at a request.
    """

    where: Where
    nth: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a command meets: faults of the sandbox, the end of its process, a wrong clock (seconds ahead).

    *lost* is the request (from 1) that gets no reply and is applied *late*: `now` (when the command is over), `next`
    (in the next command) or `after` (behind the next command). It says the same of a request that is held at a kill.
    """

    faults: tuple[str, ...] = ()
    stop: Stop | None = None
    clock: int = 0
    lost: int = 0
    late: Literal["now", "next", "after"] = "now"


CALM: Final = Trouble()


@dataclass(frozen=True, slots=True)
class Write:
    """A file is written, or written anew."""

    file: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Files are sent by one command; those that are not written yet are left out."""

    files: tuple[str, ...]
    limit: int = 0
    flag: Literal["", "--full", "--fresh"] = ""
    trouble: Trouble = CALM


@dataclass(frozen=True, slots=True)
class Repeat:
    """The newest command that was broken off is typed again."""

    trouble: Trouble = CALM


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry files are sent by one command, each by its place among those that are left; *file* goes with them."""

    picks: tuple[int, ...]
    file: str = ""
    trouble: Trouble = CALM


@dataclass(frozen=True, slots=True)
class Handle:
    """Somebody does something with a retry file: rename it, move it away, or put it back; mend it, or delete rows."""

    what: What
    pick: int = 0


@dataclass(frozen=True, slots=True)
class Purge:
    """`uploader runs --purge`, so that every run is forgotten."""


Step: TypeAlias = Write | Run | Repeat | Retry | Handle | Purge


@dataclass(frozen=True, slots=True)
class Scenario:
    """A configuration, the people, and what happens; *shuffle* draws in which order retry files are sent in the end.

    *most_rows* is how many rows become one request at most (0: as many as the program has it).
    """

    seed: int
    kinds: tuple[Kind, ...]
    steps: tuple[Step, ...]
    coalesce: bool = False
    changed_only: bool = False
    retry_last: bool = False
    workers: int = 8
    most_rows: int = 0
    shuffle: int = 0
    together: bool = False


def is_fair(scenario: Scenario) -> bool:
    """Whether the program can know who is one person: of a loosely named one, every file it reads has a row of both.

    That row comes first where only the first rows of a file may be read, and where rows are told apart by what was
    accepted of each of their names (`changed_only`).
    """
    first = scenario.changed_only or any(isinstance(step, Run) and step.limit for step in scenario.steps)
    written = [step.rows for step in scenario.steps if isinstance(step, Write)]
    for rows in written:
        for person in {row.person for row in rows if scenario.kinds[row.person] == "loose"}:
            ties = [len(row.identity) > 1 and not row.bad for row in rows if row.person == person]
            if not (ties[0] if first else any(ties)):
                return False
    return True


def drawn(seed: int) -> Scenario:
    """Return the scenario of *seed*."""
    return _Pen(seed).scenario()


class _Pen:
    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 — a story that can be told again
        dice = self._dice
        self._seed = seed
        self._kinds = tuple(dice.choice(_KINDS) for _ in range(dice.choice((1, 2, 2, 3, 3, 4))))
        self._coalesce = dice.random() < 0.4
        self._changed_only = dice.random() < 0.4
        self._retry_last = dice.random() < 0.35
        self._has_limits = dice.random() < 0.3
        self._has_clocks = dice.random() < 0.35
        self._dated = dice.random() < 0.5
        self._suffix = dice.choice(("csv", "jsonl"))
        self._tags = 0
        self._last: dict[int, tuple[Row, ...]] = {}
        self._files: list[str] = []

    def scenario(self) -> Scenario:
        dice = self._dice
        most_rows = dice.choice((0, 2, 3)) if self._coalesce else 0
        names = dice.choice((("a",), ("a",), ("a",), ("a", "b"), ("a", "b"), ("a", "b", "c")))
        steps: list[Step] = []
        for night in range(1, dice.choice((1, 2, 2, 2, 3, 3)) + 1):
            files = tuple(f"{name}{night if self._dated else ''}.{self._suffix}" for name in names)
            known = bool(self._files) and not self._dated
            for file in files:
                if not (known and dice.random() < 0.25):
                    steps.append(Write(file, self._rows()))
                self._files += [file] * (file not in self._files)
            flag: Literal["", "--full"] = "--full" if dice.random() < 0.08 else ""
            steps.append(Run(files, flag=flag, trouble=self._trouble(0.75)))
            steps += [self._aside(files) for _ in range(dice.choice((0, 1, 1, 2)))]
        return Scenario(
            self._seed,
            self._kinds,
            tuple(steps),
            coalesce=self._coalesce,
            changed_only=self._changed_only,
            retry_last=self._retry_last,
            workers=dice.choice((1, 2, 8, 8)),
            most_rows=most_rows,
            shuffle=dice.randrange(1000),
            together=dice.random() < 0.5,
        )

    def _aside(self, files: tuple[str, ...]) -> Step:
        """Return what happens between two nights."""
        dice = self._dice
        pick, what, trouble = dice.randrange(4), dice.choice(_ASIDE), self._trouble(0.4)
        file, older, limit = dice.choice(files), dice.choice(self._files), dice.randint(1, 5)
        steps: dict[str, Step] = {
            "repeat": Repeat(trouble),
            "limit": Run((file,), limit=limit, trouble=trouble) if self._has_limits else Repeat(trouble),
            "older": Run((older,), trouble=trouble),
            "fresh": Run(files, flag="--fresh", trouble=trouble),
            "retry": Retry((pick,), trouble=trouble),
            "retries": Retry((pick, pick + 1), trouble=trouble),
            "both": Retry((pick,), file=file if self._retry_last else "", trouble=trouble),
            "purge": Purge(),
        }
        return steps.get(what) or Handle(_HANDLES[what], pick)

    def _trouble(self, share: float) -> Trouble:
        dice = self._dice
        clock = dice.choice(CLOCKS) if self._has_clocks and dice.random() < 0.5 else 0
        if dice.random() >= share:
            return Trouble(clock=clock)
        faults = tuple(self._fault() for _ in range(dice.choice((0, 1, 1, 1, 2))))
        stop = self._stop() if dice.random() < 0.45 else None
        lost = dice.randint(1, 6) if stop is None and dice.random() < 0.04 else 0
        return Trouble(faults, stop, clock, lost, dice.choice(("now", "next", "after")))

    def _stop(self) -> Stop:
        dice = self._dice
        where = dice.choice(_STOPS)
        most = {"file": 60, "rename": 6}.get(where, 9)
        return Stop(where, dice.choice((20, 40, 80)) if where == "for" else dice.randint(1, most))

    def _fault(self) -> str:
        dice = self._dice
        person = dice.randrange(len(self._kinds))
        name = dice.choice(("external_id=e", "external_id=e", "kakao_user_id=m"))
        meant = dice.choice((f"for {name}{person}", f"for df_name={dice.choice(_WORDS)}", "for df_push_optin=false"))
        times = dice.choice((1, 2, 2, 2, 4))
        after = dice.randint(0, 6)
        return dice.choice(
            (
                f"http=503 {meant} times {times}",
                f"http=503 {meant} times {times}",
                f"http=503 times {times} after {after}",
                f"code=50000 {meant} times {times} after {after % 3}",
                f"code=40001 {meant} times 1",
                f"code=40001 times 1 after {after}",
                f"drop-after {meant} times {times}",
                f"drop-after times {times} after {after}",
                f"drop-before times {times} after {after}",
                f"{dice.choice(('cut', 'garbage', 'html', 'number-code', 'close'))} times {times} after {after}",
                f"http=403 {meant} times 2",
                f"http=401:40300 times 1 after {after}",
                f"code=40201 times 1 after {after}",
                f"limit times 1 after {after}",
                f"latency={dice.choice((5, 20))}ms for 40%",
                "http=503 for 30%",
                "drop-after for 20%",
            )
        )

    def _rows(self) -> tuple[Row, ...]:
        """Return the rows of a file; of a loosely named person one row has both names."""
        dice = self._dice
        rows: list[Row] = []
        for person in range(len(self._kinds)):
            if dice.random() < 0.85:
                rows += self._rows_of(person)
        if not rows:
            rows += self._rows_of(0)
        # The rows of a person stay in their order: a tie that has to come first does.
        people = [row.person for row in rows]
        dice.shuffle(people)
        waiting = {person: iter([row for row in rows if row.person == person]) for person in people}
        return tuple(next(waiting[person]) for person in people)

    def _rows_of(self, person: int) -> tuple[Row, ...]:
        dice = self._dice
        last = self._last.get(person)
        if self._changed_only and last is not None and dice.random() < 0.55:
            rows = tuple(replace(row, tag=self._tag()) for row in last)
        else:
            rows = tuple(self._row(person, self._identity(person)) for _ in range(dice.choice((1, 1, 1, 2, 2, 3))))
            if self._kinds[person] == "loose":
                tie = self._row(person, (("id", f"e{person}"), ("mail", f"m{person}")), may_be_bad=False)
                first = self._changed_only or self._has_limits
                place = 0 if first else dice.randint(0, len(rows))
                rows = (*rows[:place], tie, *rows[place:])
        self._last[person] = rows
        return rows

    def _identity(self, person: int) -> tuple[tuple[str, str], ...]:
        dice = self._dice
        number, mail = ("id", f"e{person}"), ("mail", f"m{person}")
        match self._kinds[person]:
            case "one":
                return (number,)
            case "both":
                return number, mail
            case "family":
                return (dice.choice((number, ("id", f"f{person}"))), mail)
            case "loose":
                return dice.choice(((number,), (mail,), (number, mail)))

    def _row(self, person: int, identity: tuple[tuple[str, str], ...], *, may_be_bad: bool = True) -> Row:
        dice, tag = self._dice, self._tag()
        columns = [name for name in PROPERTIES if dice.random() < 0.55] or ["push"]
        bad = ""
        if may_be_bad and dice.random() < 0.07:
            bad = dice.choice(CONSENTS)
            columns += [bad] * (bad not in columns)
        return Row(tag, person, identity, tuple((name, self._cell(name, tag)) for name in columns), bad)

    def _cell(self, name: str, tag: int) -> Value:
        dice = self._dice
        if name in CONSENTS:
            return dice.random() < 0.5
        if self._suffix == "jsonl" and dice.random() < 0.2:
            return None
        return dice.choice(_WORDS) if self._changed_only or dice.random() < 0.3 else f"{name}{tag}"

    def _tag(self) -> int:
        self._tags += 1
        return self._tags


_KINDS: Final[tuple[Kind, ...]] = ("one", "one", "both", "family", "loose", "loose")
_WORDS: Final = ("x", "y", "z")
_STOPS: Final[tuple[Where, ...]] = (
    "before",
    "before",
    "after",
    "after",
    "with",
    "hold",
    "hold",
    "file",
    "rename",
    "term",
    "term",
    "for",
)
_HANDLES: Final[Mapping[str, What]] = {
    "rename": "rename",
    "away": "away",
    "back": "back",
    "mend": "mend",
    "drop": "drop",
    "delete": "delete",
}
_ASIDE: Final = (
    *("repeat", "repeat", "limit", "limit", "older", "older", "fresh", "retry", "retry", "retry", "retries"),
    *("both", "purge", "rename", "rename", "away", "back", "mend", "mend", "drop", "delete"),
)
