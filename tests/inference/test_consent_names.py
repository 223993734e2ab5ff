"""Whether the name of a column says that it is a consent, a refusal, or neither."""

import pytest

from uploader.api import CONSENTS
from uploader.inference.consent_names import bare_consent, consent

REFUSED = "by its name it says who refused, the opposite of a consent"
UNNAMED = "by its name a consent, but it doesn't say to which messages"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("push_optin", "df_push_optin"),
        ("Push Opt-In", "df_push_optin"),
        ("푸시수신동의", "df_push_optin"),
        ("앱 푸쉬 동의여부", "df_push_optin"),
        ("APP PUSH 수신동의", "df_push_optin"),
        ("DF_PUSH_OPTIN", "df_push_optin"),
        ("push_ads_optin", "df_push_ads_optin"),
        ("푸시 광고 수신동의", "df_push_ads_optin"),
        ("AD_PUSH_AGREE", "df_push_ads_optin"),
        ("마케팅 푸시 동의", "df_push_ads_optin"),
        ("sms 수신동의", "df_sms_ads_optin"),
        ("SMS 수신동의(Y/N)", "df_sms_ads_optin"),
        ("SMS 수신여부", "df_sms_ads_optin"),
        ("문자수신동의", "df_sms_ads_optin"),
        ("SMS_AGREE_YN", "df_sms_ads_optin"),
        ("SMS_RCV_YN", "df_sms_ads_optin"),
        ("mms_agree", "df_sms_ads_optin"),
        ("SMS 발송 동의", "df_sms_ads_optin"),
        ("Accepts SMS Marketing", "df_sms_ads_optin"),
        ("acceptsSMSMarketing", "df_sms_ads_optin"),
        ("consents.sms", "df_sms_ads_optin"),
        ("SMS_Opt_In__c", "df_sms_ads_optin"),
        ("kakao_ads_optin", "df_kakao_ads_optin"),
        ("친구톡 수신동의", "df_kakao_ads_optin"),
        ("카카오 수신동의", "df_kakao_ads_optin"),
        ("야간푸시수신동의", "df_push_night_ads_optin"),
        ("night_ads_optin", "df_push_night_ads_optin"),
        ("df_push_night_ads_optin", "df_push_night_ads_optin"),
    ],
)
def test_a_consent_is_known_by_its_name(name: str, key: str) -> None:
    found = consent(name)

    assert found is not None
    assert (found.key, found.trouble, found.remark) == (key, "", "")


@pytest.mark.parametrize(
    ("name", "key", "remark"),
    [
        ("광고수신동의", "df_push_ads_optin", "it names no channel; does it hold for push?"),
        ("sms_yn", "df_sms_ads_optin", "its name doesn't say that it is a consent; is it one?"),
    ],
)
def test_a_consent_that_is_not_quite_clear_is_to_be_looked_at(name: str, key: str, remark: str) -> None:
    found = consent(name)

    assert found is not None
    assert (found.key, found.remark) == (key, remark)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "수신거부_sms",
            "push_optout",
            "푸시 수신동의 철회",
            "sms_unsubscribed",
            "문자 동의/거부",
            "SMS수신불가",
            "앱푸시 미수신",
        ),
        *(
            "sms_agree_withdraw",
            "push_unreg_yn",
            "sms_reject",
            "SMS해지",
            "no_sms",
            "do_not_sms",
            "doNotPush",
            "push_off",
        ),
        *(
            "sms_stop",
            "문자발송금지",
            "문자 수신 의사 없음",
            "unagree_sms",
            "Do Not Text",
            "suppress_sms",
            "sms_mute",
            "sms_ads_disabled",
            "Push Disabled",
            "SMS제한",
            "야간 푸시 제한",
        ),
        *(
            "수신거부여부",
            "unsubscribed",
            "HasOptedOutOfEmail",
            "DoNotCall",
            "이메일 수신거부",
            "SMS 동의 안함",
            "sms_xyz_optout",
        ),
    ],
)
def test_a_refusal_is_no_consent(name: str) -> None:
    found = consent(name)

    assert found is not None
    assert (found.key, found.trouble, found.is_refusal) == (None, REFUSED, True)


