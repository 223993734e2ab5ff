"""Name what the API's documentation fixes: its path, identity fields, consents, types and codes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

PATH = "/api/v1/user-profile"
"""The call of `api.md` that creates and updates the properties of one user."""

IDENTITY_FIELDS = ("external_id", "phone_no", "email", "kakao_user_id", "line_user_id")
"""The identity fields of `api.md`; every one a String."""

CONSENTS = (
    "df_push_optin",
    "df_push_ads_optin",
    "df_sms_ads_optin",
    "df_kakao_ads_optin",
    "df_push_night_ads_optin",
)
"""The consents of `api.md`: Boolean, and never lost in silence."""

PropertyType: TypeAlias = Literal[
    "string", "long", "double", "boolean", "date", "datetime", "array<string>", "array<long>", "array<double>"
]
"""A type of `api.md`."""

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

SUCCESS: Final = "20000"
"""The code of a request that was accepted (`api.md`, Replies)."""

LIMIT_STATUS = 429
LIMIT_CODE = "40401"
"""How the service says that the limit is exceeded (`api.md`, Replies)."""

TIMEOUT_STATUS = 408
"""HTTP's Request Timeout (RFC 9110, 15.5.9): what a server says that has waited too long for a request."""
