"""Check the URL of the service: it is encrypted, except on this machine."""

import ipaddress
import re
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from uploader.config.error_messages import UnfitValueError
from uploader.config.written_form import URL, written_as

_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_PORTS = {"http": 80, "https": 443}
_EXAMPLE = "write https://openapi.dfinery.ai"


@written_as(URL)
def base_url(value: object) -> str:
    """Return the URL *value* without slashes at its end; else raise UnfitValueError, which never quotes it.

    http is accepted for loopback hosts only: the token is sent in a header.
    """
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise UnfitValueError(f"is not a URL; {_EXAMPLE}")
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise UnfitValueError(f"is not a URL; {_EXAMPLE}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise UnfitValueError(f"is not a URL that starts with https:// and a host; {_EXAMPLE}")
    if _has_more(value, parts):
        raise UnfitValueError(f"holds more than scheme, host and path (a user name, a ? or a #); {_EXAMPLE}")
    if parts.scheme == "http" and not is_loopback(host):
        raise UnfitValueError(f"would send the token unencrypted; only loopback hosts may have http://; {_EXAMPLE}")
    return value.rstrip("/")


def one_spelling(url: str) -> str:
    """Return the normal form of *url*, a result of `base_url`, by which the state identifies the service.

    Scheme and host are in lower case; a dot after the host, the default port and slashes at the end are removed.
    `localhost` becomes 127.0.0.1; [::1] stays, since another server may listen there.
    """
    parts = urlsplit(url)
    host, port = (parts.hostname or "").removesuffix("."), parts.port
    if host == "localhost":
        host = "127.0.0.1"
    with suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    key_path = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS.get(parts.scheme):
        key_path += f":{port}"
    return f"{parts.scheme}://{key_path}{parts.path.rstrip('/')}"


def _has_more(url: str, parts: SplitResult) -> bool:
    return "@" in parts.netloc or "?" in url or "#" in url


def is_loopback(host: str) -> bool:
    """Whether *host* is a name or an address that can only be this machine."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address in ipaddress.ip_network("127.0.0.0/8") or address == ipaddress.ip_address("::1")
