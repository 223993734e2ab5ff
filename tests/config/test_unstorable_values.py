"""What the mapping itself sends, constants and the words of a map, is tried when the configuration is read."""

from collections.abc import Callable
from typing import Final

import pytest

HEAD: Final = """\
api: {service_id: svc, access_token: tok}
mapping:
  identity: {external_id: id}
  properties:
"""
GENDERS: Final = "no gender that the service has; write one of Male, Female, NonBinary, Other"


@pytest.mark.parametrize(
    ("key", "rule", "words"),
    [
        ("age", "{value: old, type: long}", "value is not a whole number; write one of type long"),
        (
            "day",
            "{value: 2023-02-30, type: date}",
            "value is not a date (%Y-%m-%d); write one of type date",
        ),
        (
            "marks",
            "{value: [1, x], type: array<long>}",
            "value is not a whole number; write one of type array<long>",
        ),
        ("df_sms_ads_optin", "{value: maybe}", "value is neither true nor false; write one of type boolean"),
        (
            "df_sms_ads_optin",
            "{column: c, values: {Y: Male, N: 'false'}}",
            "values: what 'Y' becomes is neither true nor false; write one of type boolean",
        ),
        (
            "grade",
            "{column: c, type: long, values: {골드: high, 실버: 2}}",
            "values: what '골드' becomes is not a whole number; write one of type long",
        ),
        (
            "marks",
            "{column: c, type: array<long>, values: {one: 1, a_word_of_many_letters: two}}",
            "values: what one of the words becomes is not a whole number; write one of type array<long>",
        ),
        ("df_gender", "{value: male}", f"value is {GENDERS}"),
        ("df_gender", "{column: c, values: {남: Male, 여: F}}", f"values: what '여' becomes is {GENDERS}"),
    ],
)
def test_what_the_service_would_not_store_is_refused_before_a_source_is_read(
    complaint: Callable[..., str], key: str, rule: str, words: str
) -> None:
    assert complaint(f"{HEAD}    {key}: {rule}\n") == f"config.yaml line 5: mapping.properties.{key}.{words}"


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("df_gender", "{column: c, values: {남: Male, 여: Female, 기타: Other, x: NonBinary}}"),
        ("df_sms_ads_optin", "{column: c, values: {동의: 'true', 거부: 'false'}}"),
        ("amount", "{column: c, type: long, thousands: ',', values: {많음: '1,000'}}"),
        ("day", "{column: c, type: date, format: '%Y.%m.%d', values: {처음: 1970.01.01}}"),
    ],
)
def test_what_the_service_stores_is_taken(loaded: Callable[..., object], key: str, rule: str) -> None:
    loaded(f"{HEAD}    {key}: {rule}\n")


def test_every_wrong_value_has_a_line_beside_the_other_errors(complaint: Callable[..., str]) -> None:
    rules = """\
    q: {value: x, type: long}
    df_sms_ads_optin: {column: c, values: {Y: Male, N: Female}, otherwise: keep}
    hashed: {column: c, hash: hmac-sha256}
    p: {column: c, otherwise: keep, on_error: omitted, thousands: ','}
"""
    place, not_boolean = "mapping.properties", "becomes is neither true nor false; write one of type boolean"

    assert complaint(HEAD + rules).splitlines() == [
        f"config.yaml line 5: {place}.q.value is not a whole number; write one of type long",
        (
            f"config.yaml line 6: {place}.df_sms_ads_optin.otherwise: a consent that is not among values rejects its "
            "row; write reject, or delete otherwise"
        ),
        f"config.yaml line 6: {place}.df_sms_ads_optin.values: what 'Y' {not_boolean}",
        f"config.yaml line 6: {place}.df_sms_ads_optin.values: what 'N' {not_boolean}",
        (
            f"config.yaml line 7: {place}.hashed.hash needs mapping.hash_key; "
            "write hash_key: ${DFINERY_HASH_KEY} below mapping"
        ),
        f"config.yaml line 8: {place}.p.on_error: 'omitted' is not one of reject, omit; did you mean omit?",
        f"config.yaml line 8: {place}.p.otherwise needs values; write them, or delete otherwise",
        f"config.yaml line 8: {place}.p.thousands needs type: long or double; write it, or delete thousands",
    ]


def test_what_only_follows_from_a_misspelt_key_is_not_said(complaint: Callable[..., str]) -> None:
    text = f"{HEAD}    a: {{column: c, hash: hmac-sha256}}\n    b: {{column: c, typ: long, thousands: ','}}\n"

    assert complaint(f"{text}  hash_kye: linnet-0815\n").splitlines() == [
        "config.yaml line 6: mapping.properties.b.typ is not a key; did you mean mapping.properties.b.type?",
        "config.yaml line 7: mapping.hash_kye is not a key; did you mean mapping.hash_key?",
    ]


def test_an_identity_without_the_key_of_its_hash_is_named_beside_the_other_errors(
    complaint: Callable[..., str],
) -> None:
    text = f"{HEAD}    a: {{column: c, type: lnog}}\n"
    hashed = text.replace("{external_id: id}", "{external_id: {column: id, hash: hmac-sha256}}")

    first, second = complaint(hashed).splitlines()

    assert first == (
        "config.yaml line 3: mapping.identity.external_id.hash needs mapping.hash_key; "
        "write hash_key: ${DFINERY_HASH_KEY} below mapping"
    )
    assert second.startswith("config.yaml line 5: mapping.properties.a.type: 'lnog' is not one of")
