"""Find the rows of a source that are about one person, and the last row of each such group."""

from array import array
from hashlib import blake2b
from typing import Final

from uploader.model import Person

_BITS: Final = 1 << 28
"""32 MiB of bits, two for each identity value: of 15 million values, one in about 250 is kept needlessly."""

_SHIFT: Final = 28
"""The second bit of a value is told by other digits of its hash than the first."""


class Groups:
    """The rows of a source that share an identity value, in memory that grows with the values that repeat only.

    Every row is noted once, in order. Where rows have more than one identity value, a second pass links them: of a
    value that is seen for the first time nobody knows that it comes again. Rows that can't become one request belong to
    no group: those of a person of whom a row is rejected, and those that differ in a field of their identity (a request
    names one value of each, so that the other would be lost).
    """

    def __init__(self, bits: int = _BITS) -> None:
        """Begin with no row; *bits* is a power of two, from 2^8."""
        self._mask = bits - 1
        self._bits = bytearray(bits >> 3)
        self._nodes: dict[bytes, int] = {}
        self._parents = array("I")
        self._lasts = array("Q")
        self._is_spoiled = bytearray()
        self._named: dict[str, array[int]] = {}
        self._repeats = False
        self._is_compound = False

    @property
    def needs_links(self) -> bool:
        """Whether the rows must be linked, in a second pass over all of them."""
        return self._repeats and self._is_compound

    def note(self, number: int, person: Person, *, is_fit: bool) -> None:
        """Take row *number*, about *person*; *is_fit* is whether it can be sent."""
        if len(person) > 1:
            self._is_compound = True
        for value in person:
            if self._seen(value):
                self._repeats = True
                self._lasts[self._node(value)] = number
            if not is_fit:
                self._is_spoiled[self._node(value)] = True

    def link(self, number: int, person: Person) -> None:
        """Take row *number* once more: all that it names is one person."""
        nodes = [node for node in (self._nodes.get(_key(value)) for value in person) if node is not None]
        if not nodes:
            return
        root = self._root(nodes[0])
        for node in nodes[1:]:
            root = self._united(root, self._root(node))
        self._lasts[root] = max(self._lasts[root], number)
        for value in person:
            self._name(root, value)

    def seal(self) -> None:
        """Let go of what only the passes need."""
        self._bits = bytearray()
        self._named.clear()

    def of(self, person: Person) -> int | None:
        """Return the group of the rows about *person*; None where such a row goes alone."""
        nodes = self._nodes
        if not nodes:
            return None
        for value in person:
            node = nodes.get(_key(value))
            if node is not None:
                root = self._root(node)
                return None if self._is_spoiled[root] else root
        return None

    def last_of(self, group: int) -> int:
        """Return the number of the last row of *group*."""
        return self._lasts[group]

    def _seen(self, value: str) -> bool:
        """Whether *value* was seen before; seldom also where it was not, which makes a group of one row."""
        hashed, bits, mask = hash(value), self._bits, self._mask
        first, second = hashed & mask, (hashed >> _SHIFT) & mask
        both = bits[first >> 3] >> (first & 7) & bits[second >> 3] >> (second & 7) & 1
        bits[first >> 3] |= 1 << (first & 7)
        bits[second >> 3] |= 1 << (second & 7)
        return bool(both)

    def _node(self, value: str) -> int:
        key = _key(value)
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = len(self._parents)
            self._parents.append(node)
            self._lasts.append(0)
            self._is_spoiled.append(False)
        return node

    def _root(self, node: int) -> int:
        parents = self._parents
        while parents[node] != node:
            parents[node] = node = parents[parents[node]]
        return node

    def _united(self, one: int, other: int) -> int:
        """Make one group of two, given by their roots, and return its root."""
        if one == other:
            return one
        self._parents[other] = one
        self._lasts[one] = max(self._lasts[one], self._lasts[other])
        self._is_spoiled[one] |= self._is_spoiled[other]
        for named in self._named.values():
            if other < len(named) and named[other]:
                self._note_name(named, one, named[other])
        return one

    def _name(self, root: int, value: str) -> None:
        """Note that the group of *root* has *value*, `field=value`, and spoil it where it has another one."""
        field, _, _ = value.partition("=")
        self._note_name(self._named.setdefault(field, array("q")), root, hash(value) or 1)

    def _note_name(self, named: "array[int]", root: int, hashed: int) -> None:
        if root >= len(named):
            named.frombytes(bytes(named.itemsize * (len(self._parents) - len(named))))
        if named[root] not in {0, hashed}:
            self._is_spoiled[root] = True
        named[root] = hashed


def _key(value: str) -> bytes:
    # Wide enough that no two values ever share it: their people would be merged.
    return blake2b(value.encode(errors="surrogatepass"), digest_size=16).digest()
