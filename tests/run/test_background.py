"""What a run reports beside sending."""

import asyncio
from types import SimpleNamespace
from typing import Any

from uploader.clock import Clock
from uploader.run.background import report_outages
from uploader.run.events import Events, Outage

WHY = "no connection to the server"


class Outages(Events):
    """Keeps each outage that is reported."""

    def __init__(self) -> None:
        self.heard: list[Outage] = []

    def outage(self, outage: Outage) -> None:
        self.heard.append(outage)


class Moments:
    """A service that is out at some of the looks; each look takes half a second."""

    def __init__(self, *looks: tuple[float, str] | None) -> None:
        self.looks = list(looks)
        self.delivery: Any = SimpleNamespace(outage=self.looks.pop(0))
        self.now = 100.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if not self.looks:
            raise asyncio.CancelledError
        self.delivery.outage = self.looks.pop(0)

    async def reported(self) -> list[Outage]:
        events = Outages()
        clock = Clock(lambda: self.now + 1_000.0, lambda: self.now, self.sleep)
        await asyncio.gather(report_outages(self.delivery, clock, events), return_exceptions=True)
        return events.heard


async def test_an_outage_is_reported_when_it_is_seen_and_when_it_is_over() -> None:
    heard = await Moments(None, (99.0, WHY), (99.5, WHY), None, None).reported()

    assert heard == [Outage(1099.0, None, WHY), Outage(1099.0, 1101.5, WHY)]


async def test_an_outage_that_lasts_is_over_for_the_observers_when_the_source_is() -> None:
    heard = await Moments((100.0, WHY), (100.0, WHY)).reported()

    assert heard == [Outage(1100.0, None, WHY), Outage(1100.0, 1101.0, WHY)]


async def test_without_an_outage_nothing_is_reported() -> None:
    assert await Moments(None, None).reported() == []
