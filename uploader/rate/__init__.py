"""Decide how fast to send, when to wait, and how many requests may be in flight; callers pass in the time."""

from uploader.rate.circuit_breaker import CLOSED, Breaker
from uploader.rate.concurrency import ConcurrencyLimit, Permit
from uploader.rate.estimated_limit import EstimatedLimit
from uploader.rate.events import Lowered, Notice, Paused, Stalled
from uploader.rate.other_clients import OtherClients
from uploader.rate.quota_lease import Lease, Quota
from uploader.rate.rate_within_limit import Pace, is_one_at_a_time, pace
from uploader.rate.server_window import ServerWindow
from uploader.rate.token_bucket import reserve
from uploader.rate.wait_when_throttled import pause_after_throttling

__all__ = [
    "CLOSED",
    "Breaker",
    "ConcurrencyLimit",
    "EstimatedLimit",
    "Lease",
    "Lowered",
    "Notice",
    "OtherClients",
    "Pace",
    "Paused",
    "Permit",
    "Quota",
    "ServerWindow",
    "Stalled",
    "is_one_at_a_time",
    "pace",
    "pause_after_throttling",
    "reserve",
]
