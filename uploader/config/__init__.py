"""Turn `config.yaml`, the `--set` options and the environment into one frozen `Settings`."""

from uploader.config.load_settings import load
from uploader.config.proxy import Proxy, proxy_to
from uploader.config.settings import Settings
from uploader.config.trusted_certificates import trusting

__all__ = ["Proxy", "Settings", "load", "proxy_to", "trusting"]
