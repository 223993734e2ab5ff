"""Decide how the service is reached: through which proxy, and with whose certificates."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from uploader.config import Proxy, Settings, proxy_to, trusting
from uploader.config.service_url import is_loopback


@dataclass(frozen=True, slots=True)
class Route:
    """The route to the service; None means no proxy, and the certificates of the system (or of `SSL_CERT_FILE`).

    *is_local* is whether the service is on this machine, which is reached without a proxy.
    """

    proxy: Proxy | None = None
    ca_file: Path | None = None
    trust: ssl.SSLContext | None = field(default=None, repr=False)
    is_local: bool = False


def route_of(settings: Settings, environ: Mapping[str, str]) -> Route:
    """Return the route that *settings*, or else *environ*, name; raises ConfigError for one that can't be used."""
    api = settings.api
    trust = None if api.ca_file is None else trusting(api.ca_file)
    is_local = is_loopback(urlsplit(api.base_url).hostname or "")
    return Route(proxy_to(api.base_url, api.proxy, environ), api.ca_file, trust, is_local)
