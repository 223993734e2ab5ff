"""Turn `config.yaml`, the `--set` options and the environment into one frozen `Settings`."""

from uploader.config.load_settings import load
from uploader.config.mapping_settings import (
    IdentityFieldSettings,
    IdentitySettings,
    MappingSettings,
    MomentSettings,
    PropertySettings,
)
from uploader.config.notify_settings import NotifySettings
from uploader.config.proxy import Proxy, proxy_to
from uploader.config.settings import (
    ApiSettings,
    GuardSettings,
    LimitsSettings,
    MetricsSettings,
    OutputSettings,
    RateSettings,
    RetrySettings,
    Settings,
    SourceSettings,
)
from uploader.config.trusted_certificates import trusting

__all__ = [
    "ApiSettings",
    "GuardSettings",
    "IdentityFieldSettings",
    "IdentitySettings",
    "LimitsSettings",
    "MappingSettings",
    "MetricsSettings",
    "MomentSettings",
    "NotifySettings",
    "OutputSettings",
    "PropertySettings",
    "Proxy",
    "RateSettings",
    "RetrySettings",
    "Settings",
    "SourceSettings",
    "load",
    "proxy_to",
    "trusting",
]
