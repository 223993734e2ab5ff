"""Send requests: attempt after attempt, each through the limiter."""

from uploader.sender.delivery import Airfield, Delivery, Patience
from uploader.sender.http import Http
from uploader.sender.limiter import Limiter

__all__ = ["Airfield", "Delivery", "Http", "Limiter", "Patience"]
