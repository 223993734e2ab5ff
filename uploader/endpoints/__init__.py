"""Own the bytes of the API: the bodies of requests, one file for each call, and what its replies say."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from uploader.api import EndpointName
from uploader.endpoints.endpoint import Endpoint
from uploader.endpoints.identities import Identities
from uploader.endpoints.user_profile import UserProfile

USER_PROFILE: Final[Endpoint] = UserProfile()
IDENTITIES: Final[Endpoint] = Identities()

ENDPOINTS: Final[Mapping[EndpointName, Endpoint]] = MappingProxyType(
    {endpoint.name: endpoint for endpoint in (USER_PROFILE, IDENTITIES)}
)
"""Every endpoint, by its name in `api.endpoint`."""

__all__ = ["ENDPOINTS", "IDENTITIES", "USER_PROFILE", "Endpoint"]
