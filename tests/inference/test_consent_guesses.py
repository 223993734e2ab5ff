"""What becomes of a column that is about the permission to send: mapped rightly, or shown with the line to type."""

import pytest

from tests.inference.guessed import drafted, lines
from uploader.inference import MappingGuess, property_line

DEPRECATED = (
    "REVIEW: df_push_optin is deprecated: it is sent as df_push_ads_optin, too; delete the one that your service does "
    "not use"
)
SUCCESSOR = "the same column, in the place of df_push_optin"
REFUSED = "REVIEW: by its name it says who refused, the opposite of a consent"
REJECTED = "which rejects their rows: rows 2, 4, 6 and 7 more"
NOTHING = "if the words for nothing mean no, add them to false"


def keys(draft: MappingGuess) -> list[tuple[str, str]]:
    return [(each.key, each.column) for each in draft.properties]


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        *(
            ("동의", "거부"),
            ("수신", "수신안함"),
            ("수신함", "수신안함"),
            ("동의", "부동의"),
            ("가능", "불가"),
            ("신청", "해지"),
        ),
        *(
            ("사용", "미사용"),
            ("승인", "미승인"),
            ("수신 동의", "수신 거부"),
            ("동의합니다", "동의하지 않습니다"),
            ("참", "거짓"),
        ),
        *(("subscribed", "unsubscribed"), ("subscribed", "not subscribed"), ("accepted", "declined"), ("ja", "nein")),
        *(("opt-in", "opt-out"), ("enabled", "disabled"), ("ｙ", "ｎ"), ("○", "×")),  # noqa: RUF001 — what people write
    ],
)
def test_a_consent_gets_the_words_that_it_has(yes: str, no: str) -> None:
    [guess] = drafted([{"user_id": str(at), "it": "x", "문자수신동의": (yes, no)[at % 2]} for at in range(4)]).consents

    assert (guess.key, guess.rule.true, guess.rule.false, guess.reviews) == ("df_sms_ads_optin", (yes,), (no,), ())


def test_the_deprecated_consent_is_sent_as_its_successor_too() -> None:
    assert lines(["Y", "N"], "푸시수신동의") == [
        f"df_push_optin: 푸시수신동의  # a consent, by its name; 2 values  # {DEPRECATED}",
        f"df_push_ads_optin: 푸시수신동의  # {SUCCESSOR}",
    ]


def test_the_successor_of_the_deprecated_consent_keeps_a_column_of_its_own() -> None:
    row = {"user_id": "1", "push_optin": "Y", "push_ads_optin": "N"}

    assert keys(drafted([row], is_csv=True)) == [
        ("df_push_optin", "push_optin"),
        ("df_push_ads_optin", "push_ads_optin"),
    ]


@pytest.mark.parametrize(
    ("word", "count", "line", "advice"),
    [
        ("?", "10 values are", '["y"], false: ["n"]', "add the unknown words to true or false"),
        ("NULL", "10 values are", '["y"], false: ["n", "NULL"]', NOTHING),
        ("-", "10 values are", '["y"], false: ["n", "-"]', NOTHING),
        ("없음", "10 values are", '["y"], false: ["n", 없음]', NOTHING),
    ],
)
def test_what_is_no_answer_rejects_its_rows_however_many_they_are(
    word: str, count: str, line: str, advice: str
) -> None:
    kind = "" if word == "?" else " (10 words for nothing)"

    assert lines(["Y", word] * 10, "sms_optin") == [
        (
            f"df_sms_ads_optin: sms_optin  # a consent, by its name; {10 if word in {'NULL', '-'} else 20} values  "
            f"# REVIEW: {count} not true or false{kind}, {REJECTED}; {advice} "
            f"df_sms_ads_optin: {{column: sms_optin, type: boolean, true: {line}}}"
        )
    ]


def test_a_word_that_nobody_knows_is_not_printed() -> None:
    shown = "\n".join(lines([*"YN" * 10, "secret"], "sms_optin"))

    assert "1 value is not true or false, which rejects its row: row 21" in shown
    assert "secret" not in shown


def test_a_consent_that_is_null_rejects_its_row() -> None:
    assert lines([True, None], "sms_optin", is_csv=False) == [
        (
            "df_sms_ads_optin: sms_optin  # a consent, by its name; 1 value  # REVIEW: 1 value is not true or false "
            "(1 null), which rejects its row: row 2; a consent can't be null, but its key may be missing"
        )
    ]


def test_numbers_of_a_consent_are_mapped_to_true_and_false() -> None:
    assert lines([1.0, 0.0], "sms_optin", is_csv=False) == [
        'df_sms_ads_optin: {column: sms_optin, values: {"1.0": true, "0.0": false}}  # a consent, by its name; 2 values'
    ]


