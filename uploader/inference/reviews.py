"""Say what a human has to look at, in the order of the harm that it can do."""

from dataclasses import dataclass
from enum import IntEnum

from uploader.mapping.rules import PropertyRule


class Harm(IntEnum):
    """What goes wrong if a guess is wrong, the worst first."""

    CONSENT = 1
    """Advertising goes to somebody who said no, or to nobody who said yes."""
    PEOPLE = 2
    """Strangers are merged, or one person becomes two."""
    ROWS = 3
    """Rows are rejected."""
    MEANING = 4
    """A value is stored as another one than is meant."""
    LOSS = 5
    """A value is not stored, or only as a text."""


@dataclass(frozen=True, slots=True)
class Review:
    """A *text* for a human to look at, and the *harm* that the guess can do; *instead* is the property to type then."""

    harm: Harm
    text: str
    instead: PropertyRule | None = None
