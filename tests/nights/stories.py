"""Hold the stories that were told of older versions, each as a scenario: what one row said gave way to an older one."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from tests.nights.model import Value
from tests.nights.scenario import (
    DAY,
    Handle,
    Kind,
    Purge,
    Repeat,
    Retry,
    Row,
    Run,
    Scenario,
    Step,
    Stop,
    Trouble,
    Write,
)


def _row(tag: int, who: str = "e0", **cells: Value) -> Row:
    """Return a row about *who*: customer numbers begin with e, mails with m; `e0 m0` is both."""
    identity = tuple(("id" if name[0] == "e" else "mail", name) for name in who.split())
    return Row(tag, int(who[1]), identity, tuple(cells.items()))


def _told(*steps: Step, first: Kind = "one", **more: object) -> Scenario:
    return Scenario(0, (first, "one", "one", "one"), steps, **more)  # type: ignore[arg-type]  # its own fields


_A: Final = ("a.csv",)
_FAILS: Final = Trouble(("http=503 for df_name=old times 2",))
_FILLER: Final = tuple(_row(90 + number, f"e{number}", name="f") for number in (1, 2, 3))

STORIES: Final[Mapping[str, Scenario]] = MappingProxyType(
    {
        "0: a newer row waits while the one before it is tried again": _told(
            Write("a.csv", (*_FILLER, _row(1, name="old"), _row(2, name="new"))),
            Run(_A, trouble=Trouble(("http=503 for df_name=old times 1",))),
        ),
        "1: a command of two files is broken off in the second, and repeated": _told(
            Write("a.csv", (_row(1, name="a"),)),
            Write("b.csv", (_row(2, name="b"), *_FILLER)),
            Run(("a.csv", "b.csv"), trouble=Trouble(stop=Stop("term", 2))),
            Repeat(),
            workers=1,
        ),
        "2: of two requests that are merged the first fails": _told(
            Write(
                "a.csv",
                (
                    *_FILLER,
                    *(_row(1, name="old", push=True), _row(2, city="c"), _row(3, push=False), _row(4, name="new")),
                ),
            ),
            Run(_A, trouble=_FAILS),
            coalesce=True,
            most_rows=2,
        ),
        "3: a consent that failed comes behind a row without one": _told(
            Write("a.csv", (_row(1, name="old", push=False),)),
            Run(_A, trouble=_FAILS),
            Write("a.csv", (_row(2, name="new"),)),
            Run(_A),
            Retry((0,)),
        ),
        "4: rows that only another row joins": _told(
            Write("a.csv", (_row(1, "e0 m0", name="tie"), _row(2, "e0", name="old"), _row(3, "m0", name="new"))),
            Run(_A, trouble=_FAILS),
            Retry((0,)),
            first="loose",
        ),
        "4: rows that only a later row joins": _told(
            Write("a.csv", (_row(1, "e0", name="old"), _row(2, "m0", name="new"), _row(3, "e0 m0", city="tie"))),
            Run(_A, trouble=_FAILS),
            Retry((0,)),
            first="loose",
        ),
        "5: the first rows of a broken-off file are sent, then the rest": _told(
            Write("a.csv", (_row(1, name="old"), _row(2, name="new"), *_FILLER)),
            Run(_A, trouble=Trouble(stop=Stop("term", 3))),
            Run(_A, limit=1),
            Run(_A),
            workers=1,
        ),
        "5: Monday is broken off, Tuesday is sent, Monday is continued": _told(
            Write("a1.csv", (*_FILLER, _row(1, name="monday"))),
            Run(("a1.csv",), trouble=Trouble(stop=Stop("term", 1))),
            Write("a2.csv", (_row(2, name="tuesday"),)),
            Run(("a2.csv",)),
            Run(("a1.csv",)),
            workers=1,
        ),
        "6: a request of a killed run comes late": _told(
            Write("a.csv", (_row(1, name="x"),)),
            Run(_A),
            Write("a.csv", (_row(2, name="late"),)),
            Run(_A, trouble=Trouble(stop=Stop("hold", 1), late="after")),
            Write("a.csv", (_row(3, name="new"),)),
            Run(_A),
            Run(_A),
            changed_only=True,
        ),
        "6: what was accepted first comes back after a run was killed with another value": _told(
            Write("a.csv", (_row(1, name="x"),)),
            Run(_A),
            Write("a.csv", (_row(2, name="y"),)),
            Run(_A, trouble=Trouble(stop=Stop("hold", 1))),
            Write("a.csv", (_row(1, name="x"),)),
            Run(_A),
            changed_only=True,
        ),
        "7: a retry file is renamed, and a newer row of its person is owed": _told(
            Write("a.csv", (_row(1, name="old"),)),
            Run(_A, trouble=_FAILS),
            Write("a.csv", (replace(_row(2, push=True), bad="push"), _row(3, name="new"))),
            Run(_A),
            Handle("rename", 0),
            shuffle=1,
        ),
        "7: the run of a retry file is purged": _told(
            Write("a.csv", (_row(1, name="old"),)),
            Run(_A, trouble=_FAILS),
            Write("a.csv", (_row(2, name="new"),)),
            Run(_A, trouble=Trouble(("http=503 for df_name=new times 2",))),
            Purge(),
            Retry((1,)),
            Retry((0,)),
        ),
        "7: a retry file is put back under a name that another one had": _told(
            Write("a.csv", (_row(1, name="old"),)),
            Run(_A, trouble=_FAILS),
            Handle("away"),
            Write("a.csv", (_row(2, name="new"),)),
            Run(_A, trouble=Trouble(("http=503 for df_name=new times 2",))),
            Retry((0,)),
            Handle("back"),
            Retry((0,)),
        ),
        "8: the clock was ahead": _told(
            Write("a.csv", (_row(1, name="old"),)),
            Run(_A, trouble=Trouble(("http=503 for df_name=old times 2",), clock=40 * DAY)),
            Write("a.csv", (_row(2, name="new"),)),
            Run(_A),
            Retry((0,)),
        ),
        "8: a broken-off run is not found, since the clock was ahead before": _told(
            Write("a.csv", (_row(1, name="x"),)),
            Run(_A, trouble=Trouble(clock=40 * DAY)),
            Write("a.csv", (_row(2, name="y"), *_FILLER)),
            Run(_A, trouble=Trouble(stop=Stop("term", 2))),
            Repeat(),
            workers=1,
        ),
        "9: a retry file is named that would be taken in": _told(
            Write("a.csv", (_row(1, name="old"),)),
            Run(_A, trouble=_FAILS),
            Retry((0,), file="a.csv"),
            retry_last=True,
        ),
    }
)
