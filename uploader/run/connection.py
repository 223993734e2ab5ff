"""Open what all sources of a run share to reach the service."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from uploader.changes.registered_people import RegisteredPeople
from uploader.changes.stale_retries import StaleRetries
from uploader.clock import Clock
from uploader.config import Settings
from uploader.delivery import AttemptRecords, Delivery, Http, HttpProxy, ReplyJudge
from uploader.delivery.firewall_blocks import BlockedRows
from uploader.delivery.outage_detection import OutageDetector
from uploader.delivery.retry import InFlightRows
from uploader.delivery.retry_policy import RetryPolicy
from uploader.endpoints import ENDPOINTS, IDENTITIES
from uploader.model import NotNewest, Reply, Request
from uploader.rate import EstimatedLimit, Notice, OtherClients, Pace, Paused, ServerWindow, is_one_at_a_time
from uploader.rate.limiter import Limiter
from uploader.rate.shared_quota import SharedQuota
from uploader.run.environment import Environment
from uploader.run.events import OthersSeen, Remark, ThrottledPause
from uploader.run.fingerprints import service_of, service_of_settings
from uploader.run.open_change_detection import open_stores
from uploader.run.open_file_limit import fit_to_open_files
from uploader.run.preflight import pace_of
from uploader.run.proxy_and_certificates import Route
from uploader.run.rate_messages import message_of
from uploader.run.registration import RegisterFirst, RowDelivery, Unmarked
from uploader.run.row_events import RowEvents
from uploader.run.session import Session
from uploader.state import RunStore
from uploader.stop import Stop

_REPLY_SECONDS: Final = 5.0
"""Seconds that a request may stay in flight beyond its timeout."""


@dataclass(slots=True)
class Registration:
    """How people are registered: the *limiter* of that call, which has a quota of its own, and who is registered.

    *requests* is how many requests of this run have registered people so far, each attempt counted.
    """

    people: RegisteredPeople
    limiter: Limiter
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Connection:
    """What all sources of a run share: clock, stop, pace, limiter, the pool of connections, blocked rows.

    *registration* is None where nobody is registered first.
    """

    settings: Settings
    clock: Clock
    stop: Stop
    pace: Pace
    limiter: Limiter
    http: Http
    blocked_rows: BlockedRows
    registration: Registration | None = None

    @property
    def limiters(self) -> tuple[Limiter, ...]:
        """The limiter of the rows' call, and that of registrations, if people are registered first."""
        return (self.limiter,) if self.registration is None else (self.limiter, self.registration.limiter)

    @property
    def outage(self) -> tuple[float, str] | None:
        """Since when the service is out at the call that was out first, and why; None while all calls are served."""
        return min(filter(None, (limiter.breaker.outage for limiter in self.limiters)), default=None)

    def registrations(self) -> int:
        """Return how many requests of this run have registered people so far, each attempt counted."""
        return 0 if self.registration is None else self.registration.requests

    def delivery(
        self,
        session: Session,
        stale_retries: StaleRetries,
        row_events: RowEvents,
        *,
        on_suspected_outage: Callable[[], None],
    ) -> RowDelivery:
        """Return a delivery whose attempts, pauses and counts *session* records; *on_suspected_outage* see there.

        Before each attempt, *stale_retries* says what of the row is still the newest. *row_events* reports its time.
        Where people are registered first, so is whom the row is about.
        """
        # Rows that are registered and rows that are sent wait for the same service: together they show an outage.
        outages = OutageDetector(self.pace.concurrency)

        def delivery_by(
            post: Callable[[Request], Awaitable[Reply]],
            limiter: Limiter,
            in_flight: InFlightRows,
            newest: Callable[[Request], Request | NotNewest] = lambda request: request,
        ) -> Delivery:
            return Delivery(
                row_events.timed(post),
                judge=self._judge(limiter, outages, on_suspected_outage),
                limiter=limiter,
                records=AttemptRecords(in_flight, session.traffic, session.record_pause),
                stop=self.stop,
                clock=self.clock,
                newest=newest,
            )

        endpoint, registration = ENDPOINTS[self.settings.api.endpoint], self.registration
        send = delivery_by(self.http.post_to(endpoint), self.limiter, session.in_flight, stale_retries.newest)
        if registration is None:
            return send
        post = self.http.post_to(IDENTITIES)

        def counted_post(request: Request) -> Awaitable[Reply]:
            registration.requests += 1
            return post(request)

        register = delivery_by(counted_post, registration.limiter, Unmarked())
        return RegisterFirst(registration.people, register, send, session.record_registered)

    def _judge(self, limiter: Limiter, outages: OutageDetector, on_suspected_outage: Callable[[], None]) -> ReplyJudge:
        retry = self.settings.retry
        return ReplyJudge(
            RetryPolicy(retry.attempts, retry.base, retry.cap),
            breaker=limiter.breaker,
            jitter=random.random,
            outages=outages,
            blocked_rows=self.blocked_rows,
            on_suspected_outage=on_suspected_outage,
        )


