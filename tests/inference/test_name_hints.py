"""What the name of a column says."""

import pytest

from uploader.inference import name_hints


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("push_optin", "df_push_optin"),
        ("Push Opt-In", "df_push_optin"),
        ("푸시수신동의", "df_push_optin"),
        ("앱 푸쉬 동의여부", "df_push_optin"),
        ("push_ads_optin", "df_push_ads_optin"),
        ("푸시 광고 수신동의", "df_push_ads_optin"),
        ("sms 수신동의", "df_sms_ads_optin"),
        ("문자수신동의", "df_sms_ads_optin"),
        ("SMS_AGREE_YN", "df_sms_ads_optin"),
        ("kakao_ads_optin", "df_kakao_ads_optin"),
        ("카카오 수신동의", "df_kakao_ads_optin"),
        ("야간푸시수신동의", "df_push_night_ads_optin"),
        ("night_ads_optin", "df_push_night_ads_optin"),
        ("df_push_night_ads_optin", "df_push_night_ads_optin"),
    ],
)
def test_a_consent_is_known_by_its_name(name: str, key: str) -> None:
    assert name_hints.consent(name) == name_hints.ConsentName(key)


def test_a_consent_to_ads_without_a_channel_is_to_be_looked_at() -> None:
    found = name_hints.consent("광고수신동의")

    assert found == name_hints.ConsentName("df_push_ads_optin", remark="it names no channel; does it hold for push?")


@pytest.mark.parametrize(
    "name", ["수신거부_sms", "push_optout", "푸시 수신동의 철회", "sms_unsubscribed", "문자 동의/거부"]
)
def test_a_refusal_is_no_consent(name: str) -> None:
    assert name_hints.consent(name) == name_hints.ConsentName(
        None, trouble="by its name it says who refused, the opposite of a consent"
    )


@pytest.mark.parametrize("name", ["마케팅동의", "push_sms_optin", "야간 문자 수신동의", "marketing_consent"])
def test_a_consent_that_could_be_several_is_none_of_them(name: str) -> None:
    assert name_hints.consent(name) == name_hints.ConsentName(
        None, trouble="by its name a consent, but it doesn't say to which messages"
    )


@pytest.mark.parametrize(
    "name",
    ["push_optin_at", "푸시수신동의일시", "sms_count", "push_token", "email_optin", "terms_agreed", "카카오아이디", ""],
)
def test_what_only_resembles_a_consent_is_none(name: str) -> None:
    assert name_hints.consent(name) is None


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Name", "df_name"),
        ("이름", "df_name"),
        ("GENDER", "df_gender"),
        ("생년월일", "df_birth"),
        ("df_membership", "df_membership"),
        ("회원 등급", "df_membership"),
        ("product.name", None),
        ("nickname", None),
    ],
)
def test_a_built_in_property_is_known_by_its_name(name: str, key: str | None) -> None:
    assert name_hints.built_in(name) == key


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("user_id", name_hints.STRONG_IDS),
        ("회원 번호", name_hints.STRONG_IDS),
        ("ＵＳＥＲ＿ＩＤ", name_hints.STRONG_IDS),  # noqa: RUF001 — the wide letters of Korean programs are its point
        ("아이디", name_hints.WEAK_IDS),
        ("E-Mail", name_hints.EMAILS),
        ("이메일 주소", name_hints.EMAILS),
        ("HP", name_hints.PHONES),
        ("휴대폰번호", name_hints.PHONES),
        ("kakao_user_id", name_hints.KAKAO_IDS),
        ("LINE ID", name_hints.LINE_IDS),
    ],
)
def test_an_identity_is_known_by_its_name(name: str, words: frozenset[str]) -> None:
    assert name_hints.plain(name) in words


def test_codes_dates_and_flags_are_known_by_their_names() -> None:
    found = [
        (name_hints.is_code(name), name_hints.is_date(name), name_hints.is_flag(name))
        for name in ("zip", "가입일", "is_vip", "a")
    ]

    assert found == [(True, False, False), (False, True, False), (False, False, True), (False, False, False)]
