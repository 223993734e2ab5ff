"""Register each person whom the service may not know yet, before their profile is sent (`api.register_first`)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from uploader.changes.registered_people import RegisteredPeople
from uploader.endpoints import IDENTITIES, USER_PROFILE
from uploader.model import Failed, NotSent, Outcome, Reason, Rejected, Request, Sent, Unsettled

_ABOUT: Final = "registering the person: "


class RowDelivery(Protocol):
    """Delivers the requests of rows, each with one call of the API or with several."""

    @property
    def outage(self) -> tuple[float, str] | None:
        """Since when (monotonic) the service is out, and why; None while it is not."""
        ...

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        """Return the outcome of *request*."""
        ...


class Unmarked:
    """Marks no row as in flight: what a registration leaves undone is done again, and no profile is unsure."""

    def mark(self, row: int) -> None:
        """Store nothing about *row*."""

    def clear(self, row: int) -> None:
        """Store nothing about *row*."""


@dataclass(frozen=True, slots=True)
class RegisterFirst:
    """Delivers the profile of a person only after their registration was accepted, by this run or an earlier one.

    *register* delivers to `identities`, *send* to `user-profile`; both retry, and pass a limiter of their own. *people*
    are those who are known to be registered. *on_registered* gets the row and the attempts of each registration.
    The rows of one person must come one after another.
    """

    people: RegisteredPeople
    register: RowDelivery
    send: RowDelivery
    on_registered: Callable[[int, int], None]

    @property
    def outage(self) -> tuple[float, str] | None:
        """Since when the service is out at the call that was out first, and why; None where both are served."""
        return min(filter(None, (self.register.outage, self.send.outage)), default=None)

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        """Return the outcome of *request*, which is that of the registration where that was not accepted.

        Raises:
            StorageError: what was accepted can't be stored.
        """
        if request.person not in self.people:
            outcome = await self._registered(request)
            if not isinstance(outcome, Sent):
                return _unregistered(outcome, request)
            # The order matters: after a crash, at worst the person is registered once more.
            self.people.add(request.person)
            self.on_registered(request.row.number, outcome.attempts)
        outcome = await self.send.deliver(request)
        if isinstance(outcome, Sent):
            # The service now knows the person by each value of the row.
            self.people.add(request.person)
        return outcome

    async def _registered(self, request: Request) -> Outcome | Unsettled:
        identity, _, time = USER_PROFILE.parts(request.body)
        taken = {field: value for field, value in identity.items() if field in IDENTITIES.identity_fields}
        body = IDENTITIES.encode(taken, {}, time)
        if isinstance(body, Reason):
            return Rejected(request.row, request.person, body)
        return await self.register.deliver(replace(request, body=body, merged=()))


def _unregistered(outcome: Failed | Rejected | NotSent | Unsettled, request: Request) -> Outcome | Unsettled:
    """Return the outcome of *request*, of which nothing was sent, by that of its registration."""
    match outcome:
        case Rejected() | Failed():
            # Nothing of the profile can have been applied, not to speak of twice.
            reason = replace(outcome.reason, phrase=_ABOUT + outcome.reason.phrase)
            if isinstance(outcome, Failed):
                return Failed(request, reason, outcome.attempts)
            return replace(outcome, reason=reason, unsure=False)
        case Unsettled():
            return Unsettled(request, outcome.attempts)
        case _:
            return replace(outcome, request=request)
