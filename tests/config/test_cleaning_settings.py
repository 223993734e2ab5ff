"""Properties and identity fields ask alike for cleaning; what could not work, or would do harm, is refused."""

from collections.abc import Callable
from typing import Final

import pytest

from uploader.config import Settings
from uploader.mapping.rules import CleaningRules, IdentityRule, PropertyRule

Load = Callable[..., Settings]
API: Final = "api: {service_id: svc, access_token: tok}\n"
EVERY_STEP: Final = (
    "column: c, trim: true, strip: [원], case: lower, values: {a: b}, otherwise: keep, null_values: ['-']"
)
CLEANING: Final = CleaningRules(trim=True, strip=("원",), case="lower", values=(("a", "b"),), otherwise="keep")


def with_property(key: str, rule: str) -> str:
    return f"{API}mapping:\n  identity: {{external_id: id}}\n  properties:\n    {key}: {rule}\n"


def with_identity(rule: str, more: str = "", *, field: str = "email") -> str:
    return f"{API}mapping:\n  identity:\n    {field}: {rule}\n  properties: {{a: a}}\n{more}"


def test_identities_and_properties_have_the_same_steps(loaded: Load) -> None:
    assert loaded(with_identity(f"{{{EVERY_STEP}}}")).rules().identity == (
        IdentityRule("email", "c", CLEANING, ("-",)),
    )
    assert loaded(with_property("p", f"{{{EVERY_STEP}}}")).rules().properties == (
        PropertyRule("p", "c", cleaning=CLEANING, null_values=("-",)),
    )


def test_numbers_and_hashes_have_their_steps(loaded: Load) -> None:
    amount = loaded(with_property("p", "{column: c, type: double, thousands: '.', decimal: ',', on_error: omit}"))
    hashed = loaded(with_identity("{column: c, hash: hmac-sha256}", "  hash_key: linnet-0815\n", field="external_id"))

    assert amount.rules().properties == (
        PropertyRule("p", "c", kind="double", cleaning=CleaningRules(thousands=".", decimal=","), on_error="omit"),
    )
    assert hashed.rules().identity == (IdentityRule("external_id", "c", CleaningRules(hash="hmac-sha256")),)
    assert hashed.rules().hash_key == b"linnet-0815"
    assert "linnet" not in repr(hashed)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{column: c, case: big}", ".case: 'big' is not one of lower, upper"),
        ("{column: c, phone: JP}", ".phone: 'JP' is not one of KR"),
        ("{column: c, hash: md5}", ".hash: 'md5' is not one of hmac-sha256"),
        ("{column: c, strip: 원}", ".strip: '원' is not a list; write it in brackets, for example [a, b]"),
        ("{column: c, otherwise: keep}", ".otherwise needs values; write them, or delete otherwise"),
        (
            "{column: c, values: [a]}",
            ".values: a list is not a map of values; write for example {남: Male, 여: Female}",
        ),
        (
            "{column: c, hash: hmac-sha256}",
            ".hash needs mapping.hash_key; write hash_key: ${DFINERY_HASH_KEY} below mapping",
        ),
        ("{column: c, type: long, phone: KR}", ".phone needs type: string; write it, or delete phone"),
        ("{column: c, type: long, decimal: ','}", ".decimal needs type: double; write it, or delete decimal"),
        ("{column: c, type: double, decimal: x}", ".decimal: 'x' is not a decimal mark; write \",\""),
        (
            "{column: c, type: double, thousands: ',', decimal: ','}",
            ".decimal: ',' is the separator of thousands, too; write another character in one of them",
        ),
        (
            "{column: c, type: long, case: lower}",
            ".case needs type: string or array<string>; write it, or delete case",
        ),
        (
            "{column: c, type: long, strip: ['-']}",
            ".strip: one text has a digit, a sign or a point, which may be a part of a number; delete it",
        ),
        (
            "{value: x, values: {a: b}}",
            ".values repairs a column, and this is a constant; write value as it is meant, and delete values",
        ),
        (
            "{value: x, on_error: omit}",
            ".on_error repairs a column, and this is a constant; write value as it is meant, and delete on_error",
        ),
    ],
)
def test_cleaning_that_can_not_work_is_refused(complaint: Callable[..., str], rule: str, words: str) -> None:
    assert complaint(with_property("p", rule)) == f"config.yaml line 5: mapping.properties.p{words}"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            "{column: c, values: {a: 'true'}, otherwise: omit}",
            ".otherwise: a consent that is not among values rejects its row; write reject, or delete otherwise",
        ),
        (
            "{column: c, values: {a: 'true'}, otherwise: keep}",
            ".otherwise: a consent that is not among values rejects its row; write reject, or delete otherwise",
        ),
        (
            "{column: c, on_error: omit}",
            ".on_error: a consent that can't be read rejects its row; write reject, or delete on_error",
        ),
        (
            "{column: c, null_values: ['-']}",
            ".null_values: a consent has no words for nothing of its own; delete null_values",
        ),
    ],
)
def test_cleaning_that_could_lose_a_consent_is_refused(complaint: Callable[..., str], rule: str, words: str) -> None:
    assert complaint(with_property("df_sms_ads_optin", rule)) == (
        f"config.yaml line 5: mapping.properties.df_sms_ads_optin{words}"
    )


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{trim: true}", " has no column; write {column: NAME}"),
        ("{column: c, trin: true}", ".trin is not a key; did you mean mapping.identity.email.trim?"),
        ("{column: c, otherwise: keep}", ".otherwise needs values; write them, or delete otherwise"),
        ("[c]", ": a list is not a text; write one value"),
        (
            "{column: c, hash: hmac-sha256}",
            ".hash: only an external_id may be a hash, since the service needs this value as it is; delete hash",
        ),
        (
            "{column: c, values: {모름: null}}",
            (
                ".values: '모름' would be sent as a text; "
                "for no value delete it, and write null_values: ['모름'] beside values"
            ),
        ),
        (
            "{column: c, values: {a: b, '-': GUEST}}",
            (
                ".values: '-' is a word for nothing, which is no identity, and no value is sent for it; "
                "delete it, or write limits.odd_identities: send"
            ),
        ),
    ],
)
def test_an_identity_that_can_not_be_cleaned_so_is_refused(
    complaint: Callable[..., str], rule: str, words: str
) -> None:
    assert complaint(with_identity(rule)) == f"config.yaml line 4: mapping.identity.email{words}"


