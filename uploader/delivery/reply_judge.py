"""Judge each reply by itself and by those before it: whether the row is at fault, or the service."""

from collections.abc import Callable
from dataclasses import dataclass

from uploader.delivery.firewall_blocks import BlockedRows, FirstBlock
from uploader.delivery.outage_detection import OutageDetector
from uploader.delivery.retry_policy import Blocked, GiveUp, RetryPolicy, TryAgain, Unreachable, Verdict, proves
from uploader.model import Answer, Reply
from uploader.rate import Breaker


@dataclass(slots=True)
class RowAttempts:
    """The attempts of one row: how many were *posted*, and whether one of them may be applied (*unsure*).

    *charged* has the times of those that are charged to the row, *crossed* is whether one reply crossed its request,
    and *block* when the row was first blocked.
    """

    posted: int = 0
    unsure: bool = False
    charged: tuple[float, ...] = ()
    crossed: bool = False
    block: FirstBlock | None = None


class ReplyJudge:
    """Judges the replies of one source, by the policy and by what the other rows got.

    While it is calm, all replies since the last trouble were good. It starts otherwise: an earlier source may have left
    trouble behind.
    """

    def __init__(  # noqa: PLR0913 — what a reply is judged by, each asked for by name
        self,
        policy: RetryPolicy,
        *,
        breaker: Breaker,
        jitter: Callable[[], float],
        outages: OutageDetector,
        blocked_rows: BlockedRows | None = None,
        on_suspected_outage: Callable[[], None] = lambda: None,
    ) -> None:
        """Judge by *policy*, and let *breaker* know of suspicion and recovery; *jitter* gives 0 to 1.

        *outages* judges the service by its replies; judges that share it judge one service.
        *blocked_rows* counts blocked rows for all sources of the command. *on_suspected_outage* is called when bad
        replies may be the service's fault: the more rows are in delivery, the sooner that is known.
        """
        self._policy = policy
        self._breaker = breaker
        self.jitter = jitter
        self._outages = outages
        self.blocked_rows = blocked_rows or BlockedRows()
        self._on_suspected_outage = on_suspected_outage
        self.is_calm = False

    def recover(self, sent: float, now: float) -> bool:
        """Record that the service answers *now*, to a request that was *sent* then; return whether the trouble ends."""
        # Unresolved, it may not be the service that answered: one request at a time until a reply proves it.
        resolved = not self.blocked_rows.is_unresolved
        if not self._breaker.recover(sent, proven=resolved):
            return False
        self.is_calm = resolved
        self._outages.add_good_reply(now)
        return True

    def judge(self, reply: Reply, row: int, attempts: RowAttempts, *, sent: float, now: float) -> Verdict:
        """Judge the *reply* that came *now* to the request of *row* that was *sent* then, and was not accepted.

        The attempt is charged to the row if it may be at fault; one crossed reply is not charged.
        """
        self.is_calm = False
        if attempts.charged:
            attempts.charged = tuple(at for at in attempts.charged if not self._outages.excuses(at))
        if proves(reply):
            self.blocked_rows.add_served(sent)
            self.blocked_rows.add_good_reply()
        verdict = self._policy.judge(
            reply, attempt=len(attempts.charged) + 1, jitter=self.jitter(), proven=self.blocked_rows.is_proven
        )
        if isinstance(reply, Answer) and reply.crossed and not attempts.crossed:
            # A second one is charged: the row itself may take too long.
            attempts.crossed = True
            return TryAgain(0.0)
        if isinstance(verdict, TryAgain | GiveUp) or (isinstance(verdict, Blocked) and verdict.outage):
            self._outages.add_bad_reply(row, now)
            if self._outages.is_suspected:
                self._breaker.suspect()
                self._on_suspected_outage()
            if self._outages.is_outage:
                return Unreachable(verdict.outage if isinstance(verdict, Blocked) else verdict.why)
            attempts.charged += (now,)
        return verdict
