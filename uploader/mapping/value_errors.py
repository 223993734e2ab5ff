"""Report that a value can't be read as its type, in fixed words without the value."""

from collections.abc import Container

from uploader.model import Reason, column_in_words


class Unreadable(Exception):  # noqa: N818 — it rejects a row, and is no error of the run
    """A value can't be read as its mapping says; the phrase of *reason* follows the column's name.

    *omits* is whether the mapping asks that only the value is left out, not its row.
    """

    def __init__(self, reason: Reason, *, omits: bool = False) -> None:
        """Keep the *reason*."""
        super().__init__(reason.phrase)
        self.reason = reason
        self.omits = omits

    def in_column(self, column: str | None, key: str, named: Container[object]) -> Reason:
        """Return the reason with its *column*, and the *key* that reads it where that has another name.

        *named* are the columns that the mapping names.
        """
        target = "" if column == key or column not in named else f" → {key}"
        label = f"{column_in_words(column, named)}{target}"
        return Reason.of_value(self.reason.code, label, self.reason.phrase, column)
