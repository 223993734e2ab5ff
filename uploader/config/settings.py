"""Hold every setting of a run, typed and checked."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, ValidationInfo

from uploader.api import EndpointName, PropertyType
from uploader.config.access_token_command import command_words
from uploader.config.credentials import PLACEHOLDER, is_quoted, token_in, token_of_command
from uploader.config.error_messages import PROPERTIES, MisfitError, UnfitValueError
from uploader.config.mapping_settings import (
    IdentityFieldSettings,
    IdentitySettings,
    MappingSettings,
    MomentSettings,
    PropertySettings,
    Zone,
    nothing_to_send,
)
from uploader.config.notify_settings import LOG_FORMATS, LogFormat, NotifySettings
from uploader.config.proxy import proxy_url
from uploader.config.registered_properties import registered, registered_kind
from uploader.config.relative_paths import resolved, template
from uploader.config.service_url import base_url
from uploader.config.settings_section import Section, SettingsOrigin, origin_of_values
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
    tolerance,
    unpacking,
    whole,
    word,
    words,
)
from uploader.config.written_form import PATH, TEXT, written_as
from uploader.config.yaml_document import KeyPath
from uploader.errors import ConfigError
from uploader.mapping.identity_values import is_nothing
from uploader.mapping.rules import MappingRules
from uploader.model import MaxJoined, Tolerance, Unpacking

_MANY = 10**9


@written_as(TEXT)
def _printable(value: object) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if is_quoted(name):
        raise UnfitValueError("has quotes around it that belong to no credential; delete them")
    if name.startswith("\ufeff"):
        raise UnfitValueError("begins with a byte order mark (BOM); copy it again, without that")
    if not re.fullmatch(r"[!-~]+", name):
        raise UnfitValueError("is empty, or holds a character that none has; copy it again from the console")
    return name


@written_as(PATH)
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


@dataclass(frozen=True, kw_only=True)
class ApiSettings(Section):
    """The URL of the service, the endpoint and the credentials.

    *access_token* also holds the token from `access_token_file` or of `access_token_command`. *register_first* is
    whether each person who is not known to be registered is sent to `identities` before their profile.
    """

    key_path: ClassVar[KeyPath] = ("api",)

    base_url: Url = "https://openapi.dfinery.ai"
    """The address of the service; `http://` on this machine only."""
    service_id: Annotated[str, BeforeValidator(_printable)] = field(default=PLACEHOLDER, repr=False)
    """The ID of your service; write `${DFINERY_SERVICE_ID}`."""
    access_token: Annotated[str, BeforeValidator(_printable)] = field(default=PLACEHOLDER, repr=False)
    """The import API token; write `${DFINERY_ACCESS_TOKEN}`, or access_token_file in its place."""
    access_token_file: Location | None = None
    """The file that holds the token, alone and with mode 0600."""
    access_token_command: Annotated[
        tuple[Annotated[str, BeforeValidator(word)], ...] | None, BeforeValidator(command_words)
    ] = field(default=None, repr=False)
    """The program that prints the token, and its words; it is run once, without a shell."""
    timeout: Duration = 30.0
    """How long one request may take, its reply included."""
    endpoint: Annotated[EndpointName, BeforeValidator(one_of("user-profile", "identities"))] = "user-profile"
    """The call that rows are sent by: profiles with their properties, or identities alone."""
    register_first: Annotated[bool, BeforeValidator(flag)] = False
    """Whether people who are not known to be registered are sent to identities before their profile."""
    proxy: Annotated[str | None, BeforeValidator(proxy_url)] = field(default=None, repr=False)
    """The proxy through which the service is reached; else that of the environment."""
    ca_file: Location | None = None
    """The certificate authorities that are trusted alone (PEM); else those of SSL_CERT_FILE or the system."""

    def misfits(self) -> Iterator[MisfitError]:
        """Yield `register_first` where no profile is sent."""
        if self.register_first and self.endpoint != "user-profile":
            yield MisfitError(
                f" is for profiles, and api.endpoint is {self.endpoint}; delete one of the two", "register_first"
            )


@dataclass(frozen=True, kw_only=True)
class SourceSettings(Section):
    """The name and the format of the source. *skip_lines* is how many lines are above the header of a CSV.

    *name* is that of its job ("": it is known by its path). *timezone* is that of `{today}` in a SOURCE (None: that of
    this machine). *columnar* is whether it is read in whole batches; "auto": from a certain size on.
    """

    key_path: ClassVar[KeyPath] = ("source",)

    name: JobName = ""
    """The name of the job, by which history, drift check and pending retries know it; else it is the path."""
    format: Annotated[
        Literal["auto", "csv", "jsonl", "parquet"], BeforeValidator(one_of("auto", "csv", "jsonl", "parquet"))
    ] = "auto"
    """What the file is; auto goes by its name, and by its first bytes where the name says nothing."""
    encoding: Encoding = "auto"
    """How its characters are written; auto is UTF-8, or UTF-16 with a byte order mark."""
    delimiter: Delimiter = ","
    """What separates the cells of a CSV file: one ASCII character, or tab."""
    skip_lines: Annotated[int, BeforeValidator(whole(0, 1000, "how many lines are above the header"))] = 0
    """How many lines are above the header of a CSV file, such as a title."""
    null_values: Annotated[tuple[Annotated[str, BeforeValidator(word)], ...], BeforeValidator(words)] = ("",)
    """Texts that count as empty."""
    timezone: Zone | None = None
    """The zone of {today} in a SOURCE, such as Asia/Seoul; else that of this machine."""
    columnar: Annotated[Literal["auto", "on", "off"], BeforeValidator(one_of("auto", "on", "off"))] = "auto"
    """Whether whole batches of rows are read and checked at once; auto: from 2 MB on."""


@dataclass(frozen=True, kw_only=True)
class RateSettings(Section):
    """The service's limit of requests in each window, and how much of it this run may use. *per* is in seconds."""

    key_path: ClassVar[KeyPath] = ("rate",)

    requests: Annotated[int, BeforeValidator(whole(1, _MANY, 10000))] = 10000
    """The service's limit of requests in each window."""
    per: Duration = 60.0
    """How long a window of the service's limit is."""
    share: Annotated[float, BeforeValidator(some_share)] = 0.95
    """How much of the limit all runs of this machine may use together."""
    burst: Annotated[int, BeforeValidator(whole(1, _MANY, 16))] = 16
    """How many requests may go at once after a pause, at most."""
    concurrency: Annotated[int, BeforeValidator(whole(1, 1000, 32))] = 32
    """How many requests may be in flight at once, at most."""

    def misfits(self) -> Iterator[MisfitError]:
        """Yield that the share leaves no request."""
        if self.share * self.requests < 1:
            yield MisfitError(": requests times share is less than one request in a window; raise one of them")


