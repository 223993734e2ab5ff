"""Say that a value can't be read as its type, in fixed words that hold nothing of the value."""

from collections.abc import Container

from uploader.model import Reason, column_in_words


class Unreadable(Exception):  # noqa: N818 — a value is unreadable; it is a row's trouble, never a run's
    """A value is not what its mapping says; the phrase of *reason* follows the column's name."""

    def __init__(self, reason: Reason) -> None:
        """Keep the *reason*."""
        super().__init__(reason.phrase)
        self.reason = reason

    def in_column(self, column: str | None, named: Container[object]) -> Reason:
        """Return the reason with the *column* that the value stands in; the mapping has *named* some columns itself."""
        return Reason(self.reason.code, f"{column_in_words(column, named)}: {self.reason.phrase}")
