"""Take the name of a column apart into the words of a vocabulary, in English and in Korean."""

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PART: Final = re.compile(r"[a-z]+|[0-9]+|[^\W\d_a-z]+")
_UNKNOWN: Final = 3
"""How many words cost as much as one unknown letter."""
_LONG: Final = 5
"""An English word of so many letters is found among unknown letters, too."""


@dataclass(frozen=True, slots=True)
class NameWords:
    """The *known* words of a name in their order, and the letters that are *unknown*."""

    known: tuple[str, ...]
    unknown: str


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    is_word: bool


def words_of(name: str, vocabulary: Collection[str]) -> NameWords:
    """Split *name* into as few words of *vocabulary*, and as few other letters, as can be.

    A word may reach over the marks in a name: `opt_in` has the word `optin`.
    """
    parts = list(_parts(name))
    text = "".join(parts)
    edges = {0, *accumulate(map(len, parts))}
    spans = _fewest(text, vocabulary)
    known: list[str] = []
    unknown = ""
    for at, span in enumerate(spans):
        word = text[span.start : span.end]
        is_free = span.start in edges or (at > 0 and spans[at - 1].is_word)
        is_free &= span.end in edges or (at + 1 < len(spans) and spans[at + 1].is_word)
        # A short English word is often only a part of another one, as `off` is of `offer`.
        if span.is_word and (is_free or len(word) >= _LONG or not word.isascii()):
            known.append(word)
        else:
            unknown += word
    return NameWords(tuple(known), unknown)


def _parts(name: str) -> Iterator[str]:
    """Yield the parts of *name* between its marks, capitals, digits and scripts, in small letters."""
    for piece in _CAPITAL.sub(" ", unicodedata.normalize("NFKC", name)).casefold().split():
        yield from _PART.findall(piece)


def _fewest(text: str, vocabulary: Collection[str]) -> list[_Span]:
    """Return *text* as words and single letters, of which there are as few as can be."""
    longest = max(map(len, vocabulary))
    costs = [0] * (len(text) + 1)
    spans: list[_Span] = [_Span(0, 0, is_word=False)] * (len(text) + 1)
    for end in range(1, len(text) + 1):
        costs[end], spans[end] = costs[end - 1] + _UNKNOWN, _Span(end - 1, end, is_word=False)
        for start in range(max(0, end - longest), end):
            if text[start:end] in vocabulary and costs[start] + 1 < costs[end]:
                costs[end], spans[end] = costs[start] + 1, _Span(start, end, is_word=True)
    found: list[_Span] = []
    end = len(text)
    while end:
        found.append(spans[end])
        end = spans[end].start
    return found[::-1]
