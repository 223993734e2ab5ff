"""Judge one reply: the row's outcome or retry, and whether the run must pause or stop (`docs/api.md`, Replies)."""

from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from uploader.api import ACCEPTED, SUCCESS, TIMEOUT_STATUS
from uploader.model import Answer, Reason, Reply, Silence, WindowState, frozen


@frozen
class Accept:
    """The row is stored."""


@frozen
class Reject:
    """The row is at fault: as it is, it would be rejected again.

    *message* is that of the `Answer`.
    """

    reason: Reason
    message: str = field(default="", repr=False)


@frozen
class Blocked:
    """A reply that would refuse the whole run, but the service has served the run before: so it is about this row.

    The row is tried once more, alone, and rejected for *reason* if that is blocked too. *what* describes the reply.
    *outage* describes it as an outage, which it may turn out to be; "": it can't.
    """

    reason: Reason
    what: str
    outage: str = ""


@frozen
class GiveUp:
    """The attempts are used up: the row has failed, and may be accepted another day."""

    reason: Reason

    @property
    def why(self) -> str:
        """What the last reply was."""
        return self.reason.phrase


@frozen
class TryAgain:
    """Retry this row after *seconds*; *why* it was not accepted may be its own fault or the service's."""

    seconds: float
    why: str = ""


@frozen
class Throttled:
    """The service throttles the run: all requests pause until the window resets. The row is not charged an attempt."""

    window: WindowState


@frozen
class Unreachable:
    """No connection could be made: all requests pause, and no row is charged an attempt.

    *advice* is what may help if it lasts.
    """

    why: str
    advice: str = ""


@frozen
class NoSocket:
    """This machine has no socket or file left: fewer requests are sent at once. No row is charged an attempt."""

    why: str


@frozen
class StopRun:
    """The service refuses every request of this run; *why* names the cause and the next step."""

    why: str


Verdict: TypeAlias = Accept | Reject | Blocked | GiveUp | TryAgain | Throttled | Unreachable | NoSocket | StopRun

_ACCEPT: Final = Accept()
_NAMES: Final = {
    "40000": "BAD_REQUEST",
    "40001": "VALIDATION_FAILURE",
    "40402": "TOO_MANY_EVENTS",
    "40403": "TOO_MANY_USER_PROFILES",
    "50000": "INTERNAL_SERVER_ERROR",
}
_STOP_CODES: Final = {
    "40101": "the service does not know this service ID (code 40101). Correct api.service_id.",
    "40201": "the service does not accept this access token (code 40201). Correct api.access_token.",
}
_STOP_STATUSES: Final = {
    401: "the server does not accept this access token (HTTP 401). Correct api.access_token.",
    403: "the server forbids these requests (HTTP 403). Correct api.access_token, or ask whether this host is allowed.",
    404: "the server has nothing at this address (HTTP 404). Correct api.base_url.",
}
_TRUST_ADVICE: Final = (
    "Correct api.base_url. If it is signed by a certificate authority of your own, set api.ca_file; if it is reached "
    "through a proxy, set api.proxy."
)
_PROXY_ADVICE: Final = (
    "Correct api.proxy, or HTTPS_PROXY where that is not set (http://user:password@host:3128), or ask who runs it."
)
_ROUTE_ADVICE: Final = (
    "If it is reached through a proxy, set api.proxy; if the proxy has a certificate authority of its own, set "
    "api.ca_file too."
)
_ROW_CODES: Final = frozenset({"40000", "40001", "40402", "40403"})
"""The documented codes by which the API rejects a row; a wrong token or service ID has other codes."""

_ROW_STATUSES: Final = frozenset({400, 413, 422})
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_CLIENT_ERRORS: Final = range(400, 500)


def proves(reply: Reply) -> bool:
    """Whether *reply* proves token, service ID and URL: the API accepted the row, or rejected it by a code."""
    return isinstance(reply, Answer) and reply.status == _OK and (reply.code == SUCCESS or proves_by(reply.code))


