"""Hold every setting of a run, typed and checked."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, ValidationInfo, model_validator

from uploader.api import PropertyType
from uploader.config.credentials import is_quoted
from uploader.config.error_messages import PROPERTIES, MisfitError, UnfitValueError
from uploader.config.mapping_settings import (
    IdentityFieldSettings,
    IdentitySettings,
    MappingSettings,
    MomentSettings,
    PropertySettings,
    Zone,
)
from uploader.config.notify_settings import LOG_FORMATS, LogFormat, NotifySettings
from uploader.config.proxy import proxy_url
from uploader.config.registered_properties import registered, registered_kind
from uploader.config.relative_paths import resolved, template
from uploader.config.service_url import base_url
from uploader.config.settings_section import Section
from uploader.config.value_parsers import (
    delimiter,
    duration,
    encoding,
    flag,
    joined_limit,
    name,
    one_of,
    share,
    some_share,
    unpacking,
    whole,
    word,
    words,
)
from uploader.config.yaml_document import KeyPath
from uploader.mapping.identity_values import is_nothing
from uploader.mapping.rules import MappingRules
from uploader.model import MaxJoined, Unpacking

_MANY = 10**9


def _printable(value: object) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if is_quoted(name):
        raise UnfitValueError("has quotes around it that belong to no credential; delete them")
    if name.startswith("\ufeff"):
        raise UnfitValueError("begins with a byte order mark (BOM); copy it again, without that")
    if not re.fullmatch(r"[!-~]+", name):
        raise UnfitValueError("is empty, or holds a character that none has; copy it again from the console")
    return name


def _path(value: object, info: ValidationInfo) -> Path:
    return resolved(value, info.context["folder"] if info.context else Path.cwd())


# Defined outside the classes: inside one, a field hides the function of the same name.
Url: TypeAlias = Annotated[str, BeforeValidator(base_url)]
Encoding: TypeAlias = Annotated[str, BeforeValidator(encoding)]
Delimiter: TypeAlias = Annotated[str, BeforeValidator(delimiter)]
Duration: TypeAlias = Annotated[float, BeforeValidator(duration)]
Registered: TypeAlias = Annotated[
    dict[str, Annotated[PropertyType, BeforeValidator(registered_kind)]], BeforeValidator(registered)
]
JobName: TypeAlias = Annotated[str, BeforeValidator(name)]
Location: TypeAlias = Annotated[Path, BeforeValidator(_path)]


class ApiSettings(Section):
    """The URL of the service and the credentials. *access_token* also holds the token from `access_token_file`."""

    base_url: Url = "https://openapi.dfinery.ai"
    service_id: Annotated[str, BeforeValidator(_printable)] = Field(repr=False)
    access_token: Annotated[SecretStr, BeforeValidator(_printable)]
    access_token_file: Location | None = None
    timeout: Duration = 30.0
    proxy: Annotated[SecretStr | None, BeforeValidator(proxy_url)] = None
    ca_file: Location | None = None


class SourceSettings(Section):
    """The name and the format of the source. *skip_lines* is how many lines are above the header of a CSV.

    *name* is that of its job ("": it is known by its path). *timezone* is that of `{today}` in a SOURCE (None: that of
    this machine). *columnar* is whether it is read in whole batches; "auto": from a certain size on.
    """

    name: JobName = ""
    format: Annotated[
        Literal["auto", "csv", "jsonl", "parquet"], BeforeValidator(one_of("auto", "csv", "jsonl", "parquet"))
    ] = "auto"
    encoding: Encoding = "auto"
    delimiter: Delimiter = ","
    skip_lines: Annotated[int, BeforeValidator(whole(0, 1000, "how many lines are above the header"))] = 0
    null_values: Annotated[tuple[Annotated[str, BeforeValidator(word)], ...], BeforeValidator(words)] = ("",)
    timezone: Zone | None = None
    columnar: Annotated[Literal["auto", "on", "off"], BeforeValidator(one_of("auto", "on", "off"))] = "auto"


class RateSettings(Section):
    """The service's limit of requests in each window, and how much of it this run may use. *per* is in seconds."""

    requests: Annotated[int, BeforeValidator(whole(1, _MANY, 10000))] = 10000
    per: Duration = 60.0
    share: Annotated[float, BeforeValidator(some_share)] = 0.95
    burst: Annotated[int, BeforeValidator(whole(1, _MANY, 16))] = 16
    concurrency: Annotated[int, BeforeValidator(whole(1, 1000, 32))] = 32

    @model_validator(mode="after")
    def _leaves_a_request(self) -> Self:
        if self.share * self.requests < 1:
            raise MisfitError(": requests times share is less than one request in a window; raise one of them")
        return self


class RetrySettings(Section):
    """How often a request is tried, and how long the waits are, in seconds."""

    attempts: Annotated[int, BeforeValidator(whole(1, 1000, 5))] = 5
    base: Duration = 0.5
    cap: Duration = 30.0
    outage_timeout: Duration = 1800.0


class LimitsSettings(Section):
    """When a source is wrong as a whole. *max_rejected* is a part of 1, *canary* a number of rows.

    *max_joined* is how many different values of another identity field a value may stand beside, for each field.
    """

    max_rejected: Annotated[float, BeforeValidator(share)] = 0.1
    max_unpacked: Annotated[Unpacking, BeforeValidator(unpacking)] = Unpacking()
    canary: Annotated[int, BeforeValidator(whole(0, 1000, 20))] = 20
    max_joined: Annotated[MaxJoined, BeforeValidator(joined_limit)] = MaxJoined()
    odd_identities: Annotated[Literal["reject", "send"], BeforeValidator(one_of("reject", "send"))] = "reject"


