"""What each endpoint says of its bodies is what is in their JSON."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as some

from uploader.api import CONSENTS, IDENTITY_FIELDS, TIME_KEY
from uploader.endpoints import ENDPOINTS, IDENTITIES, USER_PROFILE, Endpoint
from uploader.model import Json, Reason

NOW, LATER = "2024-06-24T06:42:25.394Z", "2025-01-01T00:00:00.000Z"
NO_TEXT = Reason("not_unicode", "a value holds half of a surrogate pair, which is no text")
BOTH = [USER_PROFILE, IDENTITIES]

TRICKY = some.sampled_from(
    ['x","request_datetime":"', '"df_push_optin":true', "user_properties", '":true', "\\", "", "é", '\',"identity":{']
)
TEXTS = some.text(some.characters(exclude_categories=["Cs"])) | TRICKY
VALUES = TEXTS | some.booleans() | some.none() | some.integers(-(2**63), 2**63 - 1) | some.lists(TEXTS, max_size=2)
IDENTITY = some.dictionaries(some.sampled_from(IDENTITY_FIELDS), TEXTS, min_size=1)
# A key with a quote in it could end with another key: no property is called so.
KEYS = some.sampled_from(CONSENTS) | TEXTS.filter(lambda key: '"' not in key)
PROPERTIES = some.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def bodied(endpoint: Endpoint, identity: Mapping[str, str], properties: Mapping[str, Json], now: str = NOW) -> bytes:
    body = endpoint.encode(identity, properties, now)
    assert isinstance(body, bytes)
    return body


def test_each_endpoint_has_the_name_that_its_path_ends_with() -> None:
    assert {name: endpoint.path for name, endpoint in ENDPOINTS.items()} == {
        "user-profile": "/api/v1/user-profile",
        "identities": "/api/v1/identities",
    }
    assert [set(endpoint.identity_fields) for endpoint in BOTH] == [set(IDENTITY_FIELDS)] * 2


@given(IDENTITY, PROPERTIES)
def test_a_profile_says_identity_properties_and_time(identity: dict[str, str], properties: dict[str, Json]) -> None:
    body = bodied(USER_PROFILE, identity, properties)

    assert json.loads(body) == {"identity": identity, "user_properties": properties, "request_datetime": NOW}
    assert USER_PROFILE.parts(body) == (identity, properties, NOW)
    assert USER_PROFILE.property_names(body) == list(properties)
    assert set(USER_PROFILE.consents_given(body)) == {name for name in CONSENTS if properties.get(name) is True}


@given(IDENTITY, PROPERTIES)
def test_an_identity_is_sent_without_any_property(identity: dict[str, str], properties: dict[str, Json]) -> None:
    body = bodied(IDENTITIES, identity, properties)

    assert json.loads(body) == {"identity": identity, "request_datetime": NOW}
    assert IDENTITIES.parts(body) == (identity, {}, NOW)
    assert (IDENTITIES.property_names(body), IDENTITIES.consents_given(body)) == ((), ())
    assert IDENTITIES.without(body, set(properties)) == body


@pytest.mark.parametrize("endpoint", BOTH)
@given(identity=IDENTITY, properties=PROPERTIES, other=PROPERTIES)
def test_bodies_mean_the_same_if_they_differ_in_their_time_alone(
    endpoint: Endpoint, identity: dict[str, str], properties: dict[str, Json], other: dict[str, Json]
) -> None:
    body, later = (bodied(endpoint, identity, properties, now) for now in (NOW, LATER))
    another = bodied(endpoint, identity, other)

    assert endpoint.meaning(body) == endpoint.meaning(later)
    assert (endpoint.meaning(body) == endpoint.meaning(another)) == (
        endpoint.parts(body) == endpoint.parts(another)
        and list(endpoint.parts(body).properties) == list(endpoint.parts(another).properties)
    )


@pytest.mark.parametrize("endpoint", BOTH)
@given(identity=IDENTITY, properties=PROPERTIES)
def test_a_body_is_completed_at_a_time_and_its_beginning_means_what_it_means(
    endpoint: Endpoint, identity: dict[str, str], properties: dict[str, Json]
) -> None:
    body = bodied(endpoint, identity, properties)
    begin = body[: body.rindex(NOW.encode())]

    assert begin.endswith(endpoint.layout.time_begin.encode())
    assert endpoint.complete(begin, LATER) == bodied(endpoint, identity, properties, LATER)
    assert endpoint.meaning(begin) == endpoint.meaning(body)


@given(IDENTITY, PROPERTIES)
def test_the_text_of_a_true_consent_is_where_it_is_true(identity: dict[str, str], properties: dict[str, Json]) -> None:
    body = bodied(USER_PROFILE, identity, properties)

    found = {name for name, text in USER_PROFILE.true_consents.items() if text.encode() in body}

    assert found == set(USER_PROFILE.consents_given(body))
    assert not found or USER_PROFILE.any_true_consent.encode() in body


@given(IDENTITY, PROPERTIES, some.sets(some.sampled_from(CONSENTS)))
def test_a_profile_without_some_properties_keeps_the_others(
    identity: dict[str, str], properties: dict[str, Json], names: set[str]
) -> None:
    left = {name: value for name, value in properties.items() if name not in names}

    found = USER_PROFILE.without(bodied(USER_PROFILE, identity, properties), names)

    assert found == (bodied(USER_PROFILE, identity, left) if left else None)


@given(IDENTITY, PROPERTIES)
def test_a_value_follows_the_beginning_of_its_member(identity: dict[str, str], properties: dict[str, Json]) -> None:
    body = bodied(USER_PROFILE, identity, properties).decode()

    for key, value in properties.items():
        if key not in (*identity, "identity", "user_properties", TIME_KEY):
            rest = body[body.index(USER_PROFILE.member_begin(key)) + len(USER_PROFILE.member_begin(key)) :]
            assert json.JSONDecoder().raw_decode(rest)[0] == value
            assert not isinstance(value, str) or rest.encode().startswith(USER_PROFILE.text_begin(""))


@pytest.mark.parametrize(
    ("endpoint", "properties", "refused"),
    [
        (USER_PROFILE, {}, Reason("no_property", "no property: every mapped column is empty")),
        (USER_PROFILE, {"a": "x" * 8_192}, Reason("too_large", "the properties take more than 8 KB together")),
        (USER_PROFILE, {"a": "\ud800"}, NO_TEXT),
    ],
)
def test_a_profile_that_can_t_be_sent_says_why(
    endpoint: Endpoint, properties: dict[str, Json], refused: Reason
) -> None:
    assert endpoint.encode({"external_id": "1"}, properties, NOW) == refused


def test_a_surrogate_in_an_identity_is_no_text() -> None:
    assert [endpoint.encode({"email": "\ud800"}, {"a": 1}, NOW) for endpoint in BOTH] == [NO_TEXT] * 2