def proves_by(code: str) -> bool:
    """Whether a row that was rejected with *code* proves token, service ID and URL."""
    return code in _ROW_CODES


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The replies of `docs/api.md`, and how often and after which pauses a row is retried.

    *attempts* is how many a row has in all. Before attempt n + 1 it waits a random part of
    min(*cap*, *base* x 2^(n-1)) seconds: exponential back-off with full jitter.
    """

    attempts: int
    base: float
    cap: float

    def judge(self, reply: Reply, *, attempt: int, jitter: float, proven: bool = False) -> Verdict:
        """Judge the *reply* to the given *attempt* (from 1); *jitter* is a random number from 0 to 1.

        *proven* is whether an earlier reply of the run proves token, service ID and URL. Without it, a reply that
        refuses the request for them stops the run. With it, such a reply is about this row, and a connection that
        can't be trusted is an outage.
        """
        match reply:
            case Answer(status, code) if (status, code) == ACCEPTED:
                return _ACCEPT
            case Answer():
                return self._judge_answer(reply, attempt, jitter, proven=proven)
            case Silence(fatal=True):
                return _untrusted(reply, proven=proven)
            case Silence(local=True):
                return NoSocket(reply.why)
            case Silence(refused=True):
                # No advice if the same route has reached the service before.
                return Unreachable(reply.why, "" if proven else _advice_on_the_way(reply))
            case Silence():
                return self._try_again(Reason("silence", reply.why), attempt, jitter)
            case _ as never:
                assert_never(never)

    def _judge_answer(self, answer: Answer, attempt: int, jitter: float, *, proven: bool) -> Verdict:
        if answer.code in _STOP_CODES:
            return StopRun(_STOP_CODES[answer.code])
        if answer.is_limit:
            return Throttled(answer.window)
        if answer.status == _OK:
            return self._judge_code(answer, attempt, jitter, proven=proven)
        return self._judge_status(answer, attempt, jitter, proven=proven)

    def _judge_code(self, answer: Answer, attempt: int, jitter: float, *, proven: bool) -> Verdict:
        code = answer.code
        if code.startswith("4"):
            return Reject(Reason(code, f"refused by the service: {_name(code)}"), answer.message)
        if code:
            return self._try_again(Reason(code, f"not accepted by the service: {_name(code)}"), attempt, jitter)
        verdict = self._try_again(Reason("not_api", "the reply was not the API's (HTTP 200)"), attempt, jitter)
        # An outage may answer with a page too, so the row uses all its attempts before it counts as blocked.
        if proven and isinstance(verdict, GiveUp):
            return _blocked("not_api", "HTTP 200 and no reply of the API", outage=verdict.why)
        return verdict

    def _judge_status(self, answer: Answer, attempt: int, jitter: float, *, proven: bool) -> Verdict:
        status = answer.status
        if status in _ROW_STATUSES:
            return Reject(Reason(str(status), f"refused by the service: HTTP {status}"), answer.message)
        why = _refusal_of_all(status)
        if not why:
            return self._try_again(Reason(str(status), f"not accepted by the service: HTTP {status}"), attempt, jitter)
        return _blocked(str(status), f"HTTP {status}") if proven else StopRun(why)

    def _try_again(self, reason: Reason, attempt: int, jitter: float) -> TryAgain | GiveUp:
        if attempt >= self.attempts:
            return GiveUp(reason)
        return TryAgain(jitter * min(self.cap, self.base * 2.0 ** min(attempt - 1, 64)), reason.phrase)


def _refusal_of_all(status: int) -> str:
    """Return why *status* refuses all requests of the run; "" if it does not."""
    if status in _STOP_STATUSES:
        return _STOP_STATUSES[status]
    if status in _REDIRECTS:
        return f"the server redirects elsewhere (HTTP {status}); no redirect is followed. Correct api.base_url."
    if status in _CLIENT_ERRORS and status != TIMEOUT_STATUS:
        return f"the server refuses these requests (HTTP {status}). Correct api.base_url."
    return ""


def _untrusted(silence: Silence, *, proven: bool) -> Unreachable | StopRun:
    """Judge a connection that can't be trusted, so that nothing is sent."""
    if proven:
        return Unreachable(silence.why, _advice_on_the_way(silence))
    return StopRun(f"{silence.why}. {_PROXY_ADVICE if silence.by_proxy else _TRUST_ADVICE}")


def _advice_on_the_way(silence: Silence) -> str:
    return _PROXY_ADVICE if silence.by_proxy else _ROUTE_ADVICE


def _blocked(code: str, what: str, *, outage: str = "") -> Blocked:
    phrase = f"answered with {what}, also when sent alone, though the service answers other rows"
    return Blocked(Reason(code, phrase), what, outage)


def _name(code: str) -> str:
    # Only documented codes have a name here; the service's own text is never repeated.
    return f"{_NAMES[code]} ({code})" if code in _NAMES else f"code {code}"
