"""Report that a value can't be read as its type, in fixed words without the value."""

from collections.abc import Container

from uploader.model import Reason, column_in_words


class Unreadable(Exception):  # noqa: N818 — it rejects a row, and is no error of the run
    """A value can't be read as its mapping says; the phrase of *reason* follows the column's name."""

    def __init__(self, reason: Reason) -> None:
        """Keep the *reason*."""
        super().__init__(reason.phrase)
        self.reason = reason

    def in_column(self, column: str | None, named: Container[object]) -> Reason:
        """Return the reason with its *column*; *named* are the columns that the mapping names."""
        return Reason(self.reason.code, f"{column_in_words(column, named)}: {self.reason.phrase}")
