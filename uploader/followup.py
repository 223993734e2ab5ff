"""Know which rows have to be sent again to make the server right."""

from typing import Literal, TypeAlias, assert_never

from uploader.model import Failed, Outcome, Rejected, Sent

Kind: TypeAlias = Literal["failed", "rejected", "again"]
"""Why a row stands in the retry file; `again`: it was accepted, but has to follow an earlier row that was not."""


class FollowUp:
    """Judge outcomes in the order in which the rows of a person are settled.

    When an older row is sent again, it overwrites what a later row of its person had set. So each accepted row that
    comes after an unaccepted one of the same person is sent again as well, in its place.
    """

    def __init__(self) -> None:
        """Begin with nobody who is owed a row."""
        # Hashes take less room than the values. Two people with one hash cost a needless request, never a missed one.
        self._owed: set[int] = set()

    def kind(self, outcome: Outcome) -> Kind | None:
        """Return why the row of *outcome* must be sent again; None if it need not be."""
        match outcome:
            case Sent():
                hashes = {hash(value) for value in outcome.request.person}
                if self._owed.isdisjoint(hashes):
                    return None
                self._owed |= hashes
                return "again"
            case Failed():
                self._owed.update(map(hash, outcome.request.person))
                return "failed"
            case Rejected():
                self._owed.update(map(hash, outcome.person))
                return "rejected"
            case _ as never:
                assert_never(never)
