"""Say what the service must have, from the rows that were said: of each person and property the newest row's value.

This knows nothing of the uploader: neither how it keeps its state, nor what it calls a row that it did not send.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

Value: TypeAlias = str | bool | None
"""What a property is set to; None: cleared, or never set."""


class Origin(NamedTuple):
    """Where a row came from first: the run that read it, and its place there. The greater one is the newer row."""

    run: int
    row: int


class Model:
    """A dictionary of each person and property. What may have been said, and may not, is allowed and not asked for."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, str], dict[Origin, tuple[Value, bool]]] = defaultdict(dict)
        self._late: dict[tuple[int, str], set[Value]] = defaultdict(set)

    def say(self, origins: Iterable[Origin], person: int, values: Mapping[str, Value], *, sure: bool = True) -> None:
        """Take a row; of several *origins* nobody knows which it has: that it is older is sure, and newer possible."""
        for place, origin in enumerate(sorted(origins)):
            for name, value in values.items():
                _, before = self._said[person, name].get(origin, (None, False))
                self._said[person, name][origin] = value, before or (sure and place == 0)

    def doubt(self, origins: Iterable[Origin], person: int, values: Mapping[str, Value]) -> None:
        """Take back a row that somebody deleted: it may have been applied before."""
        for origin in origins:
            for name in values:
                if origin in self._said[person, name]:
                    self._said[person, name][origin] = self._said[person, name][origin][0], False

    def come_late(self, person: int, values: Mapping[str, Value]) -> None:
        """Take a request that the service applied when nobody waited for it any more: it may stand, until `renew`."""
        for name, value in values.items():
            self._late[person, name].add(value)

    def renew(self, person: int, values: Mapping[str, Value]) -> None:
        """Take note that a run which began after all late requests has set these properties."""
        for name in values:
            self._late.pop((person, name), None)

    def allowed(self, person: int, name: str) -> set[Value]:
        """Return what the property may be: the newest sure value, or one that may have been said since."""
        said = self._said[person, name]
        newest = max((origin for origin, (_, sure) in said.items() if sure), default=None)
        since = {value for origin, (value, _) in said.items() if newest is None or origin >= newest}
        return since | self._late[person, name] | ({None} if newest is None else set())
