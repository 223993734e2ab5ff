"""List the words that clearly mean yes or no, in any column and in a consent."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from uploader.mapping.rules import FALSE_WORDS, TRUE_WORDS

_BETWEEN: Final = re.compile(r"(?<=\w)[ _-]+(?=\w)")

_ANYWHERE: Final = (
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
    ("동의", "부동의"),
    ("동의", "동의안함"),
    ("동의함", "동의하지않음"),
    ("동의함", "동의안함"),
    ("동의함", "미동의"),
    ("수신", "거부"),
    ("수신", "미수신"),
    ("수신", "수신거부"),
    ("수신", "수신안함"),
    ("수신함", "수신안함"),
    ("수신동의", "수신거부"),
    ("허용", "거부"),
    ("허용", "차단"),
    ("승인", "거절"),
    ("agree", "disagree"),
    ("○", "×"),  # noqa: RUF001 — the sign that people write
    ("참", "거짓"),
    ("사용", "미사용"),
    ("ja", "nein"),
    ("oui", "non"),
    ("はい", "いいえ"),
    ("是", "否"),
    ("enabled", "disabled"),
)
"""A yes and its no, as they stand for it in any column."""

_IN_CONSENTS: Final = (
    *_ANYWHERE,
    *((yes, no) for yes in "○◯〇o" for no in "×✕✖x"),  # noqa: RUF001 — as above
    *(("✓", no) for no in ("✗", "✘", "x")),
    ("✔", "✘"),
    ("v", "x"),
    ("동의", "거절"),
    ("동의", "철회"),
    ("동의함", "거부함"),
    ("동의합니다", "동의하지않습니다"),
    ("동의합니다", "동의안합니다"),
    ("수신함", "미수신"),
    ("수신함", "수신거부"),
    ("수신함", "수신하지않음"),
    ("수신동의", "수신미동의"),
    ("수신동의", "미동의"),
    ("수신동의", "수신동의안함"),
    ("수신가능", "수신불가"),
    ("수신허용", "수신차단"),
    ("받음", "받지않음"),
    ("받음", "안받음"),
    ("가능", "불가"),
    ("가능", "불가능"),
    ("신청", "해지"),
    ("신청", "미신청"),
    ("신청함", "신청안함"),
    ("구독", "해지"),
    ("구독", "미구독"),
    ("구독", "구독취소"),
    ("구독중", "구독해지"),
    ("허용", "비허용"),
    ("허용", "미허용"),
    ("허용", "불허"),
    ("허용함", "허용안함"),
    ("승인", "미승인"),
    ("승낙", "거절"),
    ("사용함", "사용안함"),
    ("agree", "refuse"),
    ("agreed", "disagreed"),
    ("agreed", "refused"),
    ("agreed", "notagreed"),
    ("accept", "decline"),
    ("accept", "reject"),
    ("accepted", "declined"),
    ("accepted", "rejected"),
    ("accepted", "notaccepted"),
    ("allow", "deny"),
    ("allow", "block"),
    ("allow", "disallow"),
    ("allowed", "denied"),
    ("allowed", "blocked"),
    ("allowed", "disallowed"),
    ("granted", "denied"),
    ("granted", "revoked"),
    ("granted", "withdrawn"),
    ("enable", "disable"),
    ("subscribe", "unsubscribe"),
    ("subscribed", "unsubscribed"),
    ("subscribed", "notsubscribed"),
    ("optin", "optout"),
    ("optedin", "optedout"),
    ("optedin", "notoptedin"),
    ("consent", "noconsent"),
    ("consented", "notconsented"),
    ("si", "no"),
    ("sí", "no"),
    ("sim", "não"),
    ("1.0", "0.0"),
)
"""A yes and its no, as they stand for it in a column that is a consent by its name."""


_NEUTRAL: Final = frozenset(
    [
        *(*TRUE_WORDS, *FALSE_WORDS, "1.0", "0.0", "o", "x", "v", "○", "×"),  # noqa: RUF001 — as above
        *("on", "off", "예", "네", "아니오", "아니요", "참", "거짓", "ja", "nein"),
    ]
)


@dataclass(frozen=True, slots=True)
class BooleanWords:
    """The words for true and for false; *is_default* is whether the mapping knows them by default."""

    true: tuple[str, ...]
    false: tuple[str, ...]
    is_default: bool


def is_known(word: str) -> bool:
    """Whether *word* clearly means yes or no in any column, in upper or lower case."""
    return _ANY_COLUMN.meaning(word) is not None


def has_both(words: Iterable[str]) -> bool:
    """Whether *words* have one for yes and its counterpart for no: x and y are no pair."""
    found = set(map(_plain, words))
    return any(yes in found and no in found for yes, no in _ANYWHERE)


def lists_of(words: Iterable[str]) -> BooleanWords:
    """Return the lists for true and false of *words*, all known; a side without a word gets the counterparts."""
    return _ANY_COLUMN.lists_of(words)


def meaning_in_consent(word: str) -> bool | None:
    """Return what *word* means in a column that is a consent by its name; None for nothing that is clear."""
    return _CONSENT.meaning(word)


def lists_of_consent(words: Iterable[str]) -> BooleanWords:
    """Return the lists for true and false of the *words* of a consent, as `lists_of` does."""
    return _CONSENT.lists_of(words)


def found_in_consent(words: Iterable[str]) -> BooleanWords:
    """Return the same, with no other words than those, also where the mapping knows them by default."""
    return _CONSENT.found(words)


def is_neutral(word: str) -> bool:
    """Whether *word* answers any question: `Y` may mean a refusal, and 거부 can't mean a consent."""
    return _plain(word) in _NEUTRAL


class _Meanings:
    """What words mean, by pairs of a yes and its no."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._true: Mapping[str, str] = dict(reversed(pairs))
        self._false: Mapping[str, str] = {no: yes for yes, no in reversed(pairs)}

    def meaning(self, word: str) -> bool | None:
        plain = _plain(word)
        return True if plain in self._true else False if plain in self._false else None

    def lists_of(self, words: Iterable[str]) -> BooleanWords:
        found = dict.fromkeys(word.casefold() for word in words)
        if found.keys() <= {*TRUE_WORDS, *FALSE_WORDS}:
            return BooleanWords(TRUE_WORDS, FALSE_WORDS, is_default=True)
        return self.found(found)

    def found(self, words: Iterable[str]) -> BooleanWords:
        found = dict.fromkeys(word.casefold() for word in words)
        true = [word for word in found if self.meaning(word) is True]
        false = [word for word in found if self.meaning(word) is False]
        true = true or list(dict.fromkeys(self._false[_plain(word)] for word in false))
        false = false or list(dict.fromkeys(self._true[_plain(word)] for word in true))
        return BooleanWords(tuple(true), tuple(false), is_default=False)


def _plain(word: str) -> str:
    """Return *word* in one case and width, without the blanks and hyphens between its letters."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", word).casefold())


_ANY_COLUMN: Final = _Meanings(_ANYWHERE)
_CONSENT: Final = _Meanings(_IN_CONSENTS)