def test_a_hash_of_an_external_id_needs_a_key(complaint: Callable[..., str]) -> None:
    assert complaint(with_identity("{column: c, hash: hmac-sha256}", field="external_id")) == (
        "config.yaml line 4: mapping.identity.external_id.hash needs mapping.hash_key; "
        "write hash_key: ${DFINERY_HASH_KEY} below mapping"
    )


def test_a_word_for_nothing_is_mapped_where_odd_identities_are_sent(loaded: Load) -> None:
    text = with_identity("{column: c, values: {'-': GUEST}}", "limits: {odd_identities: send}\n")

    assert loaded(text).rules().identity[0].cleaning.values == (("-", "GUEST"),)


@pytest.mark.parametrize(("sent", "words"), [("null", "a text"), ("'~'", "a text"), ("''", "an empty text")])
def test_no_value_is_sent_as_a_text(complaint: Callable[..., str], sent: str, words: str) -> None:
    line = "config.yaml line 5: mapping.properties."
    values = f"{{column: c, values: {{남: Male, 모름: {sent}}}}}"

    assert complaint(with_property("p", values)) == (
        f"{line}p.values: '모름' would be sent as {words}; "
        "for no value delete it, and write null_values: ['모름'] beside values"
    )
    assert complaint(with_property("df_sms_ads_optin", values)) == (
        f"{line}df_sms_ads_optin.values: '모름' would be sent as {words}; a consent is true or false"
    )


def test_an_identity_is_never_omitted_for_an_error(complaint: Callable[..., str]) -> None:
    assert complaint(with_identity("{column: c, on_error: omit}")).startswith(
        "config.yaml line 4: mapping.identity.email.on_error is not a key; "
    )


def test_a_key_of_hashes_that_is_empty_is_refused(complaint: Callable[..., str]) -> None:
    assert complaint(with_identity("c", "  hash_key: ' '\n")) == (
        "config.yaml line 6: mapping.hash_key: ' ' is empty, or no text; write ${DFINERY_HASH_KEY}"
    )


def test_all_that_no_identity_can_be_is_said_at_once(complaint: Callable[..., str]) -> None:
    hashed = ": only an external_id may be a hash, since the service needs this value as it is; delete hash"

    found = complaint(
        """\
api: {service_id: svc, access_token: tok}
mapping:
  identity:
    phone_no: {column: p, hash: hmac-sha256}
    email: {column: m, hash: hmac-sha256, values: {a: ""}}
  properties: {df_name: name}
"""
    )

    assert found.splitlines() == [
        f"config.yaml line 4: mapping.identity.phone_no.hash{hashed}",
        f"config.yaml line 5: mapping.identity.email.hash{hashed}",
        (
            "config.yaml line 5: mapping.identity.email.values: 'a' would be sent as an empty text; "
            "for no value delete it, and write null_values: ['a'] beside values"
        ),
    ]
