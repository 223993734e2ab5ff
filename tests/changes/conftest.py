"""Lend the tests of what was accepted the folder and the settings that those of the commands have."""

from tests.app.conftest import folder, settings

__all__ = ["folder", "settings"]
