"""Do the window's arithmetic, by a clock that is told: how fast to go, when to wait, how many may be in flight."""

from uploader.pacing.bucket import reserve
from uploader.pacing.crowd import Crowd, Departure
from uploader.pacing.hold import hold_for
from uploader.pacing.others import Others
from uploader.pacing.pace import Pace, pace
from uploader.pacing.window import Window

__all__ = ["Crowd", "Departure", "Others", "Pace", "Window", "hold_for", "pace", "reserve"]