@dataclass(frozen=True, kw_only=True)
class RetrySettings(Section):
    """How often a request is tried, and how long the waits are, in seconds."""

    key_path: ClassVar[KeyPath] = ("retry",)

    attempts: Annotated[int, BeforeValidator(whole(1, 1000, 5))] = 5
    """How often one row is tried before it counts as failed."""
    base: Duration = 0.5
    """The longest backoff before the second attempt; each later one may be twice as long, up to cap."""
    cap: Duration = 30.0
    """The longest backoff."""
    outage_timeout: Duration = 1800.0
    """How long the service may be unreachable, or throttle, before the run stops (exit status 6)."""


@dataclass(frozen=True, kw_only=True)
class LimitsSettings(Section):
    """When a source is wrong as a whole. *max_rejected* is a part of 1, *canary* a number of rows.

    *max_joined* is how many different values of another identity field a value may stand beside, for each field.
    """

    key_path: ClassVar[KeyPath] = ("limits",)

    max_rejected: Annotated[float, BeforeValidator(share)] = 0.1
    """When more than this share of the rows, and more than 20, can't be sent, nothing is (exit status 4)."""
    max_unpacked: Annotated[Unpacking, BeforeValidator(unpacking)] = field(default_factory=Unpacking)
    """How much a compressed file may hold, as a multiple of its size or as a size."""
    canary: Annotated[int, BeforeValidator(whole(0, 1000, 20))] = 20
    """The first rows go one by one until one is accepted; when so many are rejected, the run stops (exit status 5)."""
    max_joined: Annotated[MaxJoined, BeforeValidator(joined_limit)] = field(default_factory=MaxJoined)
    """Beside how many different values of another identity field a value may stand; off: any number."""
    tolerate: Annotated[Tolerance, BeforeValidator(tolerance)] = field(default_factory=Tolerance)
    """How many rows (5 or 0.1%) may be rejected or failed in a run that ends with 0; none with a consent in it."""
    odd_identities: Annotated[Literal["reject", "send"], BeforeValidator(one_of("reject", "send"))] = "reject"
    """What becomes of identity values that no person has, such as 1001.0: reject the row, or send it with a warning."""


@dataclass(frozen=True, kw_only=True)
class GuardSettings(Section):
    """How far a file may differ from the baseline, as parts of 1; 1 is no bound."""

    key_path: ClassVar[KeyPath] = ("guard",)

    rows: Annotated[float, BeforeValidator(share)] = 0.3
    """How much the number of rows may have gone up or down."""
    empty: Annotated[float, BeforeValidator(share)] = 0.2
    """By how many points a column's share of empty cells may have risen."""
    changed: Annotated[float, BeforeValidator(share)] = 0.5
    """How large a part of the people may have changed; only known with changed_only."""
    consents: Annotated[float, BeforeValidator(share)] = 0.05
    """By how many points the share of rows in which a consent is true may have risen."""


