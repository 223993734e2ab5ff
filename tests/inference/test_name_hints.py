"""What the name of a column says."""

import pytest

from uploader.inference import name_hints


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Name", "df_name"),
        ("이름", "df_name"),
        ("GENDER", "df_gender"),
        ("생년월일", "df_birth"),
        ("df_membership", "df_membership"),
        ("회원 등급", "df_membership"),
        ("birth_ymd", "df_birth"),
        ("BIRTH_DT", "df_birth"),
        ("생년월일(8자리)", "df_birth"),
        ("성별 (남/여)", "df_gender"),
        ("이름［한글］", "df_name"),  # noqa: RUF001 — wide brackets are its point
        ("CUST_NM", "df_name"),
        ("user_name", "df_name"),
        ("Gender__c", "df_gender"),
        ("user.name", "df_name"),
        ("data.user.birth", "df_birth"),
        ("profile.gender", "df_gender"),
        ("user.membership", "df_membership"),
        ("product.name", None),
        ("user.product.name", None),
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


def test_the_clearest_name_of_a_built_in_property_comes_first() -> None:
    names = ["user_name", "이름(한글)", "이름", "df_name"]

    assert sorted(names, key=name_hints.doubt_of_built_in) == names[::-1]


def test_codes_dates_and_flags_are_known_by_their_names() -> None:
    found = [
        (name_hints.is_code(name), name_hints.is_date(name), name_hints.is_flag(name))
        for name in ("zip", "가입일", "is_vip", "IsDeleted", "a", "Issue")
    ]

    flag, nothing = (False, False, True), (False, False, False)
    assert found == [(True, False, False), (False, True, False), flag, flag, nothing, nothing]
