"""Settle how the service is reached: through which proxy, and whose certificates are trusted."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uploader.config import Proxy, Settings, proxy_to, trusting


@dataclass(frozen=True, slots=True)
class Route:
    """The way to the service; None is no proxy, and what the system trusts (or `SSL_CERT_FILE`)."""

    proxy: Proxy | None = None
    ca_file: Path | None = None
    trust: ssl.SSLContext | None = field(default=None, repr=False)


def route_of(settings: Settings, environ: Mapping[str, str]) -> Route:
    """Return the way that *settings*, or else *environ*, name; raises ConfigError for one that can't be gone."""
    api = settings.api
    trust = None if api.ca_file is None else trusting(api.ca_file)
    return Route(proxy_to(api.base_url, api.proxy, environ), api.ca_file, trust)
