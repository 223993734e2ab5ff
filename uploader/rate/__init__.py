"""Do the window's arithmetic, by a clock that is told: how fast to go, when to wait, how many may be in flight."""

from uploader.rate.concurrency import Crowd, Departure
from uploader.rate.estimated_limit import LowerLimit
from uploader.rate.events import Lowered, Notice, Paused, Stalled, local_time
from uploader.rate.other_clients import Others
from uploader.rate.request_rate import Pace, is_one_at_a_time, pace
from uploader.rate.server_window import Window
from uploader.rate.token_bucket import reserve
from uploader.rate.wait_when_throttled import hold_for

__all__ = [
    "Crowd",
    "Departure",
    "LowerLimit",
    "Lowered",
    "Notice",
    "Others",
    "Pace",
    "Paused",
    "Stalled",
    "Window",
    "hold_for",
    "is_one_at_a_time",
    "local_time",
    "pace",
    "reserve",
]
