"""Find the proxy to the service: that of the configuration, else that of the environment."""

import base64
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from uploader.config.error_messages import UnfitValueError
from uploader.config.service_url import is_loopback
from uploader.config.written_form import URL, written_as
from uploader.errors import ConfigError

_URL = re.compile(r"[!-~]+")
_EXAMPLE = "write http://host:3128, or http://user:password@host:3128 with each of : / ? # @ % in them as %3A and so on"
_VARIABLES = ("https_proxy", "all_proxy")
_EXCEPTIONS = "no_proxy"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: its *url* without user and password, the *authorization* header, and the setting that *named* it."""

    url: str
    named: str
    authorization: str | None = field(default=None, repr=False)


@written_as(URL)
def proxy_url(value: object) -> str:
    """Return *value* if it is the URL of a proxy; else raise UnfitValueError, which never quotes it."""
    _split(value)
    return str(value)


def proxy_to(base_url: str, given: str | None, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy to *base_url*: *given*, else the one that *environ* names; None if there is none.

    A loopback address is always reached directly, so that no proxy sees an unencrypted request. The variables are read
    as curl and requests read them: https_proxy, then all_proxy, except for hosts in no_proxy. Of each, the lower-case
    name comes first.

    Raises:
        ConfigError: an environment variable is not the URL of a proxy.
    """
    service = urlsplit(base_url)
    host = service.hostname or ""
    if is_loopback(host):
        return None
    if given is not None:
        return _proxy(given, "api.proxy")
    if _is_excepted(host, service.port or _PORTS[service.scheme], _value(environ, _EXCEPTIONS)[1]):
        return None
    name, value = next((found for found in (_value(environ, one) for one in _VARIABLES) if found[1]), ("", ""))
    if not value:
        return None
    try:
        return _proxy(value if "://" in value else f"http://{value}", name)
    except UnfitValueError as error:
        words = f"the variable {name} {error}; or name a proxy in api.proxy, or the service's host in NO_PROXY"
    # Raised outside the except block, so that no traceback shows the value of the variable.
    raise ConfigError(words)


def _value(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the spelling of *name* that is used, and its value; "" if neither spelling is set."""
    spelled = name if name in environ else name.upper()
    return spelled, environ.get(spelled, "").strip()


def _proxy(url: str, named: str) -> Proxy:
    parts = _split(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    user, password = (unquote_to_bytes(part or "") for part in (parts.username, parts.password))
    secret = base64.b64encode(user + b":" + password).decode()
    return Proxy(f"{parts.scheme}://{host}{port}", named, f"Basic {secret}" if user or password else None)


def _split(value: object) -> SplitResult:
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise UnfitValueError(f"is not a proxy's URL; {_EXAMPLE}")
    if value.lower().startswith("socks"):
        raise UnfitValueError("is a SOCKS proxy, which is not supported; name an HTTP proxy, as http://host:3128")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UnfitValueError(f"is not a proxy's URL; {_EXAMPLE}") from None
    if parts.scheme not in _PORTS or not host or port == 0:
        raise UnfitValueError(f"is not a URL that starts with http:// or https:// and a host; {_EXAMPLE}")
    if parts.path not in {"", "/"} or "?" in value or "#" in value:
        raise UnfitValueError(f"has more than scheme, user, password, host and port; {_EXAMPLE}")
    return parts


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether *exceptions*, a list as in no_proxy, includes *host* at *port*.

    An entry is `*`, an address, a network such as 10.0.0.0/8, or a domain. A domain, with or without a leading dot,
    includes all hosts below it. All but a network may have a port.
    """
    host = host.rstrip(".")
    return any(
        entry_port in (None, port) and (name == "*" or _is_within(host, name))
        for name, entry_port in _entries(exceptions.lower())
    )


def _entries(exceptions: str) -> Iterator[tuple[str, int | None]]:
    """Yield the name and the port (None if there is none) of each entry."""
    for entry in re.split(r"[\s,]+", exceptions):
        found = re.fullmatch(r"(?P<name>\[[^\]]*\]|[^:]*)(:(?P<port>[0-9]{1,5}))?", entry)
        name, port = (found["name"], found["port"]) if found else (entry, None)
        if name:
            yield name.strip("[]"), None if port is None else int(port)


def _is_within(host: str, name: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        domain = name.removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
