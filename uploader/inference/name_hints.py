"""Read hints from the name of a column, in English and in Korean."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final


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
    "df_name": _words(
        "dfname name fullname realname username usernm customername customernm custname custnm membername membernm",
        "mbrname mbrnm korname koreanname",
        "이름 성명 성함 고객명 회원명 고객이름 회원이름 고객성명 회원성명 사용자명 사용자이름",
    ),
    "df_gender": _words("dfgender gender gendercode gendercd sex sexcode sexcd 성별 성별코드"),
    "df_birth": _words(
        "dfbirth birth birthday birthdate birthdt birthymd birthdy dateofbirth dob 생년월일 생일 생년월일자",
    ),
    "df_membership": _words(
        "dfmembership membership membershiplevel membershiptier membershipgrade membergrade custgrade customergrade",
        "usergrade 멤버십 멤버십등급 멤버쉽 멤버쉽등급 회원등급 회원등급명 고객등급 등급",
    ),
}
_LOGIN_NAMES: Final = _words("username usernm")
_PERSONS: Final = _words(
    "user users profile userprofile customer member person people account data attributes attrs properties props",
    "traits userproperties userattributes info userinfo personal basic me contact client 회원 고객",
    "사용자 회원정보 고객정보",
)
"""Names of objects whose fields are those of a person."""
_REMARK: Final = re.compile(r"\s*[(\[{（［][^()\[\]{}（）［］]*[)\]}）］]\s*$")  # noqa: RUF001 — wide brackets, too

_MOMENTS: Final = ("_at", " at", "_on", " on", "_dt", " dt", "_ts", " ts", "일")

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
_IS: Final = re.compile(r"(?:is|has|IS|HAS|Is|Has)_|(?:is|has|Is|Has)(?=[A-Z])")


def plain(name: str) -> str:
    """Return the letters and digits of *name*, in one width and case."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


def built_in(name: str) -> str | None:
    """Return the built-in property that *name* means, alone or as a field of a person: `user.name`."""
    owner, _, last = _without_remark(name).rpartition(".")
    if owner and any(plain(part) not in _PERSONS for part in owner.split(".")):
        return None
    text = plain(last)
    return next((key for key, words in _BUILT_IN.items() if text in words), None)


def doubt_of_built_in(name: str) -> int:
    """Return how clear it is that *name* means a built-in property: 0 is the clearest."""
    return 0 if built_in(name) == name else 3 if may_be_login_name(name) else 1 if _without_remark(name) == name else 2


def may_be_login_name(name: str) -> bool:
    """Whether *name* may mean the name of a person, or the one that the person logs in with."""
    return plain(_without_remark(name)) in _LOGIN_NAMES and "." not in name


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
    return plain(name).endswith(_FLAGS) or _IS.match(name) is not None


def _without_remark(name: str) -> str:
    """Return *name* without a remark in brackets at its end, as in `성별(남/여)`, or the `__c` of Salesforce."""
    return _REMARK.sub("", name).removesuffix("__c") or name


def _has(text: str, words: Iterable[str]) -> bool:
    return any(word in text for word in words)
