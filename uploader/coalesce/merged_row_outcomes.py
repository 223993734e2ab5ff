"""Say what becomes of all the rows that one request speaks for."""

from dataclasses import replace
from typing import assert_never

from uploader.model import Failed, Outcome, Rejected, Sent, Superseded, Unchanged, Unsettled, Work, merged_rows_of


def outcomes_of_merged(work: Work, outcome: Outcome | Unsettled, *, must_resend: bool) -> list[Outcome | Unsettled]:
    """Return the *outcome* of *work* together with those of its members, in the order in which they settle.

    *must_resend* is whether its person has a row in the retry file by now.

    A row that another one took with it is superseded once that one is settled: should the run break off in between, the
    journal says what became of the taker, and the rest follows from it. Rows that go into the retry file, since they
    were not accepted or follow one that was not, do so in their own order, so that the taker comes last.
    """
    merged = merged_rows_of(work)
    before: list[Outcome | Unsettled] = []
    after: list[Outcome | Unsettled] = []
    match outcome:
        case Sent() if must_resend:
            merged_into, result = outcome.request.row.number, (outcome.attempts, outcome.unsure)
            # Each was accepted as a part of the whole, and has to follow whatever that follows.
            person = outcome.request.person
            before = [Sent(replace(row, person=person), *result, merged_into) for row in merged]
        case Sent() | Unchanged():
            after = [Superseded(row, outcome.request.row.number) for row in merged]
        case Superseded():
            after = [Superseded(row, outcome.by) for row in merged]
        case Failed():
            merged_into, why = outcome.request.row.number, (outcome.reason, outcome.attempts, outcome.unsure)
            before = [Failed(row, *why, merged_into) for row in merged]
        case Rejected():
            merged_into, why = outcome.record.number, (outcome.reason, outcome.attempts, outcome.unsure)
            before = [Rejected(row.row, row.person, *why, merged_into) for row in merged]
        case Unsettled():
            after = [Unsettled(row) for row in merged]
        case _ as never:
            assert_never(never)
    return [*before, outcome, *after]
