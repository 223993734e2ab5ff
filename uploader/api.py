"""Define the constants of the API: its calls, identity fields, consents, types and codes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

EndpointName: TypeAlias = Literal["user-profile", "identities"]
"""The name of a call of the API, which is the end of its path (`api.md`)."""

TIME_KEY: Final = "request_datetime"
"""The time of a request, in its body and in the configuration."""

IDENTITY_FIELDS = ("external_id", "phone_no", "email", "kakao_user_id", "line_user_id")
"""The identity fields of `api.md`; each is a String."""

CONSENTS = (
    "df_push_optin",
    "df_push_ads_optin",
    "df_sms_ads_optin",
    "df_kakao_ads_optin",
    "df_push_night_ads_optin",
)
"""The consents of `api.md`: Booleans that must never be lost silently."""

PropertyType: TypeAlias = Literal[
    "string", "long", "double", "boolean", "date", "datetime", "array<string>", "array<long>", "array<double>"
]
"""A property type of `api.md`."""

BUILT_IN_TYPES: Final[Mapping[str, PropertyType]] = MappingProxyType(
    {
        "df_name": "string",
        "df_gender": "string",
        "df_birth": "date",
        "df_membership": "string",
        **dict.fromkeys(CONSENTS, "boolean"),
    }
)
"""The properties that exist in every service (`api.md`, user_properties): they need not be registered."""

GENDER: Final = "df_gender"
GENDERS: Final = ("Male", "Female", "NonBinary", "Other")
"""The property of the gender, and its constants (`api.md`, user_properties)."""

BIRTH: Final = "df_birth"
"""The property of the birth date: a String `yyyy-MM-dd` (`api.md`, user_properties)."""

SUCCESS: Final = "20000"
"""The code of a request that was accepted (`api.md`, Replies)."""

ACCEPTED: Final = (200, SUCCESS)
"""HTTP status and code of the reply that says that a request is stored."""

DOCUMENTED_MESSAGES: Final = frozenset(
    {
        *("OK", "BAD_REQUEST", "VALIDATION_FAILURE", "INVALID_SERVICE_ID", "INVALID_TOKEN", "TOO_MANY_REQUEST"),
        *("TOO_MANY_EVENTS", "TOO_MANY_USER_PROFILES", "INTERNAL_SERVER_ERROR"),
        *("Bad Request", "Too Many Requests", "Server Error"),
    }
)
"""The messages of replies in `api.md`: each says no more than its code or status."""

LIMIT_STATUS = 429
LIMIT_CODE = "40401"
"""The status and the code of a throttled request (`api.md`, Replies)."""

TIMEOUT_STATUS = 408
"""Request Timeout: the server waited too long for a request (RFC 9110, 15.5.9)."""
