"""Test which types of the API can read a value that is no text, with the readers of the mapping."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from uploader.api import PropertyType
from uploader.inference.time_forms import ZONE
from uploader.mapping.rules import PropertyRule, TimeRule
from uploader.mapping.type_conversion import reader
from uploader.mapping.value_errors import Unreadable


@dataclass(frozen=True, slots=True)
class CandidateType:
    """A type as a mapping can declare it; *kind* None means the own type of each value."""

    kind: PropertyType | None
    timezone: str | None = None

    def maker(self) -> Callable[[object], bool]:
        """Return a function that tests whether this type reads a value without changing its meaning."""
        read = reader(PropertyRule("it", "it", kind=self.kind, times=TimeRule(timezone=self.timezone)))

        def reads(value: object) -> bool:
            try:
                read(value)
            except Unreadable:
                return False
            return True

        return reads


OWN: Final = CandidateType(None)
STRING: Final = CandidateType("string")
LONG: Final = CandidateType("long")
DOUBLE: Final = CandidateType("double")
LISTS: Final = (CandidateType("array<string>"), CandidateType("array<long>"), CandidateType("array<double>"))
NAIVE_TIME: Final = CandidateType("datetime", ZONE)
ALL: Final = (OWN, STRING, LONG, DOUBLE, *LISTS, NAIVE_TIME)
