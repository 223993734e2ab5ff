"""Send requests: attempt after attempt, each through the limiter."""

from uploader.sender.delivery import Delivery, Patience
from uploader.sender.http import Http
from uploader.sender.limiter import Limiter, Pass

__all__ = ["Delivery", "Http", "Limiter", "Pass", "Patience"]