@dataclass(frozen=True, kw_only=True)
class OutputSettings(Section):
    """Where the retry file goes: a template with {dir}, {stem} and {suffix} of the source.

    *keep_retry_files* is in seconds.
    """

    key_path: ClassVar[KeyPath] = ("output",)

    retry_file: Annotated[str, BeforeValidator(template)] = "{dir}/{stem}.retry{suffix}"
    """Where the rows to send again go; {dir}, {stem} and {suffix} are those of the source."""
    keep_retry_files: Duration = 30 * 86400.0
    """After how long each run, and `uploader runs`, name a retry file whose rows were not sent again."""


@dataclass(frozen=True, kw_only=True)
class MetricsSettings(Section):
    """Where the figures of the last run of each job are kept for Prometheus; None: nowhere."""

    key_path: ClassVar[KeyPath] = ("metrics",)

    textfile: Location | None = None
    """The file that node_exporter reads; each job replaces its own figures in it."""


@dataclass(frozen=True, kw_only=True)
class SectionedSettings(Section):
    """The sections of the settings; *registered* has the type of each property that the console shows.

    *guard* is None where the configuration does not have this section.

    It has no states.
    """

    api: ApiSettings = field(default_factory=ApiSettings)
    """The service, and who you are to it."""
    source: SourceSettings = field(default_factory=SourceSettings)
    """What the file is, and how it is read."""
    registered: Registered | None = None
    """Each registered property with its type; or the path of a file of names and types."""
    mapping: MappingSettings
    """How columns become identities, properties and the time of the request."""
    rate: RateSettings = field(default_factory=RateSettings)
    """The service's limit of requests, and how much of it is used."""
    retry: RetrySettings = field(default_factory=RetrySettings)
    """How often a request is tried, and how long the waits are."""
    limits: LimitsSettings = field(default_factory=LimitsSettings)
    """When a source is wrong as a whole."""
    guard: GuardSettings | None = None
    """How far a file may differ from the last one; without this section, files are not compared."""
    output: OutputSettings = field(default_factory=OutputSettings)
    """Where the retry file goes."""
    notify: NotifySettings = field(default_factory=NotifySettings)
    """Who learns of the start and the end of each run."""
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    """Where the figures of the last run of each job are kept."""