@pytest.mark.parametrize(
    "refusal", ["거부", "철회", "미동의", "불가", "_optout", "_reject", "_off", " Disabled", "_withdrawn"]
)
@pytest.mark.parametrize("name", [*sorted(CONSENTS), "sms수신동의", "광고성 정보 수신", "kakao_agree", "push", "문자"])
def test_no_consent_is_found_where_a_refusal_is_added_to_its_name(name: str, refusal: str) -> None:
    found = consent(name + refusal)

    assert found is not None
    assert (found.key, found.is_refusal) == (None, True)


@pytest.mark.parametrize(
    ("name", "trouble", "likely"),
    [
        ("마케팅동의", UNNAMED, None),
        ("push_sms_optin", UNNAMED, "df_push_optin"),
        ("marketing_consent", UNNAMED, None),
        ("수신동의여부", UNNAMED, None),
        ("이벤트 수신동의", UNNAMED, None),
        ("이메일/SMS 수신동의", UNNAMED, "df_sms_ads_optin"),
        (
            "야간 문자 수신동의",
            "by its name a consent to messages at night, and the service has one for push only",
            "df_sms_ads_optin",
        ),
        (
            "kakao_alimtalk_optin",
            "by its name a consent to Alimtalk, and df_kakao_ads_optin is about Friend Talk only",
            None,
        ),
        ("sms_optin_yn_old", "by its name perhaps a consent, but the name says more than that", "df_sms_ads_optin"),
        (
            "is_push_enabled",
            "by its name perhaps a consent, or only what a device or a program is set to",
            "df_push_optin",
        ),
        *(
            (
                name,
                "by its name perhaps a consent, but it doesn't say that it holds for advertising (Friend Talk)",
                "df_kakao_ads_optin",
            )
            for name in ("카카오 수신", "kakao_agree_yn")
        ),
        ("수신거부일시", "by its name it says when, why or how often somebody refused", None),
    ],
)
def test_a_name_that_leaves_a_doubt_is_not_taken_for_a_consent(name: str, trouble: str, likely: str | None) -> None:
    found = consent(name)

    assert found is not None
    assert (found.key, found.trouble, found.likely) == (None, trouble, likely)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "push_optin_at",
            "푸시수신동의일시",
            "수신동의일",
            "sms_count",
            "push_token",
            "email_optin",
            "terms_agreed",
            "",
        ),
        *(
            "카카오아이디",
            "sms_cert_yn",
            "kakao_login_yn",
            "push_received_yn",
            "SMS 발송여부",
            "sms_인증여부",
            "sms_no",
        ),
        *(
            "offer",
            "promo_code",
            "전화번호",
            "Tax Exempt",
            "회원상태",
            "차단여부",
            "is_active",
            "postcode",
            "수신자명",
            "SMS",
        ),
    ],
)
def test_what_only_resembles_a_consent_is_none(name: str) -> None:
    assert consent(name) is None


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("SMS", "df_sms_ads_optin"),
        ("xyz_sms", "df_sms_ads_optin"),
        ("푸시알림", "df_push_optin"),
        ("앱 알림", None),
        ("night", "df_push_night_ads_optin"),
        ("subscribed", None),
    ],
)
def test_a_name_of_messages_alone_may_be_a_consent(name: str, likely: str | None) -> None:
    found = bare_consent(name)

    assert found is not None
    assert (found.key, found.likely) == (None, likely)


@pytest.mark.parametrize("name", ["notSubscribed", "구독해지"])
def test_a_name_that_ends_a_subscription_may_be_a_refusal(name: str) -> None:
    found = bare_consent(name)

    assert found is not None
    assert (found.trouble, found.is_refusal) == (REFUSED, True)


@pytest.mark.parametrize("name", ["push_token", "email", "active", "smsx", "user", ""])
def test_another_name_is_not_that_of_messages(name: str) -> None:
    assert bare_consent(name) is None
