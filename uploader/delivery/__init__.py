"""Send requests: attempt after attempt, each through the limiter."""

from uploader.delivery.http import Http
from uploader.delivery.retry import Delivery, InFlightRows, WaitLimits

__all__ = ["Delivery", "Http", "InFlightRows", "WaitLimits"]
