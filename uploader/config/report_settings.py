"""Say where a run is reported, as its configuration has it, or as much of it as can be read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from uploader.config.error_messages import UnfitValueError
from uploader.config.notify_settings import NotifySettings, readable_notify, readable_path
from uploader.config.proxy import Proxy, proxy_to, proxy_url
from uploader.config.readable_parts import readable_parts
from uploader.config.settings import Settings
from uploader.config.yaml_document import Tree
from uploader.errors import ConfigError


@dataclass(frozen=True, slots=True)
class EndpointAddress:
    """The *url* of an endpoint, the *key* of the configuration that it is in, and the *proxy* on the way to it."""

    key: str
    url: str = field(repr=False)
    proxy: Proxy | None = None


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Where a run is reported: endpoints, the file of its metrics, and what leads to the endpoints."""

    notify: NotifySettings
    textfile: Path | None
    proxy: str | None = field(repr=False)
    ca_file: Path | None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those of *settings*."""
        return cls(settings.notify, settings.metrics.textfile, settings.api.proxy, settings.api.ca_file)

    @classmethod
    def readable(cls, path: Path, *, overrides: Sequence[str] = (), environ: Mapping[str, str]) -> Self:
        """Return what can be read of the configuration at *path*, which is wrong somewhere; nothing is raised."""
        parts, folder = readable_parts(path, overrides=overrides, environ=environ), path.parent.absolute()
        return cls(
            readable_notify(parts),
            readable_path(parts, "metrics", "textfile", folder),
            _readable_proxy(parts),
            readable_path(parts, "api", "ca_file", folder),
        )

    def webhook(self, environ: Mapping[str, str]) -> EndpointAddress | None:
        """Return the endpoint in `notify.url`."""
        return self._address("notify.url", self.notify.url, environ)

    def ping(self, environ: Mapping[str, str]) -> EndpointAddress | None:
        """Return the endpoint in `notify.ping`."""
        return self._address("notify.ping", self.notify.ping, environ)

    def _address(self, key: str, url: str | None, environ: Mapping[str, str]) -> EndpointAddress | None:
        if url is None:
            return None
        proxy = None
        # A wrong variable ends the run, and is what has to be reported.
        with suppress(ConfigError):
            proxy = proxy_to(url, self.proxy, environ)
        return EndpointAddress(key, url, proxy)


def _readable_proxy(parts: Mapping[str, Tree]) -> str | None:
    api = parts.get("api")
    try:
        return proxy_url(api["proxy"]) if isinstance(api, dict) and "proxy" in api else None
    except UnfitValueError:
        return None
