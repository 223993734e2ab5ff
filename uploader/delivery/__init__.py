"""Send requests: attempt after attempt, each through the limiter."""

from uploader.delivery.http import Http, HttpProxy
from uploader.delivery.reply_judge import ReplyJudge
from uploader.delivery.retry import AttemptRecords, Delivery, InFlightRows

__all__ = ["AttemptRecords", "Delivery", "Http", "HttpProxy", "InFlightRows", "ReplyJudge"]
