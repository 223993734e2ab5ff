"""Do the window's arithmetic, by a clock that is told: how fast to go, when to wait, how many may be in flight."""

from uploader.pacing.bucket import reserve
from uploader.pacing.crowd import Crowd, Departure
from uploader.pacing.hold import hold_for
from uploader.pacing.lowered import LowerLimit
from uploader.pacing.notices import Lowered, Notice, Paused, Stalled, local_time
from uploader.pacing.others import Others
from uploader.pacing.pace import Pace, is_one_at_a_time, pace
from uploader.pacing.window import Window

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
