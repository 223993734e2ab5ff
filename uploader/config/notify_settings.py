"""Read where the start and the end of a run are reported, also from a configuration that is wrong elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ValidationError

from uploader.config.error_messages import UnfitValueError
from uploader.config.relative_paths import resolved
from uploader.config.service_url import is_loopback
from uploader.config.settings_section import Section, SettingsOrigin, read_section
from uploader.config.value_parsers import one_of, words
from uploader.config.written_form import URL, written_as
from uploader.config.yaml_document import KeyPath, Tree

_URL: Final = re.compile(r"[!-~]+")
_EXAMPLE: Final = "write for example https://monitor.example/hook"

NotifyEvent: TypeAlias = Literal["failure", "rejected", "success", "started"]
"""A run ended early, ended with rows that were not accepted, ended with status 0, or started."""

LogFormat: TypeAlias = Literal["text", "json", "plain"]
"""How a line that goes to no terminal looks: after its time and run ID, as a JSON object, or alone."""

LOG_FORMATS: Final = ("text", "json", "plain")
_READABLE: Final = SettingsOrigin(Path("Settings"), Path())
"""Where the section comes from that is read by itself: it has no path."""

_EVENTS: Final = ("failure", "rejected", "success", "started")


@written_as(URL)
def endpoint_url(value: object) -> str:
    """Return *value* if it is the URL of an endpoint for notifications; else raise UnfitValueError, without quoting it.

    As for the service, http is accepted for loopback hosts only.
    """
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise UnfitValueError(f"is not a URL; {_EXAMPLE}")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UnfitValueError(f"is not a URL; {_EXAMPLE}") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise UnfitValueError(f"is not a URL that starts with https:// and a host; {_EXAMPLE}")
    if "@" in parts.netloc or "#" in value:
        raise UnfitValueError(f"has a user name or a # in it, which are not sent; {_EXAMPLE}")
    if parts.scheme == "http" and not is_loopback(host):
        raise UnfitValueError(f"would be sent unencrypted; only loopback hosts may have http://; {_EXAMPLE}")
    return value


@dataclass(frozen=True, kw_only=True)
class NotifySettings(Section):
    """Where the start and the end of a run are reported: *on* says what of it goes to *url*; *ping* gets all of it."""

    key_path: ClassVar[KeyPath] = ("notify",)

    on: Annotated[
        tuple[Annotated[NotifyEvent, BeforeValidator(one_of(*_EVENTS))], ...],
        BeforeValidator(words),
    ] = ("failure", "rejected")
    """What of a run goes to the webhook."""
    url: Annotated[str | None, BeforeValidator(endpoint_url)] = field(default=None, repr=False)
    """A webhook that gets a JSON object, with a text that Slack and Teams show."""
    ping: Annotated[str | None, BeforeValidator(endpoint_url)] = field(default=None, repr=False)
    """A check as healthchecks.io has them, which learns of every start and end."""


def readable_notify(parts: Mapping[str, Tree]) -> NotifySettings:
    """Return what can be read of `notify` in *parts* of a configuration; what is wrong in it has its default."""
    section = parts.get("notify")
    right: dict[str, object] = {}
    for key, value in section.items() if isinstance(section, dict) else ():
        try:
            read_section(NotifySettings, {key: value}, _READABLE)
        except ValidationError:
            continue
        right[key] = value
    return read_section(NotifySettings, right, _READABLE)


def readable_path(parts: Mapping[str, Tree], section: str, key: str, folder: Path) -> Path | None:
    """Return the path at *key* of *section* in *parts*, which may be relative to *folder*; None where there is none."""
    found = parts.get(section)
    try:
        return resolved(found[key], folder) if isinstance(found, dict) and key in found else None
    except UnfitValueError:
        return None


def readable_log_format(parts: Mapping[str, Tree]) -> LogFormat:
    """Return `log_format` in *parts*; its default where there is none."""
    match parts.get("log_format"):
        case "json":
            return "json"
        case "plain":
            return "plain"
        case _:
            return "text"
