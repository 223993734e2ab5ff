"""To which endpoint the rows go: `api.endpoint` and `api.register_first`."""

from collections.abc import Callable

import pytest

from tests.make import Load
from uploader.mapping.rules import IdentityRule, MappingRules

API = "api: {{service_id: svc, access_token: linnet-0815{}}}\n"
IDENTITY = "mapping: {identity: {external_id: id}}\n"


def test_identities_need_no_property(loaded: Load) -> None:
    settings = loaded(API.format(", endpoint: identities") + IDENTITY)

    assert settings.rules() == MappingRules((IdentityRule("external_id", "id"),))


def test_identities_leave_out_the_properties_of_a_mapping_that_is_for_profiles_too(loaded: Load) -> None:
    mapping = "mapping: {identity: {external_id: id}, properties: {a: a}, other_columns: send}\n"

    settings = loaded(API.format("") + mapping, "api.endpoint=identities")

    assert settings.rules() == MappingRules((IdentityRule("external_id", "id"),))


@pytest.mark.parametrize(
    ("keys", "mapping", "message"),
    [
        (
            "",
            IDENTITY,
            "mapping.other_columns is ignore: nothing would be sent; map one, or write other_columns: send",
        ),
        (
            ", endpoint: identities, register_first: true",
            IDENTITY,
            "line 1: api.register_first is for profiles, and api.endpoint is identities; delete one of the two",
        ),
        (
            ", endpoint: identity",
            IDENTITY,
            "config.yaml line 1: api.endpoint: its value is not one of user-profile, identities",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    complaint: Callable[..., str], keys: str, mapping: str, message: str
) -> None:
    assert message in complaint(API.format(keys) + mapping)
