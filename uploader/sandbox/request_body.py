"""Parse and validate the body of a request as the API does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from uploader.model import Json
from uploader.sandbox.api_replies import BATCH, INVALID, MALFORMED, ApiReply, because
from uploader.sandbox.calls import USER_PROFILE, Call
from uploader.sandbox.property_types import is_moment

IDENTITY_FIELDS = ("external_id", "phone_no", "email", "kakao_user_id", "line_user_id")
PROPERTY_BYTES = 8 * 1024
"""The limit on all properties of a user together, in bytes."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """The content of a body; empty where it can't be read. *refusal* is the reply to an invalid body, else None."""

    identity: Mapping[str, Json] = field(default_factory=dict)
    properties: Mapping[str, Json] = field(default_factory=dict)
    refusal: ApiReply | None = None

    def has_value(self, name: str, text: str) -> bool:
        """Return whether the body gives *name*, an identity field or a property, the value written as *text*."""
        part = self.identity if name in self.identity else self.properties
        if name not in part:
            return False
        value = part[name]
        return text == (value if isinstance(value, str) else _ENCODER.encode(value))

    def person(self) -> dict[str, str]:
        """Return the identity of a valid body."""
        return {name: value for name, value in self.identity.items() if isinstance(value, str)}


def parse_body(body: bytes, call: Call = USER_PROFILE) -> ParsedBody:
    """Parse *body*, which was sent to *call*; an error in it is a refusal, never an exception."""
    try:
        content = _parsed(body)
    except (ValueError, RecursionError):
        return ParsedBody(refusal=because(MALFORMED, "the body is not JSON"))
    if isinstance(content, list):
        return ParsedBody(refusal=because(BATCH, "the body is an array: send one profile in a request"))
    if not isinstance(content, dict):
        return ParsedBody(refusal=because(MALFORMED, "the body is no object"))
    identity = content.get("identity")
    properties = content.get("user_properties") if "user_properties" in call.parts else None
    return ParsedBody(
        identity if isinstance(identity, dict) else {},
        properties if isinstance(properties, dict) else {},
        _misshapen(content, call) or _invalid_identity(content["identity"]) or _invalid_rest(content, len(body)),
    )


def _parsed(body: bytes) -> Json:
    # orjson is strict (no NaN, byte order mark or lone surrogate); json keeps integers of any size exact.
    orjson.loads(body)
    content: Json = json.loads(body)
    return content


def _misshapen(content: dict[str, Json], call: Call) -> ApiReply | None:
    for part in call.parts:
        if part not in content:
            return because(MALFORMED, f"{part} is missing")
    for part in call.objects:
        if isinstance(content[part], list):
            return because(BATCH, f"{part} is an array: send one profile in a request")
        if not isinstance(content[part], dict):
            return because(MALFORMED, f"{part} is no object")
    if not isinstance(content["request_datetime"], str):
        return because(MALFORMED, "request_datetime is no string")
    return None


def _invalid_identity(identity: Json) -> ApiReply | None:
    if not isinstance(identity, dict) or not identity:
        return because(INVALID, "identity has no field")
    for name, value in identity.items():
        if name not in IDENTITY_FIELDS:
            return because(INVALID, "identity has an unknown field")
        if not isinstance(value, str) or not value:
            return because(INVALID, f"identity.{name} is empty or no string")
    return None


def _invalid_rest(content: dict[str, Json], size: int) -> ApiReply | None:
    if not is_moment(str(content["request_datetime"])):
        return because(INVALID, "request_datetime is not ISO 8601 in UTC")
    # A part of a small body is small, so few bodies need to be measured.
    if size > PROPERTY_BYTES and len(_ENCODER.encode(content.get("user_properties")).encode()) > PROPERTY_BYTES:
        return because(INVALID, f"user_properties are over {PROPERTY_BYTES} bytes")
    return None
