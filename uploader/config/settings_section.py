"""Define a section of the settings: frozen data, which Python makes as well as the text of a configuration."""

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from uploader.config.error_messages import MisfitError, worded
from uploader.config.reading_errors import reading_errors, value_problem
from uploader.config.yaml_document import KeyPath
from uploader.errors import ConfigError

S = TypeVar("S", bound="Section")


@dataclass(frozen=True, slots=True)
class SettingsOrigin:
    """Where settings come from: the *file* as the user named it, and the *folder* that its paths start at.

    *warnings* has a line for each problem that would refuse a run that sends.
    """

    file: Path
    folder: Path
    warnings: tuple[str, ...] = ()


_ORIGIN: Final = ContextVar[SettingsOrigin | None]("origin", default=None)
"""The origin of the values that pydantic reads now; None where Python makes a section."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the settings; every class of them is a frozen dataclass whose fields say how a value is read.

    Python gets the same checks as a configuration: a wrong value raises ConfigError, which names the key.
    """

    # No error of pydantic quotes a value.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key_path: ClassVar[KeyPath] = ()
    """The place of the section in a configuration."""

    def __post_init__(self) -> None:
        """Read the values that Python gave; of values that are read, refuse those that do not fit together."""
        self._read_or_refuse(SettingsOrigin(Path("Settings"), Path.cwd()))

    def _read_or_refuse(self, origin: SettingsOrigin) -> None:
        """Do what `__post_init__` does; paths that Python gave start at the folder of *origin*."""
        if _ORIGIN.get() is None:
            self._read(origin)
            return
        for misfit in self.misfits():
            raise misfit

    def misfits(self) -> Iterator[MisfitError]:
        """Yield what does not fit together in the section."""
        yield from ()

    def _read(self, origin: SettingsOrigin) -> None:
        defaults = {one.name: one.default for one in fields(self)}
        given = {name: value for name, value in vars(self).items() if value is not defaults[name]}
        problem = None
        try:
            read = read_section(type(self), given, origin)
        except ValidationError as error:
            problem = _refusal(self.key_path, error)
        else:
            vars(self).update(vars(read))
        # Raised outside the except block, so that no traceback shows the values in pydantic's error.
        if problem is not None:
            raise problem


def origin_of_values() -> SettingsOrigin | None:
    """Return the origin of the values that are read now; None where Python makes a section."""
    return _ORIGIN.get()


def read_section(section: type[S], values: object, origin: SettingsOrigin) -> S:
    """Return the *section* that *values* make: texts as a configuration has them, or Python's own.

    Raises:
        ValidationError: some do not fit.
    """
    token = _ORIGIN.set(origin)
    try:
        if section not in _READERS:
            _READERS[section] = TypeAdapter(section)
        read: S = _READERS[section].validate_python(values, context={"folder": origin.folder})
    finally:
        _ORIGIN.reset(token)
    return read


_READERS: Final[dict[type[Section], TypeAdapter[Any]]] = {}
"""What reads each section, made when it is needed: that takes milliseconds, and a configuration needs one alone."""


def _refusal(above: KeyPath, error: ValidationError) -> ConfigError:
    errors = (replace(one, key_path=(*above, *one.key_path)) for one in reading_errors(error))
    return worded(value_problem(one, {}) for one in errors)
