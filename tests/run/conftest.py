"""Lend the tests of a run the folder, the configuration and the world that those of the commands have."""

from tests.app.conftest import folder, said, settings, world

__all__ = ["folder", "said", "settings", "world"]
