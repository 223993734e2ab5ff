"""Define the faults: what goes wrong, for which requests and how often."""

import re
from dataclasses import dataclass
from math import inf
from types import MappingProxyType

from uploader.units import DURATION, seconds_of


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault: how it is written, what it does, and the *pattern* of what follows its name.

    *in_front* is whether something in front of the API answers, so that the request is never applied; otherwise the
    API handles the request and only the reply is distorted.
    """

    usage: str
    does: str
    pattern: str = ""
    in_front: bool = False


FAULT_KINDS = MappingProxyType(
    {
        "code": FaultKind("code=CODE", "HTTP 200 with this code of the API", r"=(?P<code>[0-9]{1,9})", in_front=True),
        "http": FaultKind(
            "http=STATUS[:CODE]",
            "this HTTP status, with a page of a proxy or with this code of the API",
            r"=(?P<status>[2-5][0-9]{2})(?::(?P<code>[0-9]{1,9}))?",
            in_front=True,
        ),
        "limit": FaultKind(
            "limit[=429|40401]",
            "the limit's reply, and a lock-out until the window resets, as if another client had used it up",
            r"(?:=(?P<limit>429|40401))?",
            in_front=True,
        ),
        "latency": FaultKind(
            "latency=TIME",
            "the reply, this much later (500ms, 2s, 1m)",
            rf"=(?P<wait>{DURATION})",
        ),
        "hang": FaultKind("hang", "no reply ever", in_front=True),
        "drop-before": FaultKind("drop-before", "the connection closed, the request not applied", in_front=True),
        "drop-after": FaultKind("drop-after", "the connection closed, the request applied"),
        "drip": FaultKind("drip", "the reply one byte every 200 ms, endlessly"),
        "cut": FaultKind("cut", "half of the reply, then the connection closed"),
        "garbage": FaultKind("garbage", "HTTP 200 with bytes that are no JSON, the request applied"),
        "html": FaultKind("html", "HTTP 200 with a page of a proxy, the request not applied", in_front=True),
        "redirect": FaultKind(
            "redirect[=[STATUS:]URL]",
            "a redirect, 302 to http://127.0.0.1:1/ unless told",
            r"(?:=(?:(?P<status>30[12378]):)?(?P<url>\S+))?",
            in_front=True,
        ),
        "huge": FaultKind("huge", "the reply, 10 MB long"),
        "number-code": FaultKind("number-code", "the reply with its code as a JSON number"),
        "retry-after": FaultKind(
            "retry-after=SECONDS",
            "HTTP 429 of a proxy with Retry-After, the window untouched",
            r"=(?P<seconds>[0-9]{1,9})",
            in_front=True,
        ),
        "close": FaultKind("close", "the reply, then the connection closed as announced"),
        "unasked": FaultKind(
            "unasked=TIME[:STATUS]",
            "the reply, and this much later once more, or a proxy's page with this status and the connection closed",
            rf"=(?P<wait>{DURATION})(?::(?P<status>[2-5][0-9]{{2}}))?",
        ),
    }
)
"""Every kind of fault by its name."""

GRAMMAR = "KIND[=ARG] [for SHARE%|for FIELD=VALUE] [times N] [after N] [from TIME] [until TIME]"

_FAULT = re.compile(
    r"(?P<kind>[a-z-]+)(?P<arg>=\S*)?(?:\s+for\s+(?P<target>.+?))?(?P<counts>(?:\s+(?:times|after|from|until)\s+\S+)*)"
)
_COUNT = re.compile(r"(times|after)\s+(\S+)")
_MOMENT = re.compile(r"(from|until)\s+(\S+)")
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and when.

    It is meant for the requests whose *field* (of identity or properties) is *value*; *field* "": every request. It
    skips the first *after* of those, then happens to a *share* of the rest (0 to 1), at most *times* times. It is
    active from *begins* until *ends*, in seconds after the sandbox's first request. *seconds* is a wait: before the
    reply, before what follows it, or in Retry-After.

    It has no states: the schedule counts how often it happened.
    """

    kind: str
    status: int = 0
    code: str = ""
    seconds: float = 0.0
    url: str = ""
    share: float = 1.0
    field: str = ""
    value: str = ""
    times: int | None = None
    after: int = 0
    begins: float = 0.0
    ends: float = inf

    @property
    def in_front(self) -> bool:
        """Whether the request never reaches the API."""
        return FAULT_KINDS[self.kind].in_front

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Return the fault that *text* describes; raises ValueError, which says what is expected.

        The form: `KIND[=ARG] [for SHARE%|for FIELD=VALUE] [times N] [after N] [from TIME] [until TIME]`.
        """
        parts = _FAULT.fullmatch(text.strip())
        if parts is None:
            raise ValueError(f"fault {text!r} is not of the form {GRAMMAR}")
        name, kind = parts["kind"], FAULT_KINDS.get(parts["kind"])
        if kind is None:
            raise ValueError(f"fault {text!r}: there is no {name!r}; choose from {', '.join(FAULT_KINDS)}")
        argument = re.fullmatch(kind.pattern, parts["arg"] or "")
        if argument is None:
            raise ValueError(f"fault {text!r}: {name!r} is written {kind.usage}")
        given = {key: found for key, found in argument.groupdict().items() if found is not None}
        share, field, value = _target(text, parts["target"])
        counts = _counts(text, parts["counts"])
        begins, ends = _span(text, parts["counts"])
        return cls(
            name,
            status=_status(name, given),
            code=_code(given),
            seconds=_seconds(given),
            url=given.get("url", "http://127.0.0.1:1/" if name == "redirect" else ""),
            share=share,
            field=field,
            value=value,
            times=counts.get("times"),
            after=counts.get("after", 0),
            begins=begins,
            ends=ends,
        )

    def __str__(self) -> str:
        """Return the fault's kind and its code or status, as records name it."""
        detail = self.code or (str(self.status) if self.status else "")
        return f"{self.kind}={detail}" if detail else self.kind


