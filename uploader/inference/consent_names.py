"""Read from the name of a column whether it is a consent, a refusal, or neither, in English and in Korean."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from uploader.api import CONSENTS
from uploader.inference.name_words import NameWords, words_of

_SMS, _PUSH, _KAKAO = "df_sms_ads_optin", "df_push_optin", "df_kakao_ads_optin"
_PUSH_ADS, _NIGHT_PUSH = "df_push_ads_optin", "df_push_night_ads_optin"

_WORDS: Final = {
    "sms": "sms lms mms 문자 문자메시지 문자메세지",
    "push": "push pushes apppush 푸시 푸쉬 앱푸시 앱푸쉬",
    "kakao": "kakao kakaotalk 카카오 카카오톡 카톡",
    "friend talk": "friendtalk 친구톡 브랜드메시지 brandmessage",
    "alimtalk": "alimtalk 알림톡",
    "mail": "mail mails mailing email emails edm newsletter newsletters 메일 이메일 메일링 뉴스레터",
    "call": "call calls phone telephone tm dm fax postal post postmail 전화 텔레마케팅 우편 우편물 팩스",
    "night": "night nighttime 야간 심야",
    "ads": "ad ads advert adverts advertising advertisement advertisements 광고 광고성",
    "marketing": "marketing mkt mktg promotion promotions promotional promo 마케팅 프로모션 홍보",
    "notice": (
        "notification notifications notif noti notis notice notices alarm alarms alert alerts contact contacts "
        "communication communications message messages messaging msg msgs 알림 알람 메시지 메세지 연락"
    ),
    "receive": "receive receives receiving recv rcv rcpt rcptn 수신",
    "send": "send sends sending 발송 전송",
    "opt in": "optin optins optedin optsin optingin",
    "agree": (
        "agree agrees agreed agreement agre agr consent consents consented subscribe subscribes subscribed "
        "subscription subscriptions subscriber allow allows allowed accept accepts accepted acceptance approve "
        "approved approval grant granted 동의 동의함 수락 허용 허락 승낙 승인 구독"
    ),
    "setting": (
        "enable enabled enables on active activated use using permit permitted permission permissions authorize "
        "authorized 사용 활성 활성화 켜짐 켬 신청 가능 권한"
    ),
    "yes or no": "yn y n ok chk check checked 여부 flag flags flg status state 상태 유무",
    "no": (
        "dont donot not never off stop stops stopped mute muted mutes suppress suppressed suppression suppresses "
        "disable disabled disables withdraw withdraws withdrawn withdrew withdrawal revoke revoked revokes cancel "
        "cancels canceled cancelled cancellation deny denies denied denial decline declines declined reject "
        "rejects rejected rejection refuse refuses refused refusal refusals block blocks blocked blacklist "
        "blacklisted blocklist blocklisted exclude excludes excluded exclusion disallow disallowed disallows "
        "disagree disagrees disagreed forbid forbidden prohibit prohibited ban banned unreg unregister "
        "unregistered unregistration remove removed object objected objection restrict restricted inactive "
        "deactivate deactivated nonconsent disconsent unconsent nonconsented silence silenced pause paused "
        "terminate terminated 거부 거부함 거절 차단 철회 해지 해제 미동의 비동의 부동의 불가 불가능 불허 불허용 "
        "제한 금지 중지 중단 정지 제외 반대 비허용 미허용 취소 안함 안받음 않음 하지않음 안받기 받지않음 원치않음 "
        "원하지않음 미승인 비활성 비활성화 미사용 미신청 꺼짐 끔 끄기 탈퇴 미구독 스팸 없음 싫음 싫어함 "
        "unagree unagreed unagrees"
    ),
    "opt out": (
        "optout optouts optedout optsout optingout unsub unsubs unsubscribe unsubscribes unsubscribed "
        "unsubscription unsubscriber dnd donotdisturb donotcontact donotsend nocontact donottext 미수신 비수신 "
        "수신거부 수신거절 수신차단 수신불가 수신제한 수신안함 수신철회 수신해지"
    ),
    "something else": (
        "date time datetime day dt ts at timestamp 일시 일자 날짜 시각 시간 일 년월일 count cnt counts 횟수 건수 "
        "수 no number num id idx seq 번호 아이디 version ver 버전 token tokens 토큰 reason reasons 사유 이유 경로 "
        "source src ip level by method 방법 type 유형 종류 cert certs certify certified certification auth "
        "authenticated verify verified verification 인증 본인확인 확인 login logins 로그인 signup join joined "
        "가입 register registered registration reg 등록 sent received delivered "
        "delivery 도달 click clicked clicks 클릭 open opened opens 오픈 열람 읽음 fail failed fails failure 실패 "
        "success 성공 bounce bounced bounces complaint link linked 연동 연결 sync response 응답 template 템플릿 "
        "campaign 캠페인 title 제목 url device 기기 sdk key error code 코드 updated changed created expire "
        "expired expires expiry 만료 price cost 비용"
    ),
    "filler": (
        "app apps web mobile user users member members mbr customer customers cust client clients my is has have "
        "are will can want wants profile profiles data info information preference preferences pref prefs "
        "settings setting attributes properties custom to for of in the via and or from about text texts event "
        "events news offer offers channel given value current service do does out opt ing 정보 앱 웹 회원 고객 "
        "사용자 유저 개인 이벤트 혜택 소식 안내 서비스 설정 선택 필수 활용 이용 목적 제공 대한 전체 및 의 을 를 "
        "에 로 성 용 현재 수집 개인정보 의사"
    ),
}
_KIND: Final = {word: kind for kind, words in reversed(_WORDS.items()) for word in words.split()}

_SENDING: Final = frozenset({"night", "ads", "marketing", "notice", "receive"})
_CHANNELS: Final = {"sms": _SMS, "kakao": _KAKAO, "friend talk": _KAKAO, "push": _PUSH}
_OTHER_CHANNELS: Final = frozenset({"mail", "call", "alimtalk"})
_STRONG: Final = frozenset({"opt in", "agree"})
_MOMENTS: Final = ("_on", " on")

_REFUSED: Final = "by its name it says who refused, the opposite of a consent"
_ABOUT_REFUSAL: Final = "by its name it says when, why or how often somebody refused"
_UNNAMED: Final = "by its name a consent, but it doesn't say to which messages"
_NOT_BY_PUSH: Final = "by its name a consent to messages at night, and the service has one for push only"
_ALIMTALK: Final = "by its name a consent to Alimtalk, and df_kakao_ads_optin is about Friend Talk only"
_NOT_ADS: Final = "by its name perhaps a consent, but it doesn't say that it holds for advertising (Friend Talk)"
_SETTING: Final = "by its name perhaps a consent, or only what a device or a program is set to"
_MORE: Final = "by its name perhaps a consent, but the name says more than that"
_BARE: Final = "by its name and its values perhaps a consent"


@dataclass(frozen=True, slots=True)
class ConsentName:
    """The consent that a name means: its *key*, or the *trouble* that keeps it from being mapped by its name.

    With a trouble, *likely* is the consent that it may be; with *is_refusal* it says who refused it. *is_unnamed* is
    whether it says not to which messages. Of several names for one key, that of the lowest *doubt* is the clearest. A
    *remark* is for a human to look at.
    """

    key: str | None
    trouble: str = ""
    remark: str = ""
    likely: str | None = None
    is_refusal: bool = False
    is_unnamed: bool = False
    doubt: int = 0


@lru_cache(maxsize=4096)
def consent(name: str) -> ConsentName | None:
    """Return the consent that *name* means; None if it means none."""
    if name in CONSENTS:
        return ConsentName(name)
    found = _words_of(name)
    exact = next((key for key in CONSENTS if name.casefold().replace("-", "_").replace(" ", "_") == key), None)
    if exact is not None:
        return ConsentName(exact, doubt=1)
    kinds = _kinds(found.known)
    if refusal := _refusal(kinds):
        return refusal
    asks = kinds & (_STRONG | {"receive", "setting", "yes or no"})
    # `sms_send_yn` says what was done, `sms_send_agree` what may be done.
    was_done = "something else" in kinds or ("send" in kinds and not kinds & _STRONG) or _is_moment(name, kinds)
    if was_done or not asks or not kinds & (_SENDING | _CHANNELS.keys() | {"opt in", "alimtalk"}):
        return None
    return _consent_of(kinds, has_more=bool(found.unknown))


def bare_consent(name: str) -> ConsentName | None:
    """Return the consent that *name* may mean if its values are yes and no, though nothing in it says so."""
    found = _words_of(name)
    kinds = _kinds(found.known)
    is_sent = kinds & _CHANNELS.keys() or (not found.unknown and kinds & _SENDING)
    if not is_sent and (found.unknown or _SUBSCRIBED.isdisjoint(found.known)):
        return None
    if kinds & (_OTHER_CHANNELS | {"something else", "send"}):
        return None
    likely, is_refusal = _likely(kinds), "no" in kinds
    trouble = _REFUSED if is_refusal else _BARE
    return ConsentName(None, trouble, likely=likely, is_refusal=is_refusal, is_unnamed=likely is None)


_SUBSCRIBED: Final = frozenset({"subscribe", "subscribed", "subscribes", "구독"})


def _words_of(name: str) -> NameWords:
    # Salesforce ends the names of fields that users add with __c.
    return words_of(name.removesuffix("__c"), _KIND)


def _kinds(words: tuple[str, ...]) -> frozenset[str]:
    kinds = {_KIND[word] for word in words}
    # `no` is a refusal before what is sent (`no_sms`), and a number after it (`sms_no`).
    if words[:1] == ("no",) and len(words) > 1:
        kinds = {_KIND[word] for word in words[1:]} | {"no"}
    return frozenset(kinds)


def _is_moment(name: str, kinds: AbstractSet[str]) -> bool:
    return name.casefold().endswith(_MOMENTS) and bool(kinds & (_STRONG | {"receive"}))


def _refusal(kinds: frozenset[str]) -> ConsentName | None:
    about = kinds & (_SENDING | _CHANNELS.keys() | _OTHER_CHANNELS | {"send"})
    if "opt out" not in kinds and not ("no" in kinds and about):
        return None
    if "something else" in kinds:
        return ConsentName(None, _ABOUT_REFUSAL)
    likely = _likely(kinds)
    is_unnamed = likely is None and not kinds & (_OTHER_CHANNELS | {"night"})
    return ConsentName(None, _REFUSED, likely=likely, is_refusal=True, is_unnamed=is_unnamed)


def _consent_of(kinds: frozenset[str], *, has_more: bool) -> ConsentName | None:
    """Return the consent of a name of these *kinds*, which has words for what is sent, and for yes or no."""
    likely, channels = _likely(kinds), _channels(kinds)
    asks = kinds & (_STRONG | {"receive"})
    is_only_receiving = has_more and asks <= {"receive"} and not kinds & {"ads", "marketing", "night"}
    if not channels and "alimtalk" not in kinds and (not asks | (kinds & {"night"}) or is_only_receiving):
        return None
    # A consent to e-mail or to calls alone is none that the service has.
    if not channels and kinds & {"mail", "call"}:
        return None
    trouble = _trouble(kinds, likely, has_more=has_more)
    if trouble:
        known = None if trouble == _ALIMTALK else likely or next(iter(channels), None)
        return ConsentName(None, trouble, likely=known, is_unnamed=trouble == _UNNAMED)
    if not channels and "night" not in kinds:
        return ConsentName(likely, remark="it names no channel; does it hold for push?", doubt=6)
    remark = "" if asks else "its name doesn't say that it is a consent; is it one?"
    return ConsentName(likely, remark=remark, doubt=_doubt(kinds))


def _trouble(kinds: frozenset[str], likely: str | None, *, has_more: bool) -> str:
    """Return why nobody can tell by a name of these *kinds* that it is the consent *likely*; "" if it is."""
    says_so = bool(kinds & (_STRONG | {"receive", "yes or no"}))
    found = (
        ("alimtalk" in kinds, _ALIMTALK),
        (bool(kinds & _OTHER_CHANNELS), _UNNAMED),
        (likely is None and "night" in kinds, _NOT_BY_PUSH),
        (likely is None, _UNNAMED),
        (has_more, _MORE),
        (not says_so, _SETTING),
        (likely == _KAKAO and not _is_about_ads(kinds), _NOT_ADS),
    )
    return next((trouble for is_so, trouble in found if is_so), "")


def _channels(kinds: AbstractSet[str]) -> list[str]:
    return sorted({key for kind, key in _CHANNELS.items() if kind in kinds})


def _likely(kinds: AbstractSet[str]) -> str | None:
    """Return the one consent that *kinds* can mean; None if they can mean several, or none that the service has."""
    channels = _channels(kinds)
    if "night" in kinds:
        return _NIGHT_PUSH if channels in ([], [_PUSH]) else None
    if not channels and not kinds & _OTHER_CHANNELS:
        return _PUSH_ADS if "ads" in kinds else None
    if len(channels) != 1:
        return None
    return _PUSH_ADS if channels == [_PUSH] and kinds & {"ads", "marketing"} else channels[0]


def _is_about_ads(kinds: AbstractSet[str]) -> bool:
    return bool(kinds & {"friend talk", "ads", "marketing", "opt in"}) or {"receive", "agree"} <= kinds


def _doubt(kinds: AbstractSet[str]) -> int:
    if "opt in" in kinds or {"receive", "agree"} <= kinds:
        return 2 if kinds & {"ads", "marketing", "friend talk"} else 3
    return 4 if kinds & _STRONG else 5 if "receive" in kinds else 7
