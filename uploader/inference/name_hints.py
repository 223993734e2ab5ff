"""Read hints from the name of a column, in English and in Korean."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from uploader.api import CONSENTS


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


STRONG_IDS: Final = _words(
    "userid customerid memberid externalid memberno customerno userno membernumber customernumber usernumber custid",
    "custno mbrno mbrid clientid accountid uid uuid 회원번호 고객번호 회원id 고객id 회원아이디 고객아이디 사용자id",
    "사용자아이디 사용자번호 회원no 고객no",
)
"""Names that identify the person of a row."""

WEAK_IDS: Final = _words("id no key code loginid username 아이디 번호 코드")
"""Names that identify a person only if nearly all values are different."""

EMAILS: Final = _words("email emailaddress emailaddr mail 이메일 메일 이메일주소 메일주소 전자우편")
PHONES: Final = _words(
    "phone phoneno phonenumber mobile mobileno mobilenumber mobilephone cell cellphone tel telno telephone hp hpno",
    "휴대폰 휴대전화 휴대폰번호 휴대전화번호 핸드폰 핸드폰번호 전화 전화번호 연락처",
)
KAKAO_IDS: Final = _words("kakaouserid kakaoid kakaouserno 카카오id 카카오아이디 카카오회원번호")
LINE_IDS: Final = _words("lineuserid lineid 라인id 라인아이디")

_BUILT_IN: Final = {
    "df_name": _words("dfname name fullname customername membername 이름 성명 성함 고객명 회원명 고객이름 회원이름"),
    "df_gender": _words("dfgender gender sex 성별"),
    "df_birth": _words("dfbirth birth birthday birthdate dateofbirth dob 생년월일 생일 생년월일자"),
    "df_membership": _words(
        "dfmembership membership membershiplevel membershiptier membergrade 멤버십 멤버십등급 회원등급 등급"
    ),
}

_AGREES: Final = _words("optin agree consent subscri allow 동의 수신 허용 yn")
_REVERSED: Final = _words(
    "optout disagree disallow unsubscri refus reject deny block 거부 거절 차단 철회 해지 미동의 비동의"
)
_NOT_A_CONSENT: Final = _words(
    "date time 일시 일자 날짜 시각 시간 채널 channel count 횟수 번호 version 버전 token 토큰 reason 사유 경로"
)
_MOMENTS: Final = ("_at", " at", "_on", " on", "_dt", " dt", "_ts", " ts", "일")
_NIGHT: Final = _words("night 야간")
_KAKAO: Final = _words("kakao 카카오 카톡 친구톡")
_SMS: Final = _words("sms lms 문자")
_PUSH: Final = _words("push 푸시 푸쉬")
_ADS: Final = _words("ads advert 광고")
_GENERAL: Final = _words("marketing 마케팅 promotion 프로모션")
_SENDING: Final = _NIGHT | _KAKAO | _SMS | _PUSH | _ADS | _GENERAL
_OTHER_CHANNELS: Final = _words("mail 메일 전화 call tm 알림톡 우편")

_DATES: Final = _words("date birth dob 일자 날짜 생일 생년월일 일시 년월일")
_TIMES: Final = _words(
    "datetime timestamp unixtime epoch created updated joined registered lastlogin lastvisit lastseen visited signup",
    "purchased ordered modified seenat 일시 시각 시간 가입일 접속 방문일 로그인 최근구매 등록일 수정일",
)
_CODES: Final = tuple(_words("code 코드 version 버전 zip zipcode postcode postalcode 우편번호 번호 id 아이디"))
_LISTS: Final = _words(
    "tags tag interests interest hobbies hobby categories keywords labels segments list skills topics favorites",
    "coupons 태그 관심 취미 목록 리스트 키워드 카테고리 선호 라벨 세그먼트 쿠폰",
)
_PROSE: Final = _words("addr address memo note comment remark desc message 주소 메모 비고 설명 내용 사유 문의")
_FLAGS: Final = tuple(_words("yn 여부 flag"))


@dataclass(frozen=True, slots=True)
class ConsentName:
    """The consent that a name means: its *key*, or the *trouble* that keeps it from being mapped by its name."""

    key: str | None
    trouble: str = ""
    remark: str = ""


def plain(name: str) -> str:
    """Return the letters and digits of *name*, in one width and case."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


def built_in(name: str) -> str | None:
    """Return the built-in property that *name* means."""
    text = plain(name)
    return next((key for key, words in _BUILT_IN.items() if text in words), None)


def consent(name: str) -> ConsentName | None:
    """Return the consent that *name* means; None if it means none."""
    if name in CONSENTS:
        return ConsentName(name)
    text = plain(name)
    if _has(text, _NOT_A_CONSENT) or name.casefold().endswith(_MOMENTS):
        return None
    if not _has(text, _SENDING) or not _has(text, _AGREES | _REVERSED):
        return None
    return _consent_called(text)


def is_date(name: str) -> bool:
    """Whether *name* means a date."""
    return _has(plain(name), _DATES) or name.endswith("일")


def is_time(name: str) -> bool:
    """Whether *name* means a date or a time, so that even a plain number may be one."""
    return is_date(name) or _has(plain(name), _TIMES) or name.casefold().endswith(_MOMENTS[:-1])


def is_list(name: str) -> bool:
    """Whether *name* means several words."""
    return _has(plain(name), _LISTS)


def is_prose(name: str) -> bool:
    """Whether *name* means a text that people write, with its own commas."""
    return _has(plain(name), _PROSE)


def is_phone(name: str) -> bool:
    """Whether *name* means a phone number."""
    return plain(name) in PHONES


def is_code(name: str) -> bool:
    """Whether *name* means a code, whose digits are not a number."""
    return plain(name).endswith(_CODES)


def is_flag(name: str) -> bool:
    """Whether *name* means a yes-or-no value."""
    return plain(name).endswith(_FLAGS) or name.casefold().startswith(("is_", "has_"))


def _consent_called(text: str) -> ConsentName | None:
    if _has(text, _REVERSED):
        return ConsentName(None, "by its name it says who refused, the opposite of a consent")
    key = _channel(text)
    if key is None:
        return ConsentName(None, "by its name a consent, but it doesn't say to which messages")
    if _has(text, _OTHER_CHANNELS):
        return None
    return ConsentName(key, remark="" if _has(text, _NAMED[key]) else "it names no channel; does it hold for push?")


_NAMED: Final = {
    "df_push_optin": _PUSH,
    "df_push_ads_optin": _PUSH,
    "df_sms_ads_optin": _SMS,
    "df_kakao_ads_optin": _KAKAO,
    "df_push_night_ads_optin": _PUSH | _NIGHT,
}
"""The words that name the channel of each consent."""


def _channel(text: str) -> str | None:
    """Return the one consent that *text* means; None if it could be several."""
    channels = [key for key, words in _CHANNELS if _has(text, words)]
    if _has(text, _NIGHT):
        return "df_push_night_ads_optin" if channels in ([], ["df_push_optin"]) else None
    if len(channels) > 1:
        return None
    key = channels[0] if channels else None
    return "df_push_ads_optin" if key in {None, "df_push_optin"} and _has(text, _ADS) else key


_CHANNELS: Final = (("df_sms_ads_optin", _SMS), ("df_kakao_ads_optin", _KAKAO), ("df_push_optin", _PUSH))


def _has(text: str, words: Iterable[str]) -> bool:
    return any(word in text for word in words)
