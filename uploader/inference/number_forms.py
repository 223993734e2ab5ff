"""Find how a number is written in a text: its separators, and its unit."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from uploader.api import PropertyType

NumberShape: TypeAlias = str
"""How the digits of a number are written: `whole`, `point`, or `grouped ,` with a separator of thousands."""

UNITS_BEFORE: Final = ("₩", "￦", "\\", "$", "€", "£", "¥", "KRW", "USD")
UNITS_AFTER: Final = (
    *("원", "₩", "￦", "KRW", "USD", "$", "€", "달러", "포인트", "점", "pts", "pt", "P", "p", "%"),
    *("개", "건", "회", "번", "명", "세", "살", "kg", "cm"),
)
SAME: Final = (
    frozenset({"원", "₩", "￦", "\\", "KRW"}),
    frozenset({"$", "USD", "달러"}),
    frozenset({"포인트", "점", "pts", "pt", "P", "p"}),
    frozenset({"세", "살"}),
    frozenset({"개", "건", "회", "번"}),
)
"""Units that mean the same."""

SEPARATORS: Final = ",.'’_ \u00a0\u2009\u202f"  # noqa: RUF001 — those that the mapping can remove

_LONGEST: Final = 40
_EXACT_DIGITS: Final = 15
"""How many digits a Double always keeps."""

_LONG: Final = range(-(2**63), 2**63)
_AMOUNT: Final = re.compile(
    rf"(?P<sign>-?)(?P<before>{'|'.join(map(re.escape, UNITS_BEFORE))})?(?P<gap>\s*)(?P<inner>-?)"
    rf"(?P<core>[0-9](?:[0-9{re.escape(SEPARATORS)}]*[0-9])?)\s*(?P<after>{'|'.join(map(re.escape, UNITS_AFTER))})?"
)
_DASH: Final = re.compile(
    rf"(?P<before>{'|'.join(map(re.escape, UNITS_BEFORE))})\s*(?P<dash>[-\u2013\u2212]+)"
    rf"|(?P<first>[-\u2013\u2212]+)\s*(?P<after>{'|'.join(map(re.escape, UNITS_AFTER))})"
)
_PLAIN: Final = re.compile(r"0|[1-9][0-9]*")
_POINT: Final = re.compile(r"(?:0|[1-9][0-9]*)\.[0-9]+")
_OF_THREE: Final = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
_COMMA: Final = re.compile(r"(?:0|[1-9][0-9]*),[0-9]+")
_GROUPED: Final = re.compile(
    rf"[1-9][0-9]{{0,2}}(?:(?P<sep>[{re.escape(SEPARATORS)}])[0-9]{{3}})(?:(?P=sep)[0-9]{{3}})*"
)
_CODE: Final = re.compile(r"\+[0-9]+|-?0[0-9]+(?:\.[0-9]+)?|-0")


@dataclass(frozen=True, slots=True)
class WrittenNumber:
    """How a text is a number: the *shape* of its digits, and the *unit* at one end, if any."""

    shape: NumberShape
    unit: str = ""


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """A way to read numbers: their type, the separator of thousands and the decimal mark (None: a point)."""

    kind: PropertyType
    thousands: str | None = None
    decimal: str | None = None

    def reads(self, shape: NumberShape) -> bool:
        """Whether the style reads a number of *shape*."""
        return shape in _READ[self]


def is_code(text: str) -> bool:
    """Whether *text* is of digits that a number would change: a leading zero, or a plus sign."""
    return _CODE.fullmatch(text) is not None


def written_number(text: str) -> WrittenNumber | None:
    """Return how *text* is a number; None if it is none, or one that no type holds exactly."""
    if len(text) > _LONGEST or (found := _AMOUNT.fullmatch(text)) is None:
        return None
    before, after, core = found["before"] or "", found["after"] or "", found["core"]
    if (before and after) or (found["sign"] and found["inner"]) or (found["gap"] and not before):
        return None
    shape = _shape(core, f"{found['sign']}{found['inner']}")
    if shape is None or (shape == "whole" and core == "0" and (found["sign"] or found["inner"])):
        return None
    return WrittenNumber(shape, before or after)


def unit_of_dash(text: str) -> tuple[str, str] | None:
    """Return the unit and the dash of *text*, such as `₩ -`, which spreadsheets show for 0; None if it is no such."""
    found = _DASH.fullmatch(text)
    return None if found is None else (found["before"] or found["after"], found["dash"] or found["first"])


def is_in_parentheses(text: str) -> bool:
    """Whether *text* is a number in parentheses, such as `(5,000)`: a negative one, in accounting."""
    return text.endswith(")") and text.startswith("(") and written_number(text[1:-1]) is not None


def best_style(shapes: Mapping[NumberShape, int]) -> NumberStyle:
    """Return the style that reads most of *shapes*, each with its count; of several the plainest one.

    A comma is a decimal point only if most numbers with one say so: of 1,234 it would make a thousandth.
    """
    decimal = sum(count for shape, count in shapes.items() if shape == "comma" or shape.startswith("grouped with ,"))
    may_be_decimal = decimal > shapes.get("once ,", 0)
    styles = [style for style in _READ if style.decimal is None or may_be_decimal]
    return max(styles, key=lambda style: sum(count for shape, count in shapes.items() if style.reads(shape)))


def _shape(core: str, sign: str) -> NumberShape | None:
    digits = sum(map(str.isdecimal, core))
    if _PLAIN.fullmatch(core) is not None:
        if int(sign + core) not in _LONG:
            return None
        return "whole" if digits <= _EXACT_DIGITS else "long whole"
    return _marked_shape(core) if digits <= _EXACT_DIGITS else None


def _marked_shape(core: str) -> NumberShape | None:
    """Return the shape of *core*, digits with a separator or a decimal mark."""
    if _POINT.fullmatch(core) is not None:
        return "point of three" if _OF_THREE.fullmatch(core) is not None else "point"
    if (grouped := _GROUPED.fullmatch(core)) is not None:
        sep = grouped["sep"]
        return f"{'once' if core.count(sep) == 1 and sep == ',' else 'grouped'} {sep}"
    if _COMMA.fullmatch(core) is not None:
        return "comma"
    for mark in ",.":
        whole, _, fraction = core.rpartition(mark)
        parted = _GROUPED.fullmatch(whole)
        if parted is not None and parted["sep"] != mark and fraction.isdecimal():
            return f"grouped with {mark} {parted['sep']}"
    return None


def _styles() -> Iterable[tuple[NumberStyle, frozenset[NumberShape]]]:
    def shapes(*found: NumberShape) -> frozenset[NumberShape]:
        return frozenset(found)

    plain = shapes("whole")
    long = shapes("whole", "long whole")
    points = shapes("whole", "point", "point of three")
    commas = shapes("whole", "comma", "once ,")
    yield NumberStyle("long"), long
    yield NumberStyle("double"), points
    for sep in SEPARATORS:
        groups = shapes(f"once {sep}", f"grouped {sep}")
        if sep == ".":
            yield NumberStyle("long", sep), long | groups | shapes("point of three")
            continue
        yield NumberStyle("long", sep), long | groups
        yield NumberStyle("double", sep), points | groups | shapes(f"grouped with . {sep}")
    yield NumberStyle("double", None, ","), commas
    for sep in SEPARATORS.replace(",", ""):
        groups = shapes(f"grouped {sep}", f"grouped with , {sep}")
        yield NumberStyle("double", sep, ","), commas | groups | (shapes("point of three") if sep == "." else plain)


_READ: Final = dict(_styles())
"""What each style reads, the plainest style first."""
