"""Find the proxy through which the service is reached: the configuration's, else the environment's."""

import base64
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from pydantic import SecretStr

from uploader.config.error_messages import UnfitValueError
from uploader.config.service_url import is_loopback
from uploader.errors import ConfigError

_URL = re.compile(r"[!-~]+")
_EXAMPLE = "write http://host:3128, or http://user:password@host:3128 with each of : / ? # @ % in them as %3A and so on"
_VARIABLES = ("https_proxy", "all_proxy")
_EXCEPTIONS = "no_proxy"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: its *url* without user and password, which *authorization* has, a header; and what *named* it."""

    url: str
    named: str
    authorization: str | None = field(default=None, repr=False)


def proxy_url(value: object) -> str:
    """Return the URL *value* if it is a proxy's; raise UnfitValueError, which never quotes it, for any other."""
    _split(value)
    return str(value)


def proxy_to(base_url: str, given: SecretStr | None, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy on the way to *base_url*: *given*, else the one that *environ* names; None where there is none.

    A loopback address is always reached directly: so no proxy ever sees a request that is not encrypted. The variables
    are asked as curl and requests do: https_proxy, then all_proxy, but for what no_proxy excepts; of each the spelling
    in small letters first.

    Raises:
        ConfigError: a variable of the environment is not a proxy's URL.
    """
    service = urlsplit(base_url)
    host = service.hostname or ""
    if is_loopback(host):
        return None
    if given is not None:
        return _proxy(given.get_secret_value(), "api.proxy")
    if _is_excepted(host, service.port or _PORTS[service.scheme], _value(environ, _EXCEPTIONS)[1]):
        return None
    name, value = next((found for found in (_value(environ, one) for one in _VARIABLES) if found[1]), ("", ""))
    if not value:
        return None
    try:
        return _proxy(value if "://" in value else f"http://{value}", name)
    except UnfitValueError as error:
        words = f"the variable {name} {error}; or name a proxy in api.proxy, or the service's host in NO_PROXY"
    # Raised out here, so that no traceback shows what the variable holds.
    raise ConfigError(words)


def _value(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the spelling of *name* that counts, and what it holds; "" where neither spelling is there."""
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
    """Whether *exceptions*, as no_proxy lists them, has *host* at *port*.

    An entry is `*`, a domain (with or without a dot before it, it stands for all hosts below it as well), an address,
    or a network as 10.0.0.0/8; all but the last may have a port.
    """
    host = host.rstrip(".")
    return any(
        entry_port in (None, port) and (name == "*" or _is_within(host, name))
        for name, entry_port in _entries(exceptions.lower())
    )


def _entries(exceptions: str) -> Iterator[tuple[str, int | None]]:
    """Yield name and port of each entry; a port is None where there is none."""
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
