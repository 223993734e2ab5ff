"""Say what becomes of all the rows that one request speaks for."""

from typing import assert_never

from uploader.model import Failed, Outcome, Rejected, Sent, Superseded, Unchanged, Unsettled, Work, members_of


def spread(work: Work, outcome: Outcome | Unsettled) -> list[Outcome | Unsettled]:
    """Return the *outcome* of *work* together with those of its members, in the order in which they settle.

    A row that another one took with it is superseded once that one is settled: should the run break off in between, the
    journal says what became of the taker, and the rest follows from it. Rows that were not accepted go into the retry
    file in their own order, so that the taker comes last.
    """
    members = members_of(work)
    if not members:
        return [outcome]
    match outcome:
        case Sent() | Unchanged():
            return [outcome, *(Superseded(member, outcome.request.row.number) for member in members)]
        case Superseded():
            return [outcome, *(Superseded(member, outcome.by) for member in members)]
        case Failed():
            taker, told = outcome.request.row.number, (outcome.reason, outcome.attempts, outcome.unsure)
            return [*(Failed(member, *told, taker) for member in members), outcome]
        case Rejected():
            taker, told = outcome.record.number, (outcome.reason, outcome.attempts, outcome.unsure)
            return [*(Rejected(member.row, member.person, *told, taker) for member in members), outcome]
        case Unsettled():
            return [outcome, *map(Unsettled, members)]
        case _ as never:
            assert_never(never)
