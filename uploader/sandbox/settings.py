"""Define what the sandbox enforces, its latency and its faults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from uploader.sandbox.faults import Fault
from uploader.sandbox.property_types import BUILT_IN, KINDS


@dataclass(frozen=True, slots=True)
class ReplyStyle:
    """How replies tell of the limit and the time.

    Once the limit is exceeded, *limit_reply* answers until the window resets. *spelling* and *unit* are those of the
    window headers (*unit* "s" drops the fraction). *clock_skew* is how many seconds the server's clock is ahead, in
    `Date` and in the reset.
    """

    limit_reply: Literal["429", "40401"] = "429"
    spelling: Literal["both", "documented", "lower", "none"] = "both"
    unit: Literal["s", "ms"] = "s"
    clock_skew: float = 0.0


@dataclass(frozen=True, slots=True)
class SandboxRules:
    """What the sandbox enforces and how it behaves; raises ValueError for an invalid rule.

    *limit* requests are accepted in each window of *per* seconds. Windows start at multiples of *per* plus *anchor*
    seconds of the clock; *anchor* None: the first request of a window opens it.

    *token* and *service_id* are what a request must carry; None: any value that is not empty. *registered* maps the
    names of properties to their types (None: any type); *registered* None: every name is registered. The API's own
    properties always are, with their own types. A request with another property is answered with success, as the
    documentation says, and that property is not stored; *refuses_misfits*: it is refused, so that the sender sees it.

    *latency* (seconds, from and to) is the wait between storing and replying. *seed* is the random seed of *faults* and
    latency. *certificate* is a PEM file with key and chain; with it, https is served.

    It has no states.
    """

    limit: int = 10_000
    per: float = 60.0
    anchor: float | None = 0.0
    token: str | None = field(default=None, repr=False)
    service_id: str | None = None
    registered: Mapping[str, str | None] | None = None
    refuses_misfits: bool = False
    replies: ReplyStyle = ReplyStyle()
    latency: tuple[float, float] = (0.0, 0.0)
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    certificate: Path | None = None

    def __post_init__(self) -> None:
        """Refuse invalid rules."""
        if self.limit < 0:
            raise ValueError(f"limit: {self.limit} is below 0; give the requests of one window")
        if not self.per > 0:
            raise ValueError(f"per: {self.per} is not above 0; give the window's length in seconds")
        if not 0 <= self.latency[0] <= self.latency[1]:
            raise ValueError(f"latency: {self.latency} is no span; give two seconds, the smaller first")
        for name, kind in (self.registered or {}).items():
            if kind is not None and kind not in KINDS:
                raise ValueError(f"registered: {kind!r}, the type of {name!r}, is none of {', '.join(KINDS)}")

    @property
    def kinds(self) -> Mapping[str, str | None]:
        """The types of the properties that are registered by name; None: any type."""
        return {**(self.registered or {}), **BUILT_IN}
