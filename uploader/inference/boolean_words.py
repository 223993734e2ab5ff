"""List the words that clearly mean yes or no."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from uploader.mapping.rules import FALSE_WORDS, TRUE_WORDS

_COUNTERPARTS: Final = (
    *zip(TRUE_WORDS, FALSE_WORDS, strict=True),
    ("on", "off"),
    ("o", "x"),
    ("예", "아니오"),
    ("네", "아니오"),
    ("예", "아니요"),
    ("네", "아니요"),
    ("동의", "거부"),
    ("동의", "미동의"),
    ("동의", "비동의"),
    ("동의", "동의안함"),
    ("동의함", "동의하지않음"),
    ("동의함", "동의안함"),
    ("수신", "거부"),
    ("수신", "미수신"),
    ("수신", "수신거부"),
    ("수신동의", "수신거부"),
    ("허용", "거부"),
    ("허용", "차단"),
    ("승인", "거절"),
    ("agree", "disagree"),
)
_TRUE: Final = dict(reversed(_COUNTERPARTS))
_FALSE: Final = {no: yes for yes, no in reversed(_COUNTERPARTS)}


@dataclass(frozen=True, slots=True)
class BooleanWords:
    """The words for true and for false; *is_default* is whether the mapping knows them by default."""

    true: tuple[str, ...]
    false: tuple[str, ...]
    is_default: bool


def is_known(word: str) -> bool:
    """Whether *word* clearly means yes or no, in upper or lower case."""
    return word.casefold() in _TRUE or word.casefold() in _FALSE


def has_both(words: Iterable[str]) -> bool:
    """Whether *words* have one for yes and its counterpart for no: x and y are no pair."""
    found = {word.casefold() for word in words}
    return any(yes in found and no in found for yes, no in _COUNTERPARTS)


def lists_of(words: Iterable[str]) -> BooleanWords:
    """Return the lists for true and false of *words*, all known; a side without a word gets the counterparts."""
    found = dict.fromkeys(word.casefold() for word in words)
    if found.keys() <= {*TRUE_WORDS, *FALSE_WORDS}:
        return BooleanWords(TRUE_WORDS, FALSE_WORDS, is_default=True)
    true = [word for word in found if word in _TRUE]
    false = [word for word in found if word in _FALSE]
    true = true or list(dict.fromkeys(_FALSE[word] for word in false))
    false = false or list(dict.fromkeys(_TRUE[word] for word in true))
    return BooleanWords(tuple(true), tuple(false), is_default=False)
