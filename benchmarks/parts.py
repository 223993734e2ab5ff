"""Call each part of a row's way alone, in a loop over the same rows, and tell its CPU time."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.contenders import CONCURRENCY
from benchmarks.nginx import Nginx
from benchmarks.people import write_people
from uploader.clock import real_clock
from uploader.config import Settings
from uploader.counts import RunningCounts, Traffic
from uploader.delivery import AttemptRecords, Delivery, Http, InFlightRows, ReplyJudge
from uploader.delivery.outage_detection import OutageDetector
from uploader.delivery.person_ordering import PersonQueue
from uploader.delivery.pipeline import Pipeline
from uploader.delivery.retry_policy import RetryPolicy
from uploader.endpoints import USER_PROFILE
from uploader.mapping import Now, Plan, compile_plan
from uploader.model import Answer, Outcome, Record, Rejected, Reply, Request, Sent, Settled, Unsettled, record_of
from uploader.outputs.rows_to_resend import RowsToResend
from uploader.rate import ServerWindow, pace
from uploader.rate.limiter import Limiter
from uploader.rate.shared_quota import SharedQuota
from uploader.run.environment import Environment
from uploader.run.options import Options
from uploader.run.preflight import opened, settings_of
from uploader.source import Source
from uploader.state import InFlightFile, Journal, RunState
from uploader.state.settled_rows import SettledRows
from uploader.stop import Stop

_OK: Final = Answer(200, "20000")


class Bench:
    """The parts of a run, each with what it needs to be called alone."""

    def __init__(self, folder: Path, settings: Settings, source: Source, plan: Plan, quota: SharedQuota) -> None:
        """Read and map what the loops will be given."""
        self._folder = folder
        self._settings = settings
        self._source = source
        self._plan = plan
        self._quota = quota
        with source.read() as reading:
            self._records: list[Record] = list(reading)
        now = Now(time.time_ns)
        works = [plan.map_row(record, now()) for record in self._records]
        self._requests = [work for work in works if isinstance(work, Request)]
        self._outcomes = [Sent(request, 1) for request in self._requests]

    @classmethod
    @contextlib.contextmanager
    def made(cls, folder: Path, rows: int, config: Path) -> Iterator["Bench"]:
        """Lend a bench for a CSV of so many *rows*, mapped by *config*."""
        path = write_people(folder / f"people-{rows}.csv", rows)
        environment = Environment({}, sys.stdin.buffer)
        settings = settings_of(Options((str(path),), config), environment, credentials=False)
        with opened(str(path), settings, environment) as source:
            plan = compile_plan(
                settings.rules(),
                endpoint=USER_PROFILE,
                source=source.name,
                config="config.yaml",
                columns=source.columns,
                kinds=source.kinds,
            )
            with SharedQuota(folder / "quota", clock=real_clock(), window=settings.rate.per) as quota:
                yield cls(folder, settings, source, plan, quota)

    def loops(self, server: Nginx) -> list[tuple[str, str, Callable[[], float]]]:
        """Return each part's name, what belongs to it, and a loop over all rows that tells its seconds of CPU."""
        return [
            ("read", "`source`: bytes, hash, text, cells, `Row`", self._read),
            ("map", "`mapping`: `Request` with its body, and the time of `now`", self._map),
            ("order", "`delivery.person_ordering`: admit and settle", self._order),
            ("pipeline", "`delivery.pipeline`, `state.settled_rows`: a worker's loop, no order", self._pipeline),
            ("delivery", "`delivery.retry`, `delivery.retry_policy`, `stop`: one attempt, judged", self._delivery),
            ("limiter", "`rate`: pause, window, bucket, quota", self._permits),
            ("HTTP", "`delivery.http`: one POST over a socket, its reply understood", partial(self._http, server)),
            ("journal", "`state.journal`: one checksummed line, one write; no sync", self._journal),
            ("in flight", "`state.in_flight`: mark and clear", self._in_flight),
            ("resend", "`outputs.rows_to_resend`: must it be sent again?", self._resend),
            ("counts", "`counts`: the totals", self._counts),
        ]  # fmt: skip

    def _read(self) -> float:
        with self._source.read() as reading:
            return _cpu(lambda: _drain(reading))

    def _map(self) -> float:
        now = Now(time.time_ns)

        def loop() -> None:
            for record in self._records:
                self._plan.map_row(record, now())

        return _cpu(loop)

    def _order(self) -> float:
        queue = PersonQueue(1024)

        def loop() -> None:
            for request in self._requests:
                queue.next_ready()
                admitted = queue.admit(request)
                if admitted is not None:
                    queue.settle(admitted)

        return _cpu(loop)

    def _pipeline(self) -> float:
        outcomes = {outcome.request.row.number: outcome for outcome in self._outcomes}

        async def deliver(request: Request) -> Outcome | Unsettled:
            return outcomes[request.row.number]

        def works(settled: SettledRows) -> Iterator[Request | Rejected | Settled]:
            for request in self._requests:
                if request.row.number not in settled:
                    yield request

        line = Pipeline(works(SettledRows()), deliver=deliver, settle=_ignore, stop=Stop())
        # The order is shown as a part of its own.
        return max(0.0, _cpu_of(lambda: line.run(CONCURRENCY)) - self._order())

    def _limiter(self, stop: Stop) -> Limiter:
        rate = self._settings.rate
        free = pace(
            requests=rate.requests, per=rate.per, share=rate.share, burst=rate.burst, concurrency=rate.concurrency
        )
        window = ServerWindow(requests=rate.requests, per=rate.per, share=rate.share)
        return Limiter(free, window=window, quota=self._quota, stop=stop, clock=real_clock())

    def _deliverer(
        self, post: Callable[[Request], Awaitable[Reply]], stop: Stop, in_flight_rows: InFlightRows
    ) -> Delivery:
        retry = self._settings.retry
        limiter = self._limiter(stop)
        return Delivery(
            post,
            judge=ReplyJudge(
                RetryPolicy(retry.attempts, retry.base, retry.cap),
                breaker=limiter.breaker,
                jitter=lambda: 0.5,
                outages=OutageDetector(CONCURRENCY),
            ),
            limiter=limiter,
            records=AttemptRecords(in_flight_rows, Traffic(), _ignore),
            stop=stop,
            clock=real_clock(),
        )

    def _delivery(self) -> float:
        async def post(_: Request) -> Reply:
            return _OK

        async def loop() -> None:
            delivery = self._deliverer(post, Stop(), _Nowhere())
            for request in self._requests:
                await delivery.deliver(request)

        # The limiter is shown as a part of its own.
        return max(0.0, _cpu_of(loop) - self._permits())

    def together(self) -> float:
        """Do all of a row's way but HTTP, row after row as a run does; each POST only gives way once."""
        path, stop, rows_to_resend, counts = self._folder / "cost.journal", Stop(), RowsToResend(), RunningCounts()
        now = Now(time.time_ns)

        async def post(_: Request) -> Reply:
            await asyncio.sleep(0)
            return _OK

        def settle(outcome: Outcome | Unsettled) -> None:
            if not isinstance(outcome, Unsettled):
                rows_to_resend.kind(outcome)
                journal.record(outcome)
                in_flight_file.release(record_of(outcome).number)
                counts.add(outcome)

        async def loop() -> None:
            works = (self._plan.map_row(record, now()) for record in reading)
            deliver = self._deliverer(post, stop, in_flight_file).deliver
            await Pipeline(works, deliver=deliver, settle=settle, stop=stop).run(CONCURRENCY)

        with (
            self._source.read() as reading,
            Journal(path, RunState()) as journal,
            InFlightFile(path.with_suffix(".flight")) as in_flight_file,
        ):
            seconds = _cpu_of(loop)
        path.unlink()
        path.with_suffix(".flight").unlink()
        return seconds

    def _permits(self) -> float:
        async def loop() -> None:
            limiter = self._limiter(Stop())
            for _ in self._requests:
                limiter.release(await limiter.acquire(), _OK)

        return _cpu_of(loop)

    def _http(self, server: Nginx) -> float:
        async def loop() -> None:
            shared = iter(self._requests)
            async with _posting(server) as http:
                await asyncio.gather(*(_post_all(shared, http) for _ in range(CONCURRENCY)))

        return _cpu_of(loop)

    def _journal(self) -> float:
        path = self._folder / "cost.journal"
        with Journal(path, RunState()) as journal:
            seconds = _cpu(lambda: _drain(map(journal.record, self._outcomes)))
        path.unlink()
        return seconds

    def _in_flight(self) -> float:
        path = self._folder / "cost.flight"

        def loop() -> None:
            for request in self._requests:
                in_flight_file.mark(request.row.number)
                in_flight_file.release(request.row.number)

        with InFlightFile(path) as in_flight_file:
            seconds = _cpu(loop)
        path.unlink()
        return seconds

    def _resend(self) -> float:
        rows_to_resend = RowsToResend()
        return _cpu(lambda: _drain(map(rows_to_resend.kind, self._outcomes)))

    def _counts(self) -> float:
        counts = RunningCounts()
        return _cpu(lambda: _drain(map(counts.add, self._outcomes)))


class _Nowhere:
    """Mark nothing: the file of rows in flight is shown as a part of its own."""

    def mark(self, row: int) -> None:
        pass

    def clear(self, row: int) -> None:
        pass


@contextlib.asynccontextmanager
async def _posting(server: Nginx) -> AsyncIterator[Http]:
    async with Http(
        base_url=server.url,
        service_id="bench",
        access_token="bench",  # noqa: S106 — nobody's
        timeout=30.0,
        connections=CONCURRENCY,
        wall=time.time,
    ) as http:
        yield http


async def _post_all(requests: Iterator[Request], http: Http) -> None:
    for request in requests:
        reply = await http.post(request.body)
        if not isinstance(reply, Answer) or (reply.status, reply.code) != (_OK.status, _OK.code):
            sys.exit("nginx did not answer as it should; is something else on its port?")


def _cpu(loop: Callable[[], object]) -> float:
    began = time.process_time()
    loop()
    return time.process_time() - began


def _cpu_of(loop: Callable[[], Coroutine[None, None, None]]) -> float:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return _cpu(lambda: runner.run(loop()))


def _drain(things: Iterator[object]) -> None:
    for _ in things:
        pass


def _ignore(_: object) -> None:
    pass
