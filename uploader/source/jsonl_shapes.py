r"""Recognise lines of JSONL that are written as an earlier line was, and split them into the values of their keys.

A shape is a flat object: its keys in their order, and the text between its values as it was written. It takes only
values of which each is certain to be read as the row-by-row reader reads it. All other lines are left to that reader:
numbers with an exponent or many digits, halves of characters, objects within objects, keys in another order.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from uploader.model import Reason
from uploader.source.jsonl_records import json_fields
from uploader.source.one_thread import pl

_MOST_SHAPES: Final = 40
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
class Shape:
    """An object's *keys* in their order, and the regular expression of the lines that are written as it is."""

    keys: tuple[str, ...]
    pattern: str


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
    """The shapes that were found in a file so far, those of the latest lines first."""

    _shapes: list[Shape] = field(default_factory=list)

    def split(self, lines: "pl.Series") -> ShapedLines:
        """Split those of *lines* that have a shape; learn more shapes from the others."""
        block = _Block(lines)
        unused = [shape for shape in self._shapes if not block.take(shape)]
        used = [shape for shape in self._shapes if shape not in unused]
        at = 0
        for _ in range(_MOST_TRIED):
            if at >= block.lines.len():
                break
            shape = shape_of(block.lines[at])
            if shape is not None and block.take(shape):
                used.append(shape)
            else:
                at += 1
        self._shapes = [*used, *unused][:_MOST_SHAPES]
        return block.shaped()


class _Block:
    """The lines of a block that no shape took so far, and the tables of those that one took."""

    def __init__(self, lines: "pl.Series") -> None:
        self.lines = lines
        self._places = pl.int_range(lines.len(), eager=True)
        self._taken: list[tuple[pl.Series, pl.DataFrame]] = []
        self._order: list[str] = []

    def take(self, shape: Shape) -> bool:
        """Take the lines that have *shape*; return whether there is one."""
        order = _merged(self._order, shape.keys)
        if order is None or self.lines.is_empty():
            return False
        try:
            groups = self.lines.str.extract_groups(shape.pattern).struct.unnest()
        except pl.exceptions.PolarsError:
            # The regular expression is too large.
            return False
        fits = groups.to_series(0).is_not_null()
        if not fits.any():
            return False
        if not fits.all():
            groups = groups.filter(fits)
        groups.columns = list(shape.keys)
        self._order = order
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
        table = pl.concat([table for _, table in self._taken], how="diagonal").select(self._order)
        return ShapedLines(places.gather(in_order), table[in_order], self._places)


def shape_of(line: str) -> Shape | None:
    """Return the shape of *line*; None where it is no flat object, or has a value that no shape takes."""
    begin = _BEGIN.match(line)
    if begin is None:
        return None
    at, literal_from = begin.end(), 0
    keys: list[str] = []
    pattern = [r"\A"]
    while found := _KEY_AND_VALUE.match(line, at):
        kind = found.lastgroup or ""
        keys.append(json.loads(found["key"]))
        pattern += [_literal(line[literal_from : found.start(kind)]), f"({_VALUES[kind]})"]
        at = literal_from = found.end(kind)
        following = _NEXT.match(line, at)
        if following is None:
            break
        at = following.end()
    if not 0 < len(keys) <= _MOST_KEYS or _END.match(line, literal_from) is None:
        return None
    fields = json_fields(line)
    if isinstance(fields, Reason) or [*fields] != keys:
        return None
    return Shape(tuple(keys), "".join([*pattern, _literal(line[literal_from:]), r"\z"]))


_VALUES: Final = {"array": _LIST, "value": _SCALAR, "long": _LONG_SCALAR}


def _merged(order: Sequence[str], keys: Sequence[str]) -> list[str] | None:
    """Return *order* and *keys* as one list that has both in their order; None where they contradict each other."""
    places = {key: at for at, key in enumerate(order)}
    merged: list[str] = []
    done = 0
    for key in keys:
        at = places.get(key)
        if at is None:
            merged.append(key)
        elif at < done:
            return None
        else:
            merged += order[done : at + 1]
            done = at + 1
    return [*merged, *order[done:]]


def _literal(text: str) -> str:
    """Return the regular expression of *text*, in a spelling that Python and polars read alike."""
    return "".join(one if one.isascii() and one.isalnum() else f"\\x{{{ord(one):x}}}" for one in text)
