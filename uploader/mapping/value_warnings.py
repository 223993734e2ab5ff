"""Find what is odd about the values of a request that can be sent: the values of its properties."""

from collections.abc import Callable, Container, Mapping, Sequence
from datetime import date

from uploader.api import GENDER
from uploader.mapping.birth_dates import BirthDates
from uploader.mapping.body_format import BodyFormat
from uploader.mapping.field_paths import Take
from uploader.mapping.genders import genders_of, is_known_gender
from uploader.mapping.rules import PropertyRule
from uploader.mapping.spreadsheet_damage import Spreadsheet, is_damaged
from uploader.model import Reason, Request


class ValueWarnings:
    """Warns of damaged texts, of unknown genders, and of birth dates that no customer can have.

    *checks* are pairs of two functions: one searches a body, and returns None where there is nothing to warn of; the
    other returns a reason for each odd value of its request.
    """

    def __init__(  # noqa: PLR0913 — what is looked at, and where it is
        self,
        properties: Sequence[PropertyRule],
        paths: Mapping[str, Take],
        body_format: BodyFormat,
        *,
        unsent: frozenset[str] | None,
        named: Container[str],
        today: date | None,
    ) -> None:
        """Look at *properties* in bodies of *body_format*.

        *paths*, *unsent* and *named* are as in `Spreadsheet`, *today* as in `BirthDates`. Without *today*,
        no birth date is looked at.
        """
        self._spreadsheet = Spreadsheet(properties, paths, body_format, unsent=unsent, named=named)
        self._genders = genders_of(properties, body_format, named=named)
        self._births = None if today is None else BirthDates(properties, body_format, today=today, named=named) or None
        checks = (self._spreadsheet, self._genders, self._births)
        self.checks: Sequence[tuple[Callable[[bytes], object], Callable[[Request], Sequence[Reason]]]] = [
            (check.may_find, check) for check in checks if check is not None
        ]

    def may_be_damaged(self, column: str | None, fields: Mapping[str, object]) -> bool:
        """Whether the text of *column* in *fields* looks damaged, be it so only beside other values."""
        return column in self._spreadsheet.text_columns and is_damaged(fields.get(column or ""))

    def is_odd(self, key: str, text: bytes) -> bool:
        """Whether the property *key* is odd with the value whose JSON is *text*, though that does not look damaged."""
        if self._births is not None and self._births.is_odd(key, text):
            return True
        return key == GENDER and self._genders is not None and not is_known_gender(text)

    def ask_each_value(self, key: str) -> bool:
        """Whether some value of the property *key* `is_odd`."""
        return (key == GENDER and self._genders is not None) or (self._births is not None and key in self._births)
