"""Know the call that creates or updates the properties of one person (`docs/api.md`)."""

from collections.abc import Collection, Container, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import orjson

from uploader.api import CONSENTS, IDENTITY_FIELDS, TIME_KEY, EndpointName
from uploader.endpoints.body_texts import IDENTITY_BEGIN, IDENTITY_KEY, NOT_UNICODE, TIME_BEGIN, BodyTexts
from uploader.mapping.body_format import BodyParts, ColumnLayout
from uploader.model import Json, Reason

PROPERTIES_LIMIT: Final = 8192
"""How many bytes all properties of one person may take together (`docs/api.md`, user_properties: 8 KB)."""

_PROPERTIES_KEY: Final = "user_properties"


class UserProfile(BodyTexts):
    """`POST /api/v1/user-profile`: the identity, at least one property, and the time of the request."""

    name: Final[EndpointName] = "user-profile"
    path: Final = "/api/v1/user-profile"
    identity_fields: Final[Collection[str]] = IDENTITY_FIELDS
    needs_property: Final = True
    layout: Final = ColumnLayout(IDENTITY_BEGIN, f'}},"{_PROPERTIES_KEY}":{{', TIME_BEGIN, PROPERTIES_LIMIT)
    true_consents: Final[Mapping[str, str]] = MappingProxyType({name: f'"{name}":true' for name in CONSENTS})
    """The quotes of a text that spells one would be escaped."""

    any_true_consent: Final = '":true'

    _any_true: Final = any_true_consent.encode()
    _true: Final = tuple((name, text.encode()) for name, text in true_consents.items())

    @staticmethod
    def encode(identity: Mapping[str, str], properties: Mapping[str, Json], now: str) -> bytes | Reason:
        """Return the body of these parts, made at *now*; or why it can't be sent."""
        if not properties:
            return Reason("no_property", "no property: every mapped column is empty")
        try:
            body = orjson.dumps({IDENTITY_KEY: identity, _PROPERTIES_KEY: properties, TIME_KEY: now})
        except orjson.JSONEncodeError:
            return NOT_UNICODE
        # A part of a small body is small, so few bodies need to be measured.
        if len(body) > PROPERTIES_LIMIT and len(orjson.dumps(properties)) > PROPERTIES_LIMIT:
            return Reason("too_large", "the properties take more than 8 KB together")
        return body

    @staticmethod
    def parts(body: bytes) -> BodyParts:
        """Return the parts of *body*: orjson reads back exactly what it wrote, to the last digit."""
        content = orjson.loads(body)
        return BodyParts(content[IDENTITY_KEY], content[_PROPERTIES_KEY], content[TIME_KEY])

    def consents_given(self, body: bytes) -> Sequence[str]:
        """Return the consents that are true in *body*."""
        return [name for name, true in self._true if true in body] if self._any_true in body else ()

    def property_names(self, body: bytes) -> Sequence[str]:
        """Return the names of the properties that *body* sets, in their order."""
        return list(self.parts(body).properties)

    def without(self, body: bytes, names: Container[str]) -> bytes | None:
        """Return *body* without the properties in *names*; None if it has no others."""
        identity, properties, time = self.parts(body)
        left = {name: value for name, value in properties.items() if name not in names}
        if len(left) == len(properties):
            return body
        return orjson.dumps({IDENTITY_KEY: identity, _PROPERTIES_KEY: left, TIME_KEY: time}) if left else None
