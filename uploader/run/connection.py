"""Open what all sources of a run share to reach the service."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from uploader.changes.registered_people import RegisteredPeople
from uploader.changes.stale_retries import StaleRetries
from uploader.clock import Clock
from uploader.config import Settings
from uploader.delivery import Delivery, Http, WaitLimits
from uploader.delivery.firewall_blocks import BlockedRows
from uploader.delivery.outage_detection import OutageDetector
from uploader.delivery.retry import InFlightRows
from uploader.delivery.retry_policy import RetryPolicy
from uploader.endpoints import ENDPOINTS, IDENTITIES, Endpoint
from uploader.model import NotNewest, Request
from uploader.rate import EstimatedLimit, Notice, OtherClients, Pace, ServerWindow, is_one_at_a_time
from uploader.rate.limiter import Limiter
from uploader.rate.open_file_limit import fit_to_open_files
from uploader.rate.shared_quota import SharedQuota
from uploader.run.environment import Environment
from uploader.run.fingerprints import service_of, service_of_settings
from uploader.run.open_change_detection import open_stores
from uploader.run.preflight import pace_of
from uploader.run.proxy_and_certificates import Route
from uploader.run.rate_messages import message_of
from uploader.run.registration import Deliver, RegisterFirst, Unmarked
from uploader.run.session import Session
from uploader.state import RunStore
from uploader.stop import Stop

_REPLY_SECONDS: Final = 5.0
"""Seconds that a request may stay in flight beyond its timeout."""


@dataclass(frozen=True, slots=True)
class Registration:
    """How people are registered: the *limiter* of that call, which has a quota of its own, and who is registered."""

    people: RegisteredPeople
    limiter: Limiter


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

    def deliverer(
        self, session: Session, stale_retries: StaleRetries, *, on_suspected_outage: Callable[[], None]
    ) -> Deliver:
        """Return what delivers a request; *session* records its attempts, pauses and counts.

        Before each attempt, *stale_retries* says what of the row is still the newest. Where people are registered
        first, so is whom the row is about. *on_suspected_outage* is that of `Delivery`.
        """
        # Rows that are registered and rows that are sent wait for the same service: together they show an outage.
        outages = OutageDetector(self.pace.concurrency)
        sending = self._delivery(
            ENDPOINTS[self.settings.api.endpoint],
            self.limiter,
            session,
            in_flight=session.in_flight,
            newest=stale_retries.newest,
            outages=outages,
            on_suspected_outage=on_suspected_outage,
        )
        registration = self.registration
        if registration is None:
            return sending.deliver
        registering = self._delivery(
            IDENTITIES,
            registration.limiter,
            session,
            in_flight=Unmarked(),
            newest=lambda request: request,
            outages=outages,
            on_suspected_outage=on_suspected_outage,
        )
        return RegisterFirst(
            registration.people, registering.deliver, sending.deliver, session.record_registered
        ).deliver

    def _delivery(  # noqa: PLR0913 — what differs between the two calls of a row
        self,
        endpoint: Endpoint,
        limiter: Limiter,
        session: Session,
        *,
        in_flight: InFlightRows,
        newest: Callable[[Request], Request | NotNewest],
        outages: OutageDetector,
        on_suspected_outage: Callable[[], None],
    ) -> Delivery:
        """Return a delivery to *endpoint* through *limiter*; see `Delivery` for the others."""
        retry, post = self.settings.retry, self.http.post
        return Delivery(
            lambda request: post(request.body, endpoint),
            policy=RetryPolicy(retry.attempts, retry.base, retry.cap),
            limiter=limiter,
            in_flight=in_flight,
            wait_limits=WaitLimits(self.settings.rate.per, retry.outage_timeout),
            traffic=session.traffic,
            stop=self.stop,
            clock=self.clock,
            jitter=random.random,
            record_pause=session.record_pause,
            most_rows=self.pace.concurrency,
            on_suspected_outage=on_suspected_outage,
            blocked_rows=self.blocked_rows,
            newest=newest,
            outages=outages,
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

    def tell(others: OtherClients) -> None:
        if not environment.quiet:
            environment.say(
                f"Others use the same quota, about {others.per_minute:,.0f} requests a minute: "
                "this run takes what they leave."
            )

    def notify(notice: Notice) -> None:
        if not environment.quiet:
            environment.say(message_of(notice, configured=rate.requests, per=rate.per, now=environment.clock.wall()))

    return Limiter(
        pace,
        window=ServerWindow(requests=rate.requests, per=rate.per, share=rate.share),
        quota=quota,
        stop=stop,
        clock=environment.clock,
        on_others=tell,
        on_notice=notify,
        estimated_limit=EstimatedLimit(requests=rate.requests, per=rate.per, share=rate.share),
        longest_pause=settings.retry.outage_timeout,
    )


def _http(settings: Settings, base_url: str, route: Route, pace: Pace, *, wall: Callable[[], float]) -> Http:
    proxy = route.proxy
    return Http(
        base_url=base_url,
        service_id=settings.api.service_id,
        access_token=settings.api.access_token.get_secret_value(),
        timeout=settings.api.timeout,
        connections=pace.concurrency,
        wall=wall,
        proxy=None if proxy is None else proxy.url,
        proxy_authorization=None if proxy is None else proxy.authorization,
        trust=route.trust,
    )