class GuardSettings(Section):
    """How far a file may differ from the baseline, as parts of 1; 1 is no bound."""

    rows: Annotated[float, BeforeValidator(share)] = 0.3
    empty: Annotated[float, BeforeValidator(share)] = 0.2
    changed: Annotated[float, BeforeValidator(share)] = 0.5
    consents: Annotated[float, BeforeValidator(share)] = 0.05


class OutputSettings(Section):
    """Where the retry file goes: a template with {dir}, {stem} and {suffix} of the source."""

    retry_file: Annotated[str, BeforeValidator(template)] = "{dir}/{stem}.retry{suffix}"


class MetricsSettings(Section):
    """Where the figures of the last run of each job are kept for Prometheus; None: nowhere."""

    textfile: Location | None = None


class Settings(Section):
    """Every setting of a run; durations in seconds, shares as parts of 1, paths absolute.

    It has no states: it is frozen.
    """

    api: ApiSettings
    source: SourceSettings = SourceSettings()
    registered: Registered | None = None
    mapping: MappingSettings
    rate: RateSettings = RateSettings()
    retry: RetrySettings = RetrySettings()
    limits: LimitsSettings = LimitsSettings()
    guard: GuardSettings = GuardSettings()
    output: OutputSettings = OutputSettings()
    notify: NotifySettings = NotifySettings()
    metrics: MetricsSettings = MetricsSettings()
    log_format: Annotated[LogFormat, BeforeValidator(one_of(*LOG_FORMATS))] = "text"
    when_changed: Annotated[Literal["fresh", "refuse"], BeforeValidator(one_of("fresh", "refuse"))] = "fresh"
    changed_only: Annotated[bool, BeforeValidator(flag)] = False
    full_every: Duration | None = None
    coalesce: Annotated[bool, BeforeValidator(flag)] = False
    retry_last_failures: Annotated[bool, BeforeValidator(flag)] = False
    journal_days: Annotated[int, BeforeValidator(whole(1, 36500, 30))] = 30
    state_dir: Location = Field(default=".uploader", validate_default=True)

    @model_validator(mode="after")
    def _maps_no_word_for_nothing(self) -> Self:
        """Refuse `values` for a word that is no identity before it could be mapped."""
        rules = () if self.limits.odd_identities == "send" else self.mapping.identity.rules()
        for rule in rules:
            unsent = next((listed for listed, _ in rule.cleaning.values or () if is_nothing(listed)), None)
            if unsent is not None:
                raise MisfitError(
                    f": '{unsent}' is a word for nothing, which is no identity, and no value is sent for it; "
                    "delete it, or write limits.odd_identities: send",
                    "mapping",
                    "identity",
                    rule.field,
                    "values",
                )
        return self

    _file: Path = PrivateAttr(default=Path("config.yaml"))
    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def file(self) -> Path:
        """The configuration file, as the user named it."""
        return self._file

    @property
    def folder(self) -> Path:
        """The absolute folder of the configuration file, to which its paths are relative."""
        return self._folder

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line for each problem that would refuse a run that sends."""
        return self._warnings

    @property
    def guarded(self) -> GuardSettings | None:
        """The section `guard`; None if the configuration does not have it."""
        return self.guard if "guard" in self.model_fields_set else None

    def rules(self) -> MappingRules:
        """Return the mapping as plain data."""
        rules = self.mapping.rules(self.source.null_values)
        return replace(rules, sends_odd_identities=self.limits.odd_identities == "send")

    def model_post_init(self, context: Mapping[str, Any] | None, /) -> None:
        """Keep the *file*, the *folder* and the *warnings* in *context*."""
        if context is not None:
            self._file = context["file"]
            self._folder = context["folder"]
            self._warnings = context["warnings"]


_IDENTITY: KeyPath = ("mapping", "identity")

_SECTIONS: Mapping[KeyPath, type[Section]] = {
    (): Settings,
    ("api",): ApiSettings,
    ("source",): SourceSettings,
    ("mapping",): MappingSettings,
    _IDENTITY: IdentitySettings,
    ("mapping", "request_datetime"): MomentSettings,
    ("rate",): RateSettings,
    ("retry",): RetrySettings,
    ("limits",): LimitsSettings,
    ("guard",): GuardSettings,
    ("output",): OutputSettings,
    ("notify",): NotifySettings,
    ("metrics",): MetricsSettings,
}


def keys_of(key_path: KeyPath) -> tuple[str, ...]:
    """Return the keys that the section at *key_path* may have; none if there is no such section."""
    if key_path[:-1] == PROPERTIES:
        return tuple(PropertySettings.model_fields)
    if key_path[:-1] == _IDENTITY and key_path[-1] in IdentitySettings.model_fields:
        return tuple(IdentityFieldSettings.model_fields)
    section = _SECTIONS.get(key_path)
    return () if section is None else tuple(section.model_fields)


def homes_of(key: str) -> tuple[KeyPath, ...]:
    """Return every path at which *key* exists."""
    return tuple((*key_path, key) for key_path, section in _SECTIONS.items() if key in section.model_fields)
