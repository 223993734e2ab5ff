"""What a session records of itself over time."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from tests.fakes import Leap
from tests.fakes import gate as gate_of
from uploader.clock import Clock
from uploader.counts import RunningCounts, Traffic
from uploader.errors import StorageError
from uploader.model import Answer, WindowState
from uploader.rate import Pace
from uploader.rate.limiter import Limiter
from uploader.run.record_intervals import IntervalRecorder
from uploader.run.session import Session
from uploader.stop import Stop
from uploader.timeline import Interval, IntervalTotals, Pause

PACE = Pace(burst=10, rate=90.0, concurrency=8)


@dataclass
class CountingSession:
    """Has the totals of a session, and keeps its intervals; *trouble* is raised in place of the next one."""

    traffic: Traffic = field(default_factory=Traffic)
    running_counts: RunningCounts = field(default_factory=RunningCounts)
    intervals: list[Interval] = field(default_factory=list)
    trouble: StorageError | None = None

    def record_interval(self, interval: Interval) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.intervals.append(interval)

    def send(self, requests: int) -> None:
        self.traffic.requests += requests
        self.running_counts.outcomes.sent += requests


class Recording:
    """A recorder of a session of which the test says what it does, in leaping time, from 1,000,000 s since 1970 on."""

    def __init__(self, *, limit: int = 100, per: float = 10.0) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        clock = Clock(lambda: 1_000_000.0 + loop.time() - began, loop.time, asyncio.sleep)
        self.session, self.stop = CountingSession(), Stop()
        self.limiter: Limiter = gate_of(PACE, self.stop, loop.time)
        self.registering: Limiter = gate_of(PACE, self.stop, loop.time)
        self.recorder = IntervalRecorder(
            cast("Session", self.session),
            [self.limiter, self.registering],
            lambda: 0,
            limit=limit,
            per=per,
            clock=clock,
        )
        self.task = asyncio.create_task(self.recorder.record_regularly(self.stop))

    def end(self) -> list[Interval]:
        self.task.cancel()
        self.recorder.record_last()
        return self.session.intervals


def test_each_second_is_recorded_at_first_and_a_longer_time_later(leap: Leap) -> None:
    async def story() -> None:
        recording = Recording()
        for seconds in (*[1] * 600, *[60] * 1_430):
            recording.session.send(3 * seconds)
            await asyncio.sleep(seconds)

        intervals = recording.end()

        assert 1_000 < len(intervals) < 2_000
        assert [round(one.seconds, 1) for one in intervals[:5]] == [1.0] * 5
        assert sum(one.totals.requests for one in intervals) == 3 * 86_400
        assert round(intervals[0].at) == 1_000_000
        assert round(intervals[-1].end) == 1_086_400
        assert all(len(one.windows) <= 4 for one in intervals)

    leap(story())


def test_an_interval_has_the_growth_of_the_totals_and_the_limit(leap: Leap) -> None:
    async def story() -> None:
        recording = Recording()
        recording.session.send(7)
        recording.session.traffic.retries, recording.session.traffic.limited = 2, 1
        recording.session.running_counts.outcomes.failed = 3
        await asyncio.sleep(1.2)
        recording.session.send(5)

        first, last = recording.end()

        assert (first.totals, last.totals) == (IntervalTotals(7, 2, 1, 7, 3), IntervalTotals(5, 0, 0, 5, 0))
        assert (first.limit, first.pace, first.per) == (10.0, 90.0, 10.0)

    leap(story())


def test_pauses_and_latencies_are_those_of_the_limiter_in_wall_time(leap: Leap) -> None:
    async def story() -> None:
        recording = Recording()
        permit = await recording.limiter.acquire()
        await asyncio.sleep(0.3)
        recording.limiter.release(permit, Answer(200, "20000", WindowState()))
        recording.limiter.pause(5.0)
        await asyncio.sleep(0.2)

        (interval,) = recording.end()

        (pause,) = interval.pauses
        assert Pause(pause.kind, round(pause.at, 1), round(pause.seconds, 1)) == Pause("outage", 1_000_000.3, 0.2)
        assert sum(interval.latencies.values()) == 1

    leap(story())


def test_a_pause_of_the_registrations_is_one_of_the_run(leap: Leap) -> None:
    async def story() -> None:
        recording = Recording()
        await asyncio.sleep(0.3)
        recording.registering.pause(5.0)
        await asyncio.sleep(0.2)

        (interval,) = recording.end()

        assert [(pause.kind, round(pause.at, 1)) for pause in interval.pauses] == [("outage", 1_000_000.3)]

    leap(story())


def test_a_service_that_states_no_window_gets_windows_of_our_own_that_never_read_as_too_full(leap: Leap) -> None:
    async def story() -> None:
        recording = Recording(limit=100, per=1.7)
        for _ in range(1000):
            recording.session.send(1)
            await asyncio.sleep(0.017)

        windows = [window for one in recording.end() for window in one.windows]

        assert len(windows) >= 8
        assert max(window.used for window in windows) <= 101
        assert {window.limit for window in windows} == {100}

    leap(story())


def test_a_line_that_cannot_be_written_ends_the_run_and_no_other_is_tried(leap: Leap) -> None:
    async def story() -> None:
        recording = Recording()
        recording.session.trouble = StorageError("the disk is full")
        await asyncio.sleep(3.0)

        assert recording.stop.reason is recording.session.trouble
        recording.session.trouble = None
        assert recording.end() == []

    leap(story())


def test_a_disk_that_is_full_at_the_end_fails_the_session(leap: Leap) -> None:
    async def story() -> None:
        recording = Recording()
        await asyncio.sleep(1.2)
        recording.session.trouble = StorageError("the disk is full")

        with pytest.raises(StorageError, match="the disk is full"):
            recording.end()
        assert len(recording.session.intervals) == 1

    leap(story())


def test_a_recorder_is_cancelled_without_a_trace(leap: Leap) -> None:
    async def story() -> None:
        recording = Recording()
        recording.end()
        with pytest.raises(asyncio.CancelledError):
            await recording.task

    leap(story())
