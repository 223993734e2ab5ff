"""A sandbox that can be told, for each command, what goes wrong; and that kills the command that sends."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from aiohttp import web

from tests.nights.model import Value
from tests.nights.scenario import Stop, Trouble
from uploader.sandbox import Fault, Sandbox, SandboxRules
from uploader.sandbox.api_replies import NOTHING
from uploader.sandbox.fault_schedule import FaultSchedule
from uploader.sandbox.http_server import serve
from uploader.sandbox.service import Arrival, IncomingRequest, PlannedReply
from uploader.sandbox.sqlite_store import SandboxStore

_PATIENCE: Final = 20.0
_OK: Final = "20000"
_HANG: Final = Fault("hang")
_DROP: Final = Fault("drop-before")


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it arrived: the tag of its row, whether it was applied, and whether nothing was played on it."""

    tag: int
    applied: bool
    plain: bool
    values: dict[str, Value]
    late: bool = False


@dataclass(slots=True)
class _Lost:
    """A request that is not applied yet, and how often its person was served since."""

    letter: IncomingRequest
    late: str
    names: frozenset[str]
    served: int = 0
    commands: int = 0
    late_values: dict[str, Value] = field(default_factory=dict)


class Service(Sandbox):
    """The sandbox of one scenario after another."""

    def __init__(self) -> None:
        super().__init__(SandboxRules(limit=1_000_000, per=0.2))
        self.url = ""
        self.heard: list[Heard] = []
        self.came_late: list[tuple[frozenset[str], dict[str, Value]]] = []
        self._trouble = Trouble()
        self._count = 0
        self._process = 0
        self._lost: list[_Lost] = []

    def forget(self) -> None:
        """Begin another scenario."""
        self._store.close()
        self._store = SandboxStore(None)
        self.heard, self.came_late, self._lost = [], [], []

    def tie(self, identity: dict[str, str]) -> None:
        """Let the service know that these names are one person."""
        self._seq += 1
        self._store.apply(identity, {}, self._seq)

    def begin(self, trouble: Trouble, seed: int) -> None:
        """Let a command meet *trouble*."""
        self.heard, self.came_late = [], []
        self._trouble, self._count, self._process, self._first = trouble, 0, 0, None
        self._schedule = FaultSchedule(tuple(map(Fault.parse, trouble.faults)), seed)

    def watch(self, process: int) -> None:
        """Know the number of the process that sends."""
        self._process = process

    def end(self) -> None:
        """Apply what comes late, now that the command is over."""
        with self._lock:
            self._trouble = Trouble()
            self._schedule = FaultSchedule((), 0)
        for lost in list(self._lost):
            if lost.late == "now" or lost.commands or lost.late == "gone":
                self._come(lost)
            lost.commands += 1

    def answer(self, arrival: Arrival, letter: IncomingRequest) -> PlannedReply:
        """Answer as the sandbox does, but at the request that is the trouble's."""
        self._count += 1
        if self._count == 1:
            self._wait_for_number()
        for lost in list(self._lost):
            if lost.late == "next" and lost.commands == 1 and self._count == 2:
                self._come(lost)
        self._note_served(letter)
        stop = self._trouble.stop
        if self._trouble.lost == self._count:
            self._lose(letter)
            return PlannedReply(NOTHING, {}, _HANG, 0.0)
        if stop is None or stop.nth != self._count or stop.where in {"file", "rename", "for"}:
            return self._answered(arrival, letter)
        return self._stopped(stop, arrival, letter)

    def _stopped(self, stop: Stop, arrival: Arrival, letter: IncomingRequest) -> PlannedReply:
        if stop.where in {"before", "hold"}:
            os.kill(self._process, signal.SIGKILL)
            if stop.where == "hold":
                self._lose(letter)
            return PlannedReply(NOTHING, {}, _DROP, 0.0)
        act = self._answered(arrival, letter)
        match stop.where:
            case "after":
                os.kill(self._process, signal.SIGKILL)
            case "with":
                number = self._process
                asyncio.get_running_loop().call_later(0.0005 * (self._seq % 5), _kill, number)
            case _:
                os.kill(self._process, signal.SIGTERM)
        return act

    def _answered(self, arrival: Arrival, letter: IncomingRequest) -> PlannedReply:
        act = super().answer(arrival, letter)
        body = json.loads(letter.body)
        applied = act.reply.code == _OK
        self.heard.append(Heard(_tag_of(body), applied, applied and act.fault is None, body["user_properties"]))
        return act

    def _lose(self, letter: IncomingRequest) -> None:
        names = _names(json.loads(letter.body))
        self._lost.append(_Lost(letter, self._trouble.late, names))

    def _note_served(self, letter: IncomingRequest) -> None:
        """Let a lost request come no later than before the second one of its person that follows it."""
        names = _names(json.loads(letter.body))
        for lost in list(self._lost):
            if lost.names & names:
                lost.served += 1
                if lost.served > 1:
                    self._come(lost)

    def _come(self, lost: _Lost) -> None:
        self._lost.remove(lost)
        with self._lock:
            deck, self._schedule = self._schedule, FaultSchedule((), 0)
        act = super().answer(self.arrive(), lost.letter)
        with self._lock:
            self._schedule = deck
        body = json.loads(lost.letter.body)
        if act.reply.code == _OK:
            self.came_late.append((lost.names, body["user_properties"]))
            self.heard.append(
                Heard(_tag_of(body), applied=True, plain=False, values=body["user_properties"], late=True)
            )

    def _wait_for_number(self) -> None:
        patience = time.monotonic() + _PATIENCE
        while not self._process:
            assert time.monotonic() < patience
            time.sleep(0.0001)


def _kill(number: int) -> None:
    # It may have ended by itself, and nobody has waited for it yet.
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return


def _tag_of(body: dict[str, Any]) -> int:
    """Return which row *body* is of, which its time says."""
    clock: str = body["request_datetime"][11:19]
    hours, minutes, seconds = map(int, clock.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def _names(body: dict[str, Any]) -> frozenset[str]:
    return frozenset(f"{name}={value}" for name, value in body["identity"].items())


class _Counting(web.Server):
    """A server that can be asked for its connections."""

    made: "_Counting"

    def __init__(self, *words: Any, **more: Any) -> None:  # noqa: ANN401 — as the server has them
        super().__init__(*words, **more)
        _Counting.made = self


@contextmanager
def serving() -> Iterator[Service]:
    """Serve in a thread of its own."""
    with Service() as service:
        begun: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(_serve(service, begun)), name="sandbox", daemon=True)
        with patch("uploader.sandbox.http_server.web.Server", _Counting):
            thread.start()
            service.url, loop, over = begun.result()
        try:
            yield service
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()


def settle() -> None:
    """Wait until the last connection is closed, so that nothing arrives any more."""
    patience = time.monotonic() + _PATIENCE
    while _Counting.made.connections:
        assert time.monotonic() < patience, "a connection stays open"
        time.sleep(0.0005)


async def _serve(service: Service, begun: "Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]") -> None:
    over = asyncio.Event()
    async with serve(service) as url:
        begun.set_result((url, asyncio.get_running_loop(), over))
        await over.wait()
