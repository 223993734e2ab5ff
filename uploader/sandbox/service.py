"""Handle every request as the API would, and record the result."""

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from uploader.clock import Clock, real_clock  # noqa: TID251 — the sandbox stands for a machine of its own
from uploader.model import Json, looks_like_data
from uploader.sandbox.api_replies import (
    INVALID,
    LIMITED,
    MALFORMED,
    NOTHING,
    OK,
    WRONG_SERVICE,
    WRONG_TOKEN,
    ApiReply,
    because,
    window_headers,
)
from uploader.sandbox.calls import CALLS, USER_PROFILE, Call
from uploader.sandbox.customer_profiles import Profile
from uploader.sandbox.fault_schedule import FaultSchedule
from uploader.sandbox.faults import Fault
from uploader.sandbox.property_types import misfit
from uploader.sandbox.rate_limit import WindowPlace, Windows
from uploader.sandbox.report import Report
from uploader.sandbox.request_body import PROPERTY_BYTES, ParsedBody, parse_body
from uploader.sandbox.settings import SandboxRules
from uploader.sandbox.sqlite_store import RequestRecord, RequestWindow, SandboxStore, Stray


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that has arrived and is counted: its number, its time (since 1970 and monotonic), its window.

    *call* is the one that it is for, which has windows of its own.
    """

    seq: int
    wall: float
    monotonic: float
    place: WindowPlace
    call: Call = USER_PROFILE


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """The parts of a request that the API checks."""

    body: bytes = field(repr=False)
    service_id: str
    token: str = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class PlannedReply:
    """What the server does next: wait *delay* seconds, then send *reply* with *headers*, distorted by *fault*."""

    reply: ApiReply
    headers: Mapping[str, str]
    fault: Fault | None
    delay: float


class Sandbox:
    """The API of one service, with its window, its profiles and its store; call its methods from any thread.

    Use it as a context manager, or call `close`.

    States: open; and closed.
    """

    def __init__(self, rules: SandboxRules, store: Path | None = None, clock: Clock | None = None) -> None:
        """Follow *rules*; keep requests and profiles in the SQLite file *store*, or in memory. Raises StorageError.

        *clock* is its own, since the sandbox stands for another machine; None: the real one.
        """
        clock = clock or real_clock()
        self.rules = rules
        self.clock = clock
        self._store = SandboxStore(store)
        self._lock = threading.Lock()
        # Only the monotonic clock, so that the windows stay even when the machine's clock is set.
        self._epoch = clock.wall() - clock.monotonic()
        self._kinds = rules.kinds
        self._windows = {call: Windows(rules.limit, rules.per, rules.anchor) for call in CALLS.values()}
        self._schedule = FaultSchedule(rules.faults, rules.seed)
        self._random = random.Random(rules.seed)  # noqa: S311 - latencies must be the same in every run with this seed
        self._seq = self._store.last_seq()
        self._first: float | None = None

    def __enter__(self) -> Self:
        """Return the sandbox."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def now(self) -> float:
        """Return the sandbox's time, in seconds since 1970, without the clock skew."""
        return self._epoch + self.clock.monotonic()

    def arrive(self, call: Call = USER_PROFILE) -> Arrival:
        """Count a request for *call* whose headers have arrived, before its body is read."""
        with self._lock:
            monotonic = self.clock.monotonic()
            if self._first is None:
                self._first = monotonic
            wall = self._epoch + monotonic
            self._seq += 1
            return Arrival(self._seq, wall, monotonic, self._windows[call].arrive(wall), call)

    def answer(self, arrival: Arrival, incoming: IncomingRequest) -> PlannedReply:
        """Check, apply and record a request, and return how to reply."""
        parsed = parse_body(incoming.body, arrival.call)
        with self._lock:
            place = arrival.place
            elapsed = 0.0 if self._first is None else arrival.monotonic - self._first
            fault = None if place.over else self._schedule.next_fault(parsed, elapsed=elapsed)
            if fault is not None and fault.kind == "limit":
                place = self._windows[arrival.call].lock(self.now())
            verdict = self._judge(arrival.seq, incoming, parsed, fault, over=place.over)
            shown = verdict if fault is None else _shown(verdict, fault)
            self._store.add_request(
                RequestRecord(
                    arrival.seq,
                    arrival.wall,
                    arrival.monotonic,
                    RequestWindow(arrival.place.window, arrival.place.start, place.over),
                    shown.status,
                    shown.code,
                    parsed.identity,
                    incoming.body,
                    applied=verdict is OK,
                    fault=str(fault or ""),
                    token_ok=self._token_ok(incoming.token),
                    call=arrival.call.name,
                )
            )
            delay = self._random.uniform(*self.rules.latency)
        if fault is not None and fault.kind == "latency":
            delay += fault.seconds
        return PlannedReply(verdict, window_headers(self.rules, place), fault, delay)

    def record_lost(self, arrival: Arrival, status: int = 0) -> None:
        """Record a request whose body did not arrive whole, answered with *status* (0: not at all)."""
        place = arrival.place
        window = RequestWindow(place.window, place.start, place.over)
        record = RequestRecord(arrival.seq, arrival.wall, arrival.monotonic, window, status, call=arrival.call.name)
        with self._lock:
            self._store.add_request(record)

    def record_stray(self, stray: Stray) -> None:
        """Record a request to another path or with another method."""
        with self._lock:
            self._store.add_stray(stray)

    def use_up(self, requests: int) -> None:
        """Count *requests* of another client in the current window of profiles."""
        with self._lock:
            self._windows[USER_PROFILE].use_up(self.now(), requests)

    def profiles(self) -> list[Profile]:
        """Return every profile, in the order of their first requests."""
        with self._lock:
            return self._store.profiles()

    def requests(self) -> list[RequestRecord]:
        """Return every request that was answered or lost, in the order of arrival."""
        with self._lock:
            return self._store.requests()

    def strays(self) -> list[Stray]:
        """Return every request to another path or with another method."""
        with self._lock:
            return self._store.strays()

    def report(self) -> Report:
        """Return the counts of everything so far."""
        with self._lock:
            return self._store.report()

    def flush(self) -> None:
        """Make what is stored visible to other readers of the store's file."""
        with self._lock:
            self._store.flush()

    def close(self) -> None:
        """Close the store; call no other method afterwards."""
        with self._lock:
            self._store.close()

    def _judge(
        self, seq: int, incoming: IncomingRequest, parsed: ParsedBody, fault: Fault | None, *, over: bool
    ) -> ApiReply:
        if fault is not None and fault.in_front:
            return self._faulty(fault)
        if over:
            return LIMITED[self.rules.replies.limit_reply]
        if not incoming.service_id or self.rules.service_id not in {None, incoming.service_id}:
            return WRONG_SERVICE
        if not self._token_ok(incoming.token):
            return WRONG_TOKEN
        if incoming.content_type != "application/json":
            return because(MALFORMED, "Content-Type is not application/json")
        return parsed.refusal or self._apply(parsed, seq)

    def _faulty(self, fault: Fault) -> ApiReply:
        if fault.kind == "limit" and not fault.status and not fault.code:
            return LIMITED[self.rules.replies.limit_reply]
        if fault.kind in {"hang", "drop-before"}:
            return NOTHING
        return ApiReply(fault.status or 200, fault.code)

    def _apply(self, parsed: ParsedBody, seq: int) -> ApiReply:
        fits: dict[str, Json] = {}
        flaws: list[str] = []
        kinds, takes_any_name = self._kinds, self.rules.registered is None
        for name, value in parsed.properties.items():
            is_known = takes_any_name or name in kinds
            why = misfit(value, kinds.get(name)) if is_known else "not registered"
            if why is None:
                fits[name] = value
            else:
                shown = "a name that looks like data" if looks_like_data(name) else name
                flaws.append(f"{shown}: {why}")
        if flaws and self.rules.refuses_misfits:
            for flaw in flaws:
                self._store.not_stored(flaw)
            return because(INVALID, "; ".join(flaws))
        if not self._store.apply(parsed.person(), fits, seq):
            return because(INVALID, f"the profile's properties would be over {PROPERTY_BYTES} bytes")
        for flaw in flaws:
            self._store.not_stored(flaw)
        return OK

    def _token_ok(self, token: str) -> bool:
        return bool(token) and self.rules.token in {None, token}


def _shown(verdict: ApiReply, fault: Fault) -> ApiReply:
    match fault.kind:
        case "drop-after":
            return NOTHING
        case "garbage":
            return ApiReply(200, "")
        case _:
            return verdict
