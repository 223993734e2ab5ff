r"""Recognise lines of JSONL that are written as an earlier line was, and split them into the values of their keys.

A shape is a flat object: its keys in their order, and the text between its values as it was written. A loose shape is
one of which each key may be missing. Either takes only values of which each is certain to be read as the row-by-row
reader reads it. All other lines are left to that reader: numbers with an exponent or many digits, halves of characters,
objects within objects, keys in another order.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Final

from uploader.model import Reason
from uploader.source.jsonl_records import json_fields
from uploader.source.one_thread import pl

_MOST_EXACT: Final = 4
_MOST_LOOSE: Final = 4
_MOST_ORDERS: Final = 64
_MOST_KEYS: Final = 200
_MOST_TRIED: Final = 8
"""For so many lines of a block is a shape made at most."""

_PLAIN: Final = r'[^"\\\x00-\x1f]*'
_ESCAPE: Final = r'\\(?:["\\/bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}))'
_STRING: Final = f'"{_PLAIN}(?:{_ESCAPE}{_PLAIN})*"'
# Fewer digits than a double holds exactly, and none so small that it would become 0.
_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,17})?"
_LONG_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,39})"
_WORD: Final = "true|false|null"
_SCALAR: Final = f"{_STRING}|{_NUMBER}|{_WORD}"
_LONG_SCALAR: Final = f"{_STRING}|{_LONG_NUMBER}|{_WORD}"
_SPACE: Final = "[ \t]*"
_ARRAY: Final = rf"\[{_SPACE}(?:(?:{_SCALAR}){_SPACE}(?:,{_SPACE}(?:{_SCALAR}){_SPACE})*)?\]"
_LIST: Final = f"{_SCALAR}|{_ARRAY}"

_KEY_AND_VALUE: Final = re.compile(
    rf"{_SPACE}(?P<key>{_STRING}){_SPACE}:{_SPACE}(?:(?P<array>{_ARRAY})|(?P<value>{_SCALAR})|(?P<long>{_LONG_NUMBER}))"
    rf"(?={_SPACE}[,}}])"
)
_BEGIN: Final = re.compile(rf"{_SPACE}\{{")
_NEXT: Final = re.compile(rf"{_SPACE},")
_END: Final = re.compile(rf"{_SPACE}\}}{_SPACE}\Z")


@dataclass(frozen=True, slots=True)
class _ShapeMember:
    """A key with all that stands before its value, and the kinds of values that it had, as `_VALUES` has them."""

    spelled: str
    kinds: frozenset[str]

    @property
    def pattern(self) -> str:
        """The regular expression of the key and a value of it."""
        values = "|".join(_VALUES[kind] for kind in sorted(self.kinds))
        return f"{_literal(self.spelled)}({values})"


@dataclass(frozen=True, slots=True)
class Shape:
    """A flat object: its *members* in their order, and what stands *before*, *between* and *after* them.

    *orders* are the keys of the lines that it was made of, each in their order; *members* keeps to all of them.
    """

    members: Mapping[str, _ShapeMember]
    before: str
    between: str
    after: str
    orders: tuple[tuple[str, ...], ...]

    @property
    def exact(self) -> str:
        """The regular expression of the lines that have all members."""
        members = _literal(self.between).join(member.pattern for member in self.members.values())
        return rf"\A{_literal(self.before)}{members}{_literal(self.after)}\z"

    @property
    def loose(self) -> str:
        """The regular expression of the lines that end with *after* and have one or more of the members.

        Behind each member is what stands between two, or the end of the line. No line that ends with the former ends
        with *after*.
        """
        between, end = _literal(self.between), rf"{_literal(self.after)}\z"
        members = "".join(f"(?:{member.pattern}(?:{between}|{end}))?" for member in self.members.values())
        return rf"\A{_literal(self.before)}{members}\z"

    def with_members_of(self, other: "Shape") -> "Shape | None":
        """Return the loose shape that also takes the lines of *other*; None where there is none."""
        if (self.before, self.between, self.after) != (other.before, other.between, other.after):
            return None
        orders = (*self.orders, *other.orders)
        order = _merged(orders)
        if order is None or len(order) > _MOST_KEYS:
            return None
        members: dict[str, _ShapeMember] = {}
        for key in order:
            mine, others = self.members.get(key), other.members.get(key)
            if mine is not None and others is not None:
                if mine.spelled != others.spelled:
                    return None
                mine = _ShapeMember(mine.spelled, mine.kinds | others.kinds)
            members[key] = mine or others  # type: ignore[assignment] # a key of the order is in one of them
        kept = orders if len(orders) <= _MOST_ORDERS else (tuple(order),)
        return Shape(members, self.before, self.between, self.after, kept)


@dataclass(frozen=True, slots=True)
class ShapedLines:
    """The lines of a block that have a shape: their *places* in it, ascending, and the *table* of their values.

    The table has a column of JSON for each key, in the order of the keys of every line; null where the line has no such
    key. *left* are the places of the other lines.
    """

    places: "pl.Series"
    table: "pl.DataFrame"
    left: "pl.Series"


@dataclass(slots=True)
class JsonlShapes:
    """The shapes that were found in a file so far: first *exact* ones, as they are the fastest, then *loose* ones."""

    _exact: list[Shape] = field(default_factory=list)
    _loose: list[Shape] = field(default_factory=list)

    def split(self, lines: "pl.Series") -> ShapedLines:
        """Split those of *lines* that have a shape; learn more shapes from the others."""
        block = _Block(lines)
        for shape in self._exact:
            block.take(shape, shape.exact)
        for shape in self._loose:
            block.take(shape, shape.loose)
        at = 0
        for _ in range(_MOST_TRIED):
            if at >= block.lines.len():
                break
            found = shape_of(block.lines[at])
            if found is None or not self._learn(found, block):
                at += 1
        return block.shaped()

    def _learn(self, shape: Shape, block: "_Block") -> bool:
        """Keep *shape*, and take its lines from *block*; return whether there are some."""
        if len(self._exact) < _MOST_EXACT:
            self._exact.append(shape)
            return block.take(shape, shape.exact)
        for at, known in enumerate(self._loose):
            wider = known.with_members_of(shape)
            if wider is not None:
                self._loose[at] = wider
                return block.take(wider, wider.loose)
        if not shape.between:
            # It has one member. Nothing would stand between that and another one.
            return False
        self._loose = [shape, *self._loose][:_MOST_LOOSE]
        return block.take(shape, shape.loose)


class _Block:
    """The lines of a block that no shape took so far, and the tables of those that one took."""

    def __init__(self, lines: "pl.Series") -> None:
        self.lines = lines
        self._places = pl.int_range(lines.len(), eager=True)
        self._taken: list[tuple[pl.Series, pl.DataFrame]] = []
        self._orders: list[tuple[str, ...]] = []

    def take(self, shape: Shape, pattern: str) -> bool:
        """Take the lines that *pattern* of *shape* matches; return whether there is one."""
        orders = [*self._orders, tuple(shape.members)]
        if self.lines.is_empty() or _merged(orders) is None:
            return False
        try:
            groups = self.lines.str.extract_groups(pattern).struct.unnest()
        except pl.exceptions.PolarsError:
            # The regular expression is too large.
            return False
        has_value = groups.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
        fits = has_value & self.lines.str.ends_with(shape.after)
        if not fits.any():
            return False
        if not fits.all():
            groups = groups.filter(fits)
        groups.columns = [*shape.members]
        self._orders = orders
        self._taken.append((self._places.filter(fits), groups))
        self.lines, self._places = self.lines.filter(~fits), self._places.filter(~fits)
        return True

    def shaped(self) -> ShapedLines:
        if not self._taken:
            return ShapedLines(self._places.clear(), pl.DataFrame(), self._places)
        if len(self._taken) == 1:
            return ShapedLines(*self._taken[0], self._places)
        places = pl.concat([places for places, _ in self._taken])
        in_order = places.arg_sort()
        table = pl.concat([table for _, table in self._taken], how="diagonal").select(_merged(self._orders))
        return ShapedLines(places.gather(in_order), table[in_order], self._places)


def shape_of(line: str) -> Shape | None:
    """Return the shape of *line*; None where it is no flat object, or has a value that no shape takes."""
    begin = _BEGIN.match(line)
    if begin is None:
        return None
    at, ended = begin.end(), 0
    members: dict[str, _ShapeMember] = {}
    between: list[str] = []
    while found := _KEY_AND_VALUE.match(line, at):
        kind = found.lastgroup or ""
        between.append(line[ended : found.start("key")])
        members[json.loads(found["key"])] = _ShapeMember(
            line[found.start("key") : found.start(kind)], frozenset({kind})
        )
        at = ended = found.end(kind)
        following = _NEXT.match(line, at)
        if following is None:
            break
        at = following.end()
    if not 0 < len(members) <= _MOST_KEYS or _END.match(line, ended) is None or len({*between[1:]}) > 1:
        return None
    fields = json_fields(line)
    if isinstance(fields, Reason) or [*fields] != [*members]:
        return None
    return Shape(members, between[0], between[1] if len(between) > 1 else "", line[ended:], (tuple(members),))


_VALUES: Final = {"array": _LIST, "value": _SCALAR, "long": _LONG_SCALAR}


def _merged(orders: Iterable[Sequence[str]]) -> list[str] | None:
    """Return all keys of *orders* in an order that keeps to each of them; None where they contradict each other."""
    sorter = TopologicalSorter[str]()
    for keys in orders:
        for key in keys:
            sorter.add(key)
        for before, after in pairwise(keys):
            sorter.add(after, before)
    try:
        return [*sorter.static_order()]
    except CycleError:
        return None


def _literal(text: str) -> str:
    """Return the regular expression of *text*, in a spelling that Python and polars read alike."""
    return "".join(one if one.isascii() and one.isalnum() else f"\\x{{{ord(one):x}}}" for one in text)
