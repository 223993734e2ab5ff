"""Let requests go at the pace, and nobody at all while the limit holds everybody."""

from collections.abc import Awaitable, Callable

from aiolimiter import AsyncLimiter

from uploader.halt import Halt, Halted
from uploader.pacing import Pace


class Limiter:
    """The one gate that every attempt passes: aiolimiter's bucket, and a hold that closes it for all."""

    def __init__(
        self,
        pace: Pace,
        *,
        halt: Halt,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Size the bucket by *pace*; *clock* gives monotonic seconds."""
        self._bucket = AsyncLimiter(pace.burst, pace.refill)
        self._halt = halt
        self._clock = clock
        self._sleep = sleep
        self._held_until = float("-inf")
        self._held = 0.0

    async def pass_through(self) -> None:
        """Return when one more request may go; raise Halted when the run is told to stop before that."""
        while True:
            while (left := self._held_until - self._clock()) > 0:
                await self._halt.wait(self._sleep(left))
            if self._halt.given:
                raise Halted
            await self._take_token()
            # A hold may have begun while this one waited for its token.
            if self._held_until <= self._clock():
                return

    async def _take_token(self) -> None:
        if self._bucket.has_capacity():
            await self._bucket.acquire()
        else:
            await self._halt.wait(self._bucket.acquire())

    def hold(self, seconds: float) -> float:
        """Let nobody go for *seconds* from now on, of several holds the longest; return how many more that is."""
        now = self._clock()
        until = max(self._held_until, now + seconds)
        more = until - max(self._held_until, now)
        self._held += more
        self._held_until = until
        return more

    @property
    def is_held(self) -> bool:
        """Whether everybody is being held."""
        return self._held_until > self._clock()

    @property
    def held_seconds(self) -> float:
        """How long everybody was held until now, in seconds."""
        return self._held - max(0.0, self._held_until - self._clock())
