"""Send requests: attempt after attempt, each through the limiter."""

from uploader.delivery.http import Http
from uploader.delivery.retry import Airfield, Delivery, Patience

__all__ = ["Airfield", "Delivery", "Http", "Patience"]
