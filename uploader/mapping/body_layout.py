"""Lay out the body of a request: where in it the identity, the properties and the time are."""

from collections.abc import Mapping
from typing import Final

import orjson

from uploader.model import Json, Reason

PROPERTIES_LIMIT: Final = 8192
"""How many bytes all properties of one user may take together (`api.md`, user_properties: 8 KB)."""

IDENTITY_BEGIN: Final = '{"identity":{'
"""What is before the members of the identity."""

PROPERTIES_BEGIN: Final = '},"user_properties":{'
"""What is between the members of the identity and those of the properties."""

TIME_BEGIN: Final = '},"request_datetime":"'
"""What is between the members of the properties and the time, with the quote that begins it."""

_END: Final = b'"}'


def encoded(identity: Mapping[str, str], properties: Mapping[str, Json], now: str) -> bytes | Reason:
    """Return the body of these parts, made at *now*; or why it can't be sent."""
    if not properties:
        return Reason("no_property", "no property: every mapped column is empty")
    try:
        body = orjson.dumps({"identity": identity, "user_properties": properties, "request_datetime": now})
    except orjson.JSONEncodeError:
        return Reason("not_unicode", "a value holds half of a surrogate pair, which is no text")
    if len(body) > PROPERTIES_LIMIT and len(orjson.dumps(properties)) > PROPERTIES_LIMIT:
        return Reason("too_large", "the properties take more than 8 KB together")
    return body


def member(key: str) -> str:
    """Return what is before the value of *key* in the identity or the properties; a comma parts the members."""
    return orjson.dumps(key).decode() + ":"


def completed(begin: bytes, time: str) -> bytes:
    """Return the whole body of its *begin*, up to `TIME_BEGIN`, and its *time*."""
    return begin + time.encode() + _END
