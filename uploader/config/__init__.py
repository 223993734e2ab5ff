"""Turn `config.yaml`, the flags of `--set` and the environment into one frozen `Settings`."""

from uploader.config.loading import load
from uploader.config.settings import Settings

__all__ = ["Settings", "load"]
