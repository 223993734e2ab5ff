"""Check a JSON value against the property types of the API."""

import re
from datetime import date, datetime
from types import MappingProxyType

from uploader.model import Json

KINDS = ("string", "long", "double", "boolean", "date", "datetime", "array<string>", "array<long>", "array<double>")
"""The types of a property, as `mapping.properties` of the configuration spells them."""

BUILT_IN = MappingProxyType(
    {
        "df_name": "string",
        "df_gender": "string",
        "df_birth": "date",
        "df_membership": "string",
        "df_push_optin": "boolean",
        "df_push_ads_optin": "boolean",
        "df_sms_ads_optin": "boolean",
        "df_kakao_ads_optin": "boolean",
        "df_push_night_ads_optin": "boolean",
    }
)
"""The properties that exist in every service."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{3})?Z")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?Z")
_LONGS = range(-(2**63), 2**63)


def misfit(value: Json, kind: str | None) -> str | None:
    """Return why *value* is no *kind* (None: any type of the API), or None where it fits; null always fits."""
    found = _NAMES.get(type(value)) or _found(value)
    if found == "null":
        return None
    if kind is None:
        return None if found in KINDS or found == "empty array" else f"no type of the API: {found}"
    if kind in {"date", "datetime"} and isinstance(value, str):
        fits = _is_date(value) if kind == "date" else is_datetime(value)
        return None if fits else f"wanted {kind}, found a string of another form"
    if found == kind or (found == "empty array" and kind.startswith("array<")):
        return None
    return f"wanted {kind}, found {found}"


def is_datetime(text: str) -> bool:
    """Return whether *text* is a Datetime property: `yyyy-MM-dd'T'HH:mm:ss(.SSS)Z`, on a day that exists."""
    return _DATETIME.fullmatch(text) is not None and _exists(text)


def is_moment(text: str) -> bool:
    """Return whether *text* is a `request_datetime`: ISO 8601 in UTC, its fraction of any length."""
    return _MOMENT.fullmatch(text) is not None and _exists(text)


def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _exists(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _found(value: Json) -> str:
    match value:
        case list():
            return _found_in(value)
        case int() if not isinstance(value, bool):
            return "long" if value in _LONGS else "an integer beyond 64 bits"
        case _:
            return _NAMES[type(value)]


def _found_in(items: list[Json]) -> str:
    if not items:
        return "empty array"
    found = {_found(item) for item in items}
    kind = f"array<{found.pop()}>"
    return kind if not found and kind in KINDS else "another array"


_NAMES = MappingProxyType({type(None): "null", bool: "boolean", str: "string", float: "double", dict: "object"})
