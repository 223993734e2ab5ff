"""Say what the mapping asks of the endpoint, which owns the bytes of the bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from uploader.model import Json, Reason


class BodyParts(NamedTuple):
    """What a body says: the identity, the properties (none where the endpoint takes none), the time of the request."""

    identity: Mapping[str, str]
    properties: Mapping[str, Json]
    time: str


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The fixed texts of a body that is joined of columns: what is before the members of each part.

    *properties_begin* is None where the body has no properties. *time_begin* ends with the quote that begins the time.
    A body of more than *most_bytes* may be too large, which only `BodyFormat.encode` can tell.
    """

    identity_begin: str
    properties_begin: str | None
    time_begin: str
    most_bytes: int


class BodyFormat(Protocol):
    """How the bodies of one endpoint are written, and where in them a value is."""

    @property
    def layout(self) -> ColumnLayout:
        """The texts around the parts of a body."""
        ...

    def encode(self, identity: Mapping[str, str], properties: Mapping[str, Json], now: str) -> bytes | Reason:
        """Return the body of these parts, made at *now*; or why it can't be sent."""
        ...

    def parts(self, body: bytes) -> BodyParts:
        """Return the parts of *body*, which `encode` has made, to the last digit."""
        ...

    def complete(self, begin: bytes, time: str) -> bytes:
        """Return the whole body of its *begin*, up to the end of `ColumnLayout.time_begin`, at *time*."""
        ...

    def member_begin(self, key: str) -> str:
        """Return what is right before the value of the field or property *key*; no value in a body can contain it."""
        ...

    def text_begin(self, first: str) -> bytes:
        """Return what every text in a body begins with whose first characters are *first* (ASCII)."""
        ...
