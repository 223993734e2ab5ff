"""Put notices of the pace into words."""

from typing import assert_never

from uploader.clock import local_time
from uploader.outputs.duration_text import spell_seconds
from uploader.rate import Lowered, Notice, OtherClients, Paused, Stalled
from uploader.rate.events import PauseReason


def message_of(notice: Notice, *, configured: int, per: float, now: float) -> str:
    """Return one line that says *notice*; the limit is *configured* in *per* seconds, *now* is since 1970."""
    match notice:
        case Paused(seconds, why):
            return pause_line(seconds, why, now=now)
        case Stalled():
            return (
                "Another run of this machine is suspended and holds the quota's lock: this run continues with its own "
                "part of the limit. Continue the other process (kill -CONT), or end it."
            )
        case OtherClients(per_minute):
            return others_line(per_minute)
        case Lowered(requests):
            return (
                f"The service took about {requests:,} requests in {spell_seconds(per)} before it refused more, and "
                f"rate.requests says {configured:,}: this run sends more slowly. Correct rate.requests."
            )
        case _ as never:
            assert_never(never)


def pause_line(seconds: float, why: PauseReason, *, now: float) -> str:
    """Return one line that says that sending pauses for *seconds* from *now* on, and why."""
    until = local_time(seconds, now=now)
    return f"{_cause_of(why)}: sending pauses for {spell_seconds(seconds)}, until {until}."


def others_line(requests_per_minute: float) -> str:
    """Return one line that says how much other clients use."""
    use = f"about {requests_per_minute:,.0f} requests a minute"
    return f"Others use the same quota, {use}: this run takes what they leave."


def _cause_of(why: PauseReason) -> str:
    match why:
        case "limit":
            return "The service throttles this run"
        case "another run":
            return "Another run was throttled"
        case "window":
            return "This run's part of the service's window is used up"
        case "pace":
            return "The limit in rate.requests allows no more"
        case _ as never:
            assert_never(never)
