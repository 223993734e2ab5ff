"""Define the replies that the API's documentation lists, and the headers that describe the window."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from types import MappingProxyType

import orjson

from uploader.sandbox.rate_limit import WindowPlace
from uploader.sandbox.settings import SandboxRules


@dataclass(frozen=True, slots=True)
class ApiReply:
    """A reply: the HTTP *status* (0: no reply), the API's *code*, and the reason *why*, in fixed words.

    The code is "" where the documentation gives none.
    """

    status: int
    code: str
    why: str = ""

    @property
    def message(self) -> str:
        """The message that the documentation gives this code or status."""
        if self.code:
            return MESSAGES.get(self.code, "UNKNOWN")
        return _STATUS_MESSAGES.get(self.status) or HTTPStatus(self.status).phrase

    def body(self) -> dict[str, bool | str | None]:
        """Return the body of the reply, in the documented shape."""
        fine = self.code == "20000"
        return {"status": fine, "code": self.code, "message": self.message, "data": fine or self.why or None}

    def body_bytes(self) -> bytes:
        """Return the body of the reply as it is sent."""
        return OK_BYTES if self == OK else orjson.dumps(self.body())


MESSAGES = MappingProxyType(
    {
        "20000": "OK",
        "40000": "BAD_REQUEST",
        "40001": "VALIDATION_FAILURE",
        "40101": "INVALID_SERVICE_ID",
        "40201": "INVALID_TOKEN",
        "40401": "TOO_MANY_REQUEST",
        "40402": "TOO_MANY_EVENTS",
        "40403": "TOO_MANY_USER_PROFILES",
        "50000": "INTERNAL_SERVER_ERROR",
    }
)
"""The codes that the documentation lists, with their messages."""

_STATUS_MESSAGES = MappingProxyType({400: "Bad Request", 429: "Too Many Requests", 500: "Server Error"})

OK = ApiReply(200, "20000")
OK_BYTES = orjson.dumps(OK.body())
MALFORMED = ApiReply(400, "")
BATCH = ApiReply(200, "40000")
INVALID = ApiReply(200, "40001")
WRONG_SERVICE = ApiReply(200, "40101")
WRONG_TOKEN = ApiReply(200, "40201")
LIMITED: Mapping[str, ApiReply] = MappingProxyType({"429": ApiReply(429, ""), "40401": ApiReply(200, "40401")})
NOTHING = ApiReply(0, "")


def because(verdict: ApiReply, why: str) -> ApiReply:
    """Return *verdict* with its reason: fixed words, never a value of the request."""
    return replace(verdict, why=why)


def window_headers(rules: SandboxRules, place: WindowPlace) -> dict[str, str]:
    """Return the headers that describe the window, in the spelling and the unit of *rules*."""
    style = rules.replies
    reset = place.reset + style.clock_skew
    values = (period(rules.per), str(place.remaining), str(int(reset * 1000) if style.unit == "ms" else int(reset)))
    headers: dict[str, str] = {}
    if style.spelling in {"both", "documented"}:
        headers.update(zip(_DOCUMENTED_NAMES, values, strict=True))
    if style.spelling in {"both", "lower"}:
        headers.update(zip(_LOWER_NAMES, values, strict=True))
    return headers


_DOCUMENTED_NAMES = ("X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset")
_LOWER_NAMES = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


@cache
def period(seconds: float) -> str:
    """Return a window's length as the API writes it, a number and a unit: `1m`, `10s`, `1d`."""
    for unit, length in (("d", 86_400), ("H", 3_600), ("m", 60)):
        if seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:g}s"