def test_a_consent_whose_values_have_no_answer_is_shown() -> None:
    assert lines([["a"], ["b"]], "sms_optin", is_csv=False) == [
        (
            "sms_optin: sms_optin  # lists of texts  # REVIEW: by its name perhaps the consent df_sms_ads_optin, but "
            "its values say neither yes nor no"
        )
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (["Y", "N"], 'type: boolean, true: ["n"], false: ["y"]'),
        (["거부", "동의"], None),
        ([True, False], 'values: {"true": false, "false": true}'),
        ([1.0, 0.0], 'values: {"1.0": false, "0.0": true}'),
    ],
)
def test_a_refusal_is_shown_with_the_line_that_turns_it(values: list[object], line: str | None) -> None:
    draft = drafted([{"user_id": str(at), "SMS수신불가": value} for at, value in enumerate(values)])

    [(_, review)] = draft.reviews
    assert draft.consents == []
    assert (review.instead is None) is (line is None)
    if review.instead is not None:
        assert property_line(review.instead) == f"df_sms_ads_optin: {{column: SMS수신불가, {line}}}"


def test_a_refusal_of_messages_without_a_consent_is_shown() -> None:
    draft = drafted([{"user_id": "1", "HasOptedOutOfEmail": True}])

    assert [review.text for _, review in draft.reviews] == [
        f"{REFUSED.removeprefix('REVIEW: ')}; the service has no consent for it"
    ]


def test_a_refusal_stands_in_the_configuration_with_the_line_to_type() -> None:
    assert lines(["Y", "N"], "SMS해지") == [
        (
            f"SMS해지: {{column: SMS해지, type: boolean}}  # all 2 values are words for true and false  # {REFUSED}; "
            'if all others agreed, write df_sms_ads_optin: {column: SMS해지, type: boolean, true: ["n"], false: ["y"]}'
        )
    ]


def test_a_consent_to_messages_without_a_name_is_shown_with_a_line_to_type() -> None:
    assert lines(["Y", "N"], "수신동의여부") == [
        (
            "수신동의여부: {column: 수신동의여부, type: boolean}  # all 2 values are words for true and false  "
            "# REVIEW: by its name a consent, but it doesn't say to which messages; if it is one, write, for each kind "
            "of message, a line such as df_sms_ads_optin: 수신동의여부"
        )
    ]


def test_a_column_called_like_messages_is_shown_only_if_it_says_yes_and_no() -> None:
    shown = [drafted([{"user_id": "1", "SMS": value}], is_csv=True).reviews for value in ("Y", "hello")]

    assert [[(column, review.text.partition(";")[0]) for column, review in each] for each in shown] == [
        [("SMS", "by its name and its values perhaps a consent"), *[("SMS", ONE_ANSWER.partition(";")[0])]],
        [],
    ]


ONE_ANSWER = "the same answer in every row that has one; if it is yes or no, write"


@pytest.mark.parametrize(
    ("columns", "key", "chosen"),
    [
        (["sms_agree", "sms_optin"], "df_sms_ads_optin", "sms_optin"),
        (["sms_yn", "문자수신"], "df_sms_ads_optin", "문자수신"),
        (["카카오 수신", "카카오 수신동의", "kakao_ads_optin"], "df_kakao_ads_optin", "kakao_ads_optin"),
        (["푸시 동의", "DF_PUSH_OPTIN"], "df_push_optin", "DF_PUSH_OPTIN"),
        (["광고수신동의", "AD_PUSH_AGREE"], "df_push_ads_optin", "AD_PUSH_AGREE"),
    ],
)
def test_of_several_columns_the_clearest_name_is_the_consent(columns: list[str], key: str, chosen: str) -> None:
    draft = drafted([{"user_id": "1", **dict.fromkeys(columns, "Y")}], is_csv=True)

    assert [each.column for each in draft.consents if each.key == key] == [chosen]
    assert {column for column, _ in draft.reviews} >= set(columns) - {chosen}


def test_a_clear_name_comes_before_a_path() -> None:
    rows = [{"user_id": str(at), "sms": {"optin": True}, "sms_optin": False} for at in range(3)]

    assert keys(drafted(rows)) == [("sms.optin", "sms.optin"), ("df_sms_ads_optin", "sms_optin")]


@pytest.mark.parametrize("word", ["Y", "no", "O", "예"])
def test_an_answer_that_is_always_the_same_is_shown(word: str) -> None:
    draft = drafted([{"user_id": str(at), "특별회원": word} for at in range(3)], is_csv=True)

    assert [(column, review.text) for column, review in draft.reviews] == [("특별회원", ONE_ANSWER)]


@pytest.mark.parametrize(("name", "word"), [("active", "TRUE"), ("IsDeleted", "false"), ("hasCoupon", "N")])
def test_an_answer_that_can_be_nothing_else_is_a_boolean(name: str, word: str) -> None:
    [guess] = drafted([{"user_id": str(at), name: word} for at in range(3)], is_csv=True).properties

    assert (guess.rule.kind, guess.reviews) == ("boolean", ())


def test_a_name_that_may_be_a_login_name_is_shown() -> None:
    rows = [{"user_id": str(at), "user_name": "김", "x": str(at)} for at in range(3)]

    assert [(review.text, column) for column, review in drafted(rows, is_csv=True).reviews] == [
        ("by its name df_name, or the name that somebody logs in with", "user_name")
    ]
