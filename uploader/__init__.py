"""Upload files of customer profiles to Dfinery, at the pace its request limit allows."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uploader.app.library import (
        CheckResult,
        Events,
        Explanation,
        RunError,
        RunResult,
        Settings,
        UploaderError,
        arun,
        check,
        explain,
        run,
    )

__version__ = "0.1.0"

__all__ = [
    "CheckResult",
    "Events",
    "Explanation",
    "RunError",
    "RunResult",
    "Settings",
    "UploaderError",
    "arun",
    "check",
    "explain",
    "run",
]


def _offered(name: str) -> object:
    """Return what the library offers as *name*; it is loaded when it is used, so that a command starts fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("uploader.app.library"), name)


if not TYPE_CHECKING:
    # A type checker would take it for a promise that every name is there.
    __getattr__ = _offered


class _CallableRoom(ModuleType):
    """The package `uploader.check` or `uploader.run`, which is called as the function of the library of that name.

    Python binds a package to its name in the package above as soon as it is loaded, and would hide the function.
    """

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the function of the library."""
        function = _offered(self.__name__.rpartition(".")[2])
        assert callable(function)  # noqa: S101 — `check` and `run` are
        return function(*args, **kwargs)


class _Package(ModuleType):
    """The package `uploader`."""

    def __setattr__(self, name: str, value: object) -> None:
        """Make a package callable that has the name of a function of the library."""
        if name in __all__ and isinstance(value, ModuleType):
            value.__class__ = _CallableRoom
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
