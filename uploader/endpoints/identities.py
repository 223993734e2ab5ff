"""Know the call that makes a person known by their identity alone (`docs/api.md`)."""

from collections.abc import Collection, Container, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import orjson

from uploader.api import IDENTITY_FIELDS, TIME_KEY, EndpointName
from uploader.endpoints.body_texts import IDENTITY_BEGIN, IDENTITY_KEY, NOT_UNICODE, TIME_BEGIN, BodyTexts
from uploader.mapping.body_format import BodyParts, ColumnLayout
from uploader.model import Json, Reason

_MOST_BYTES: Final = 8192
"""A longer body is encoded row by row: few identities are so long."""


class Identities(BodyTexts):
    """`POST /api/v1/identities`: the identity and the time of the request, no property."""

    name: Final[EndpointName] = "identities"
    path: Final = "/api/v1/identities"
    identity_fields: Final[Collection[str]] = IDENTITY_FIELDS
    needs_property: Final = False
    layout: Final = ColumnLayout(IDENTITY_BEGIN, None, TIME_BEGIN, _MOST_BYTES)
    true_consents: Final[Mapping[str, str]] = MappingProxyType({})
    any_true_consent: Final = '":true'

    @staticmethod
    def encode(identity: Mapping[str, str], _properties: Mapping[str, Json], now: str) -> bytes | Reason:
        """Return the body of *identity*, made at *now*; or why it can't be sent. No property is sent."""
        try:
            return orjson.dumps({IDENTITY_KEY: identity, TIME_KEY: now})
        except orjson.JSONEncodeError:
            return NOT_UNICODE

    @staticmethod
    def parts(body: bytes) -> BodyParts:
        """Return the parts of *body*."""
        content = orjson.loads(body)
        return BodyParts(content[IDENTITY_KEY], {}, content[TIME_KEY])

    @staticmethod
    def consents_given(_body: bytes) -> Sequence[str]:
        """Return no consent."""
        return ()

    @staticmethod
    def property_names(_body: bytes) -> Sequence[str]:
        """Return no name."""
        return ()

    @staticmethod
    def without(body: bytes, _names: Container[str]) -> bytes | None:
        """Return *body*, which has no property to leave out."""
        return body