@asynccontextmanager
async def connect(  # noqa: PLR0913 — where to, which way, and what the run has already
    settings: Settings, *, base_url: str, route: Route, run_store: RunStore, stop: Stop, environment: Environment
) -> AsyncIterator[Connection]:
    """Open the pool of connections to *base_url* by *route*, and join the runs that share the quota in *run_store*.

    Raises:
        StorageError: the quota's file fails.
    """
    pace = fit_to_open_files(pace_of(settings))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(_http(settings, base_url, route, pace, wall=environment.clock.wall))
        stop.when_grace_is_over(http.abandon)

        def limiter_of(service: str) -> Limiter:
            quota = stack.enter_context(_quota(settings, service, pace, run_store, environment))
            return _limiter(settings, pace, stop, quota, environment)

        yield Connection(
            settings,
            environment.clock,
            stop,
            pace,
            limiter_of(service_of_settings(settings)),
            http,
            BlockedRows(),
            _registration(settings, run_store, environment, stack, limiter_of) if settings.api.register_first else None,
        )


def _quota(settings: Settings, service: str, pace: Pace, run_store: RunStore, environment: Environment) -> SharedQuota:
    """Return the quota of *service* (a key), which all runs of this machine share."""
    alone = is_one_at_a_time(settings.rate.requests)
    return run_store.quota(
        service,
        clock=environment.clock,
        window=settings.rate.per,
        alone=settings.api.timeout + _REPLY_SECONDS if alone else 0.0,
        rest=pace.rest,
    )


def _registration(
    settings: Settings,
    run_store: RunStore,
    environment: Environment,
    stack: AsyncExitStack,
    limiter_of: Callable[[str], Limiter],
) -> Registration:
    """Return how people are registered, until *stack* ends; raises StorageError."""
    api = settings.api
    stores = open_stores(run_store.state, wall=environment.clock.wall, raise_if_stopped=environment.raise_if_stopped)
    people = stores.registered_people(service_of(api.base_url, api.service_id))
    limiter = limiter_of(service_of(api.base_url, api.service_id, IDENTITIES.name))
    return Registration(stack.enter_context(people), limiter)


def _limiter(settings: Settings, pace: Pace, stop: Stop, quota: SharedQuota, environment: Environment) -> Limiter:
    """Return the limiter of all requests: it shares the service's *quota* with all other runs of this machine."""
    rate = settings.rate

    events, wall = environment.events, environment.clock.wall

    def report(notice: Notice) -> None:
        match notice:
            case OtherClients():
                events.other_clients(OthersSeen(wall(), notice.per_minute))
            case Paused():
                events.throttled(ThrottledPause(wall(), notice.seconds, notice.why))
            case _:
                events.remark(Remark(message_of(notice, configured=rate.requests, per=rate.per, now=wall())))

    return Limiter(
        pace,
        window=ServerWindow(requests=rate.requests, per=rate.per, share=rate.share),
        quota=quota,
        stop=stop,
        clock=environment.clock,
        on_notice=report,
        estimated_limit=EstimatedLimit(requests=rate.requests, per=rate.per, share=rate.share),
        outage_timeout=settings.retry.outage_timeout,
    )


def _http(settings: Settings, base_url: str, route: Route, pace: Pace, *, wall: Callable[[], float]) -> Http:
    proxy = route.proxy
    return Http(
        base_url=base_url,
        service_id=settings.api.service_id,
        access_token=settings.api.access_token,
        timeout=settings.api.timeout,
        connections=pace.concurrency,
        wall=wall,
        proxy=None if proxy is None else HttpProxy(proxy.url, proxy.authorization),
        trust=route.trust,
    )
