"""List the words for genders, and the constant of the API that each means."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_MEANING: Final = {
    word: constant
    for constant, words in (
        ("Male", "남 남자 남성 남아 male m man 男 mr"),
        ("Female", "여 여자 여성 여아 female f w woman 女 ms mrs"),
        ("NonBinary", "nonbinary non-binary nb 논바이너리"),
        ("Other", "기타 other others o 그외 제3의성"),
    )
    for word in words.split()
}
_UNKNOWN: Final = frozenset(
    {
        *(
            "미상",
            "알수없음",
            "모름",
            "선택안함",
            "무응답",
            "미선택",
            "미지정",
            "비공개",
            "미확인",
            "성별선택안함",
            "응답안함",
        ),
        *("unknown", "u", "undisclosed", "unspecified", "notspecified", "n", "notknown", "notdisclosed"),
        *("prefernottosay", "x", "?"),
    }
)
_CODES: Final = {"1": "Male", "2": "Female"}
_PAIRS: Final = {"남": "여", "남자": "여자", "남성": "여성", "M": "F", "m": "f", "Male": "Female", "male": "female"}


@dataclass(frozen=True, slots=True)
class GenderWords:
    """The constant of each word, and the words that say *nothing*; the meaning of codes is a guess."""

    values: tuple[tuple[str, str], ...]
    nothing: tuple[str, ...]
    are_codes: bool = False

    @property
    def are_constants(self) -> bool:
        """Whether every word is its constant already."""
        return all(word == constant for word, constant in self.values)


def gender_words(words: Iterable[str]) -> GenderWords | None:
    """Return what *words* mean as genders; None if none of them means one."""
    found = list(words)
    known = {word: _MEANING[_plain(word)] for word in found if _plain(word) in _MEANING}
    nothing = tuple(word for word in found if _plain(word) in _UNKNOWN)
    if not known and set(_CODES) & set(found):
        unsaid = [code for code in ("0", "9") if code in found]
        return GenderWords(tuple(_CODES.items()), (*nothing, *unsaid), are_codes=True)
    if not known:
        return None
    for first, second in (*_PAIRS.items(), *((no, yes) for yes, no in _PAIRS.items())):
        if first in known and not any(_MEANING[_plain(second)] == meant for meant in known.values()):
            known[second] = _MEANING[_plain(second)]
    return GenderWords(tuple(known.items()), nothing)


def _plain(word: str) -> str:
    return "".join(word.casefold().split())
