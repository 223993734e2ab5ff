"""Say what becomes of all the rows that one request speaks for."""

from dataclasses import replace
from typing import assert_never

from uploader.model import Failed, Outcome, Rejected, Sent, Superseded, Unchanged, Unsettled, Work, members_of


def spread(work: Work, outcome: Outcome | Unsettled, *, is_owed: bool) -> list[Outcome | Unsettled]:
    """Return the *outcome* of *work* together with those of its members, in the order in which they settle.

    *is_owed* is whether its person has a row in the retry file by now.

    A row that another one took with it is superseded once that one is settled: should the run break off in between, the
    journal says what became of the taker, and the rest follows from it. Rows that go into the retry file, since they
    were not accepted or follow one that was not, do so in their own order, so that the taker comes last.
    """
    members = members_of(work)
    before: list[Outcome | Unsettled] = []
    after: list[Outcome | Unsettled] = []
    match outcome:
        case Sent() if is_owed:
            taker, told = outcome.request.row.number, (outcome.attempts, outcome.unsure)
            # Each was accepted as a part of the whole, and has to follow whatever that follows.
            person = outcome.request.person
            before = [Sent(replace(member, person=person), *told, taker) for member in members]
        case Sent() | Unchanged():
            after = [Superseded(member, outcome.request.row.number) for member in members]
        case Superseded():
            after = [Superseded(member, outcome.by) for member in members]
        case Failed():
            taker, why = outcome.request.row.number, (outcome.reason, outcome.attempts, outcome.unsure)
            before = [Failed(member, *why, taker) for member in members]
        case Rejected():
            taker, why = outcome.record.number, (outcome.reason, outcome.attempts, outcome.unsure)
            before = [Rejected(member.row, member.person, *why, taker) for member in members]
        case Unsettled():
            after = [Unsettled(member) for member in members]
        case _ as never:
            assert_never(never)
    return [*before, outcome, *after]
