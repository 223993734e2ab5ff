"""Compare names of columns that look alike, say in what they differ, and write one so that YAML reads it exactly."""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from uploader.model import INVISIBLE_KINDS, alike

_UNDO: Final[Mapping[str, Callable[[str], str]]] = {
    "Unicode form": lambda name: unicodedata.normalize("NFC", name),
    "invisible characters": lambda name: "".join(
        one for one in name if unicodedata.category(one) not in INVISIBLE_KINDS
    ),
    "spaces": lambda name: "".join(one for one in name if not one.isspace()),
    "underscores": lambda name: name.replace("_", ""),
    "width": lambda name: "".join(
        unicodedata.normalize("NFKC", one) if unicodedata.decomposition(one).startswith("<") else one for one in name
    ),
    "case": str.casefold,
}
"""How names lose the differences of each kind; `alike` takes all of them away."""


def differences_of(one: str, other: str) -> str:
    """Return in what the names *one* and *other*, which are `alike`, differ: "case", "case and spaces"."""
    found = [kind for kind in _UNDO if _without(one, kind) != _without(other, kind)]
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found) or "spelling"


def exact(name: str) -> str:
    r"""Return *name* in the quotes of YAML; what nobody sees, or sees in two forms, is spelled out, such as \u200b."""
    is_composed = unicodedata.normalize("NFC", name) == name
    return '"' + "".join(one if _is_plain(one, is_composed=is_composed) else _escaped(one) for one in name) + '"'


def alike_names(column: str, names: Mapping[str, str]) -> str | None:
    """Return the one of *names*, by what they have in common, that is `alike` to *column*."""
    common = alike(column)
    return names.get(common) if common else None


def _without(name: str, kind: str) -> str:
    """Return *name* without all differences but those of *kind*."""
    for other, undo in _UNDO.items():
        if other != kind:
            name = undo(name)
    return name


def _is_plain(one: str, *, is_composed: bool) -> bool:
    return one == " " or (one.isprintable() and one not in '"\\' and (one.isascii() or is_composed))


def _escaped(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    return f"\\u{ord(one):04x}" if ord(one) < 1 << 16 else f"\\U{ord(one):08x}"