def _status(name: str, given: dict[str, str]) -> int:
    if given.get("limit") == "429" or name == "retry-after":
        return 429
    if name == "redirect":
        return int(given.get("status", "302"))
    return int(given.get("status", "0"))


def _code(given: dict[str, str]) -> str:
    if given.get("limit") == "40401":
        return "40401"
    return given.get("code", "")


def _seconds(given: dict[str, str]) -> float:
    return seconds_of(given.get("wait", "")) or float(given.get("seconds", "0"))


def _target(text: str, target: str | None) -> tuple[float, str, str]:
    if target is None:
        return 1.0, "", ""
    share = _SHARE.fullmatch(target)
    if share is not None:
        percent = float(share[1])
        if not 0 < percent <= 100:  # noqa: PLR2004 - a share in percent ends at 100
            raise ValueError(f"fault {text!r}: {target} is not above 0% and up to 100%")
        return percent / 100, "", ""
    field, sign, value = target.partition("=")
    if not sign or not field:
        raise ValueError(f"fault {text!r}: 'for {target}' is neither 'for SHARE%' nor 'for FIELD=VALUE'")
    return 1.0, field, value


def _span(text: str, counts: str) -> tuple[float, float]:
    """Return when a fault begins and ends, in seconds after the first request."""
    found: dict[str, float] = {}
    for name, moment in _MOMENT.findall(counts):
        seconds = seconds_of(moment)
        if name in found:
            raise ValueError(f"fault {text!r}: {name!r} is there twice")
        if seconds is None:
            raise ValueError(f"fault {text!r}: {name!r} wants a time such as 500ms, 5s or 1m, found {moment!r}")
        found[name] = seconds
    begins, ends = found.get("from", 0.0), found.get("until", inf)
    if begins >= ends:
        raise ValueError(f"fault {text!r}: it would end before it begins")
    return begins, ends


def _counts(text: str, counts: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, number in _COUNT.findall(counts):
        if name in found:
            raise ValueError(f"fault {text!r}: {name!r} is there twice")
        if not (number.isascii() and number.isdigit()):
            raise ValueError(f"fault {text!r}: {name!r} wants a whole number, found {number!r}")
        found[name] = int(number)
    return found
