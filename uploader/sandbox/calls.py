"""Define the calls of the API that the sandbox answers: their paths, and the parts of their bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its name, its path, and the parts that its body must have, of which *objects* are objects."""

    name: str
    path: str
    parts: tuple[str, ...]
    objects: tuple[str, ...]


USER_PROFILE: Final = Call(
    "user-profile",
    "/api/v1/user-profile",
    ("identity", "user_properties", "request_datetime"),
    ("identity", "user_properties"),
)
IDENTITIES: Final = Call("identities", "/api/v1/identities", ("identity", "request_datetime"), ("identity",))

CALLS: Final[Mapping[str, Call]] = MappingProxyType({call.path: call for call in (USER_PROFILE, IDENTITIES)})
"""Each call, by its path."""
