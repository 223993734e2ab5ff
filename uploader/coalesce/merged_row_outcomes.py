"""Derive the outcomes of all rows that were merged into one request."""

from dataclasses import replace
from typing import assert_never

from uploader.model import Failed, Outcome, Rejected, Sent, Superseded, Unchanged, Unsettled, Work, merged_rows_of


def outcomes_of_merged(work: Work, outcome: Outcome | Unsettled, *, must_resend: bool) -> list[Outcome | Unsettled]:
    """Return the *outcome* of *work* and those of the rows merged into it, in the order in which they settle.

    *must_resend* is whether the person has a row in the retry file by now.

    Superseded rows are settled after the row that they were merged into. If the run is interrupted in between, their
    outcomes follow from that row's, which is in the journal. Rows for the retry file, which were not accepted or follow
    one that was not, keep the order of the source, so that the row they were merged into is the last.
    """
    merged = merged_rows_of(work)
    before: list[Outcome | Unsettled] = []
    after: list[Outcome | Unsettled] = []
    match outcome:
        case Sent() if must_resend:
            merged_into, result = outcome.request.row.number, (outcome.attempts, outcome.unsure)
            # Each was accepted as a part of the merged request, and follows the same earlier rows.
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
            before = [Rejected(row.row, row.person, *why, merged_into, outcome.message) for row in merged]
        case Unsettled():
            after = [Unsettled(row) for row in merged]
        case _ as never:
            assert_never(never)
    return [*before, outcome, *after]
