"""Turn `config.yaml`, the flags of `--set` and the environment into one frozen `Settings`."""

from uploader.config.certificates import trusting
from uploader.config.loading import load
from uploader.config.proxy import Proxy, proxy_to
from uploader.config.settings import Settings

__all__ = ["Proxy", "Settings", "load", "proxy_to", "trusting"]
