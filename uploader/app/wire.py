"""Open what all sources of a run share on their way to the service."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from uploader.app.checking import pace_of
from uploader.app.keys import service_of
from uploader.app.late import Late
from uploader.app.lives import Life
from uploader.app.notices import words_of
from uploader.app.options import World
from uploader.app.route import Route
from uploader.app.sockets import fitted
from uploader.config import Settings
from uploader.halt import Halt
from uploader.journal import Quota, Shelf
from uploader.pacing import LowerLimit, Notice, Others, Pace, Window, is_one_at_a_time
from uploader.policy import Policy
from uploader.sender import Delivery, Http, Limiter, Patience
from uploader.streak import Streak

_LANDING: Final = 5.0
"""Seconds that a request may take to land, besides its timeout."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What all sources of a run share: the stop order, the pace, the gate, the pool of connections, blocked rows."""

    settings: Settings
    halt: Halt
    pace: Pace
    limiter: Limiter
    http: Http
    streak: Streak

    def delivery(self, life: Life, late: Late, *, on_suspicion: Callable[[], None]) -> Delivery:
        """Return a delivery whose every attempt, hold and count is known to *life*; *on_suspicion* see there.

        Before each attempt, *late* says what of the row is still the newest.
        """
        retry, post = self.settings.retry, self.http.post
        return Delivery(
            lambda request: post(request.body),
            policy=Policy(retry.attempts, retry.base, retry.cap),
            limiter=self.limiter,
            airfield=life.flight,
            patience=Patience(self.settings.rate.per, retry.outage_timeout),
            traffic=life.traffic,
            halt=self.halt,
            sleep=asyncio.sleep,
            clock=time.monotonic,
            wall=time.time,
            dice=random.random,
            note_held=life.note_held,
            most_rows=self.pace.concurrency,
            on_suspicion=on_suspicion,
            streak=self.streak,
            newest=late.newest,
        )


@asynccontextmanager
async def wired(  # noqa: PLR0913 — where to, which way, and what the run has already
    settings: Settings, *, base_url: str, route: Route, shelf: Shelf, halt: Halt, world: World
) -> AsyncIterator[Wire]:
    """Open the pool to *base_url* by *route*, and join the runs that share the quota, which *shelf* keeps.

    Raises:
        StorageError: the quota can't be kept.
    """
    pace = fitted(pace_of(settings))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(_http(settings, base_url, route, pace))
        halt.when_landing_is_over(http.abandon)
        service = service_of(settings.api.base_url, settings.api.service_id)
        alone = is_one_at_a_time(settings.rate.requests)
        quota = stack.enter_context(
            shelf.quota(
                service,
                clock=time.monotonic,
                wall=time.time,
                window=settings.rate.per,
                alone=settings.api.timeout + _LANDING if alone else 0.0,
                rest=pace.rest,
            )
        )
        yield Wire(settings, halt, pace, _limiter(settings, pace, halt, quota, world), http, Streak())


def _limiter(settings: Settings, pace: Pace, halt: Halt, quota: Quota, world: World) -> Limiter:
    """Return the gate of all requests: it shares the service's *quota* with all other runs of this machine."""
    rate = settings.rate

    def tell(others: Others) -> None:
        if not world.quiet:
            world.say(
                f"Others use the same quota, about {others.per_minute:,.0f} requests a minute: "
                "this run takes what they leave."
            )

    def notify(notice: Notice) -> None:
        if not world.quiet:
            world.say(words_of(notice, configured=rate.requests, per=rate.per, now=time.time()))

    return Limiter(
        pace,
        window=Window(requests=rate.requests, per=rate.per, share=rate.share),
        quota=quota,
        halt=halt,
        clock=time.monotonic,
        sleep=asyncio.sleep,
        on_others=tell,
        on_notice=notify,
        lower=LowerLimit(requests=rate.requests, per=rate.per, share=rate.share),
        wall=time.time,
        patience=settings.retry.outage_timeout,
    )


def _http(settings: Settings, base_url: str, route: Route, pace: Pace) -> Http:
    proxy = route.proxy
    return Http(
        base_url=base_url,
        service_id=settings.api.service_id,
        access_token=settings.api.access_token.get_secret_value(),
        timeout=settings.api.timeout,
        connections=pace.concurrency,
        wall=time.time,
        proxy=None if proxy is None else proxy.url,
        proxy_authorization=None if proxy is None else proxy.authorization,
        trust=route.trust,
    )