@dataclass(frozen=True, kw_only=True)
class Settings(SectionedSettings):
    """Every setting of a run; durations in seconds, shares as parts of 1, paths absolute.

    It has no states: it is frozen.
    """

    log_format: Annotated[LogFormat, BeforeValidator(one_of(*LOG_FORMATS))] = "text"
    """What a line looks like that goes to no terminal: after its time and run ID, as a JSON object, or alone."""
    when_changed: Annotated[Literal["fresh", "refuse"], BeforeValidator(one_of("fresh", "refuse"))] = "fresh"
    """What becomes of an interrupted run whose file or mapping has changed: start over, or refuse (exit status 9)."""
    changed_only: Annotated[bool, BeforeValidator(flag)] = False
    """Whether rows are skipped that are as the service accepted them last."""
    full_every: Duration | None = None
    """After how long a run with changed_only sends every row all the same."""
    coalesce: Annotated[bool, BeforeValidator(flag)] = False
    """Whether all rows of one person in a source become one request, later values winning."""
    retry_last_failures: Annotated[bool, BeforeValidator(flag)] = False
    """Whether a run first sends the retry file of the last finished run of the same source."""
    journal_days: Annotated[int, BeforeValidator(whole(1, 36500, 30))] = 30
    """For how many days finished runs are kept."""
    state_dir: Annotated[Location, Field(validate_default=True)] = Path(".uploader")
    """The folder where runs keep their state, so that they can be resumed."""
    _origin: InitVar[SettingsOrigin | None] = None
    """Where the settings come from. It is no setting: only `dataclasses.replace` passes it on."""

    def __post_init__(self, _origin: SettingsOrigin | None = None) -> None:  # noqa: RUF033 — pydantic passes none
        """Read the values, and keep where they come from."""
        origin = origin_of_values() or _origin or SettingsOrigin(Path("Settings"), Path.cwd())
        self._read_or_refuse(origin)
        vars(self)["_origin"] = origin

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Self], handler: Callable[[type[Self]], Any]) -> Any:  # noqa: ANN401 — a schema of pydantic's core
        """Return how the keys are read: the origin is none of them."""
        schema = handler(source)
        arguments = schema["schema"]
        arguments["fields"] = [one for one in arguments["fields"] if one["name"] != "_origin"]
        return schema

    @classmethod
    def of(
        cls, values: Mapping[str, object], *, folder: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> Self:
        """Return the settings that *values* make: the sections and keys of a configuration, as Python's own data.

        Texts are read as in a configuration (`1m`, `95%`, `${NAME}` from *environ*); numbers, True and False, lists,
        paths and sections may be given as well, durations in seconds. Paths start at *folder*, or at the working
        directory. The service ID and the token may be left out where nothing is sent to the service.

        Raises:
            ConfigError: a line for each value that is wrong; each names its key.
        """
        from uploader.config.load_settings import settings_of_values  # noqa: PLC0415 it makes these

        return settings_of_values(
            cls, values, folder=folder or Path.cwd(), environ=os.environ if environ is None else environ
        )

    @classmethod
    def load(
        cls,
        file: Path | str = "config.yaml",
        *,
        overrides: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        credentials: bool = True,
    ) -> "Settings":
        """Return the settings in *file*, changed by *overrides* (`key.path=value`), with the variables of *environ*.

        Without *credentials*, the service ID and the token may be missing: a check and a dry run need none.

        Raises:
            ConfigError: a line for each problem, with the line of the file and the key.
        """
        from uploader.config.load_settings import load  # noqa: PLC0415 it makes these

        variables = os.environ if environ is None else environ
        return load(Path(file), overrides=overrides, environ=variables, credentials=credentials)

    def with_credentials(self) -> "Settings":
        """Return the settings with the token of `api.access_token_file` or `api.access_token_command`, if it is there.

        Raises:
            ConfigError: the service ID or the token is missing, its file can't be read, or its command fails.
        """
        api = self.api
        if api.access_token == PLACEHOLDER and api.access_token_file is not None:
            api = replace(api, access_token=token_in(api.access_token_file))
        elif api.access_token == PLACEHOLDER and api.access_token_command is not None:
            token = token_of_command(api.access_token_command, self._found_in.folder, os.environ)
            api = replace(api, access_token=token)
        missing = [key for key in ("service_id", "access_token") if getattr(api, key) == PLACEHOLDER]
        if missing:
            lines = (f"api.{key} is missing; a run needs it, unless it is a dry run (sandbox=True)" for key in missing)
            raise ConfigError("\n".join(lines))
        return replace(self, api=api)

    def misfits(self) -> Iterator[MisfitError]:
        """Yield that nothing would be sent, and `values` for a word that is no identity before it could be mapped."""
        if self.api.endpoint == "user-profile" and not self.mapping.names_a_property:
            yield nothing_to_send("mapping")
        rules = () if self.limits.odd_identities == "send" else self.mapping.identity.rules()
        for rule in rules:
            unsent = next((listed for listed, _ in rule.cleaning.values or () if is_nothing(listed)), None)
            if unsent is not None:
                yield MisfitError(
                    f": '{unsent}' is a word for nothing, which is no identity, and no value is sent for it; "
                    "delete it, or write limits.odd_identities: send",
                    "mapping",
                    "identity",
                    rule.field,
                    "values",
                )

    @property
    def file(self) -> Path:
        """The configuration file, as the user named it; `Settings` where Python made them."""
        return self._found_in.file

    @property
    def folder(self) -> Path:
        """The absolute folder of the configuration file, to which its paths are relative."""
        return self._found_in.folder

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line for each problem that would refuse a run that sends."""
        return self._found_in.warnings

    @property
    def _found_in(self) -> SettingsOrigin:
        origin = vars(self)["_origin"]
        assert isinstance(origin, SettingsOrigin)  # noqa: S101 — it is kept when these are made
        return origin

    def rules(self) -> MappingRules:
        """Return the mapping as plain data."""
        rules = self.mapping.rules(self.source.null_values)
        if self.api.endpoint == "identities":
            # No column is read, checked or sent for a property.
            rules = replace(rules, properties=(), other_columns="ignore")
        return replace(rules, sends_odd_identities=self.limits.odd_identities == "send")


IDENTITY_SECTION: KeyPath = ("mapping", "identity")
"""The section whose keys are the identity fields."""

_SECTIONS: Mapping[KeyPath, type[Section]] = {
    (): Settings,
    ("api",): ApiSettings,
    ("source",): SourceSettings,
    ("mapping",): MappingSettings,
    IDENTITY_SECTION: IdentitySettings,
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
        return names_of(PropertySettings)
    if key_path[:-1] == IDENTITY_SECTION and key_path[-1] in names_of(IdentitySettings):
        return names_of(IdentityFieldSettings)
    section = _SECTIONS.get(key_path)
    return () if section is None else names_of(section)


def names_of(section: type[Section]) -> tuple[str, ...]:
    """Return the keys of *section*."""
    return tuple(one.name for one in fields(section))


def homes_of(key: str) -> tuple[KeyPath, ...]:
    """Return every path at which *key* exists."""
    return tuple((*key_path, key) for key_path, section in _SECTIONS.items() if key in names_of(section))
