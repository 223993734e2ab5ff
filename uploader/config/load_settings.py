"""Load the settings of a run, or raise one error with everything that is wrong."""

import shlex
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from uploader.config.credentials import PLACEHOLDER, supplied
from uploader.config.environment_variables import Filled, filled
from uploader.config.error_messages import ConfigProblem, beginning, complaint, named, nearest, worded
from uploader.config.mapping_settings import misfits_of_mapping
from uploader.config.reading_errors import UNKNOWN_KEY, ReadingError, reading_errors, value_problem
from uploader.config.registered_properties import contradiction
from uploader.config.secret_masking import is_short, known_secrets, masked, misplaced, written_out
from uploader.config.set_overrides import overridden
from uploader.config.settings import Settings, homes_of, keys_of
from uploader.config.settings_section import SettingsOrigin, read_section
from uploader.config.yaml_document import Document, KeyPath, Tree, read
from uploader.errors import ConfigError

_OTHERS: Final = 0o077

_MORE_LETTERS: Final = 3
"""A misspelt key may have at most this many letters more than the right one."""

_EXAMPLES: Mapping[KeyPath, str] = {
    ("mapping",): "move the file away, and `uploader init SOURCE` writes one that has it",
    ("mapping", "identity"): "write for example identity: {external_id: user_id}",
    ("mapping", "request_datetime", "column"): "write for example request_datetime: {column: updated_at}",
}
"""What to do about a missing key of a configuration."""

_EXAMPLES_OF_PYTHON: Mapping[KeyPath, str] = {
    **_EXAMPLES,
    ("mapping",): (
        'write for example "mapping": {"identity": {"external_id": "user_id"}, "properties": {"df_name": "name"}}'
    ),
}


S = TypeVar("S", bound=Settings)


def load(
    path: Path, *, overrides: Sequence[str] = (), environ: Mapping[str, str], credentials: bool = True
) -> Settings:
    """Return the settings in *path*, changed by *overrides* and filled with the variables of *environ*.

    Without *credentials*, the token file is not read, the token command is not run, and a missing service id or token
    gets a placeholder, also if only its variable is missing. Raise ConfigError, a line for each problem, none with a
    secret.
    """
    secrets = list(known_secrets({}, environ))
    try:
        return _loaded(path, overrides, environ, secrets, credentials=credentials)
    except ConfigError as error:
        words = masked(str(error), secrets)
    # Raised outside the except block, so that no traceback shows the unmasked message.
    raise ConfigError(words)


def _loaded(
    path: Path, overrides: Sequence[str], environ: Mapping[str, str], secrets: list[str], *, credentials: bool
) -> Settings:
    """Return what `load` returns, and add the secrets that it finds to *secrets*."""
    folder = path.parent.absolute()
    written = read(path)
    document = overridden(written, overrides)
    raw = filled(document.tree, environ)
    secrets += known_secrets(raw.tree, environ)
    configuration = supplied(raw, folder, environ, wanted=credentials)
    secrets += (one for one in known_secrets(configuration.tree, environ) if one != PLACEHOLDER)
    exposed = _exposed(written)
    strays = [_stray(key_path, secrets) for key_path in misplaced(configuration.tree, secrets)]
    warnings = () if credentials else tuple(str(complaint(document, [problem])) for problem in exposed)
    settings, found = _read_or_problems(Settings, configuration, SettingsOrigin(path, folder, warnings))
    problems = [*strays, *found, *(exposed if credentials else ())]
    if problems or settings is None:
        raise complaint(document, problems)
    return settings


def settings_of_values(kind: type[S], values: Mapping[str, object], *, folder: Path, environ: Mapping[str, str]) -> S:
    """Return the settings that *values* of Python make; `Settings.of` says more. Raise ConfigError."""
    raw = filled(_tree(values), environ)
    configuration = supplied(raw, folder, environ, wanted=False)
    settings, problems = _read_or_problems(
        kind, configuration, SettingsOrigin(Path("Settings"), folder), _EXAMPLES_OF_PYTHON
    )
    if problems or settings is None:
        words = str(worded(sorted(problems, key=lambda problem: problem.comes_last)))
        raise ConfigError(masked(words, known_secrets(configuration.tree, environ)))
    return settings


def _tree(value: object) -> Any:  # noqa: ANN401 — what a `Tree` is, and other values of Python
    """Return *value* of Python as a configuration has it: lists and sections, without what is None."""
    match value:
        case Mapping():
            return {str(key): _tree(below) for key, below in value.items() if below is not None}
        case list() | tuple():
            return [_tree(item) for item in value]
        case _:
            return value


def _read_or_problems(
    kind: type[S], configuration: Filled, origin: SettingsOrigin, examples: Mapping[KeyPath, str] = _EXAMPLES
) -> tuple[S | None, Sequence[ConfigProblem]]:
    """Return the settings that *configuration* makes, or None, and all that is wrong with it."""
    try:
        settings, errors = read_section(kind, configuration.tree, origin), []
    except ValidationError as error:
        settings, errors = None, reading_errors(error)
    # What is raised comes after the except block, so that no traceback shows the values in pydantic's error.
    return settings, _problems(configuration, errors, examples)


def _stray(key_path: KeyPath, secrets: Sequence[str]) -> ConfigProblem:
    if any(secret in str(key_path[-1]) for secret in secrets):
        return ConfigProblem(key_path, " is a key with the access token in it; delete it", nameless=True)
    return ConfigProblem(key_path, " has the access token in it; write its own value there")


def _exposed(written: Document) -> list[ConfigProblem]:
    """Return a problem for each secret written out in a file that other users can read."""
    if not written.mode & _OTHERS:
        return []
    file = str(written.file)
    return [
        ConfigProblem(
            key_path,
            f" is written out in a file that is open to other users (mode {written.mode:04o}); "
            f"run `chmod 600 {shlex.quote(file)}`, or write ${{NAME}} there",
        )
        for key_path in written_out(written.tree)
    ]


def _problems(
    configuration: Filled, errors: Sequence[ReadingError], examples: Mapping[KeyPath, str]
) -> list[ConfigProblem]:
    """Return the problems, without those that only follow from another one."""
    unknown = {error.key_path for error in errors if error.kind == UNKNOWN_KEY}
    reported = [problem for problem in configuration.problems if not _is_within(problem.key_path, unknown)]
    unset = {problem.key_path for problem in configuration.problems}
    empty = [
        key_path
        for key_path in _empty(configuration.tree)
        if key_path not in unset and not _is_within(key_path, unknown)
    ]
    reported += [ConfigProblem(key_path, " has no value; write one, or delete the key") for key_path in empty]
    valueless = unset.union(empty)
    misspelt = {home for key_path in unknown for home in _homes(key_path)}
    for error in errors:
        follows = any(key_path[: len(error.key_path)] == error.key_path for key_path in valueless)
        is_misspelt = error.kind == "missing" and error.key_path in misspelt
        if error.key_path in unknown or not (follows or is_misspelt):
            reported.append(_problem(error, configuration.variables, examples))
    reported += _misfits(configuration.tree, misspelt)
    reported += _misregistered(configuration.tree)
    return [problem for problem in reported if not (problem.comes_last and problem.key_path in misspelt)]


def _misfits(tree: Mapping[str, Tree], misspelt: Container[KeyPath]) -> Iterator[ConfigProblem]:
    """Yield a problem for all in the mapping that does not fit together: pydantic stops at the first."""
    mapping, api = tree.get("mapping"), tree.get("api")
    needs_property = not isinstance(api, dict) or api.get("endpoint") != "identities"
    found = misfits_of_mapping(mapping, needs_property=needs_property) if isinstance(mapping, dict) else ()
    for misfit in found:
        if not any(("mapping", key) in misspelt for key in misfit.needs):
            yield ConfigProblem(("mapping", *misfit.below), str(misfit))


def _misregistered(tree: Mapping[str, Tree]) -> Iterator[ConfigProblem]:
    section = tree.get("registered")
    for name, kind in section.items() if isinstance(section, dict) else ():
        if (words := contradiction(name, kind)) is not None:
            yield ConfigProblem(("registered", name), f": {words}")


def _problem(error: ReadingError, variables: Mapping[KeyPath, str], examples: Mapping[KeyPath, str]) -> ConfigProblem:
    key_path = error.key_path
    match error.kind:
        case "unexpected_keyword_argument":
            return ConfigProblem(
                key_path, f" is not a key{_instead(key_path)}", nameless=not _may_be_repeated(key_path)
            )
        case "missing":
            return ConfigProblem(key_path, f" is missing; {examples[key_path]}", comes_last=True)
        case _:
            return value_problem(error, variables)


def _instead(key_path: KeyPath) -> str:
    """Return the advice for a key that does not exist: the nearest existing key, or all of them."""
    homes, section = _homes(key_path), key_path[:-1]
    if homes:
        return f"; did you mean {' or '.join(named(home) for home in homes)}?"
    return f"; the keys {f'of {named(section)}' if section else 'here'} are: {', '.join(keys_of(section))}"


def _homes(key_path: KeyPath) -> tuple[KeyPath, ...]:
    """Return the existing keys that may be meant by the unknown one at *key_path*."""
    *above, key = key_path
    near = nearest(str(key), keys_of(tuple(above)))
    return homes_of(str(key)) or (() if near is None else ((*above, near),))


def _may_be_repeated(key_path: KeyPath) -> bool:
    """Whether a message may show the unknown key at *key_path*: it is nearly a key, or too short for a secret."""
    *above, key = key_path
    word = beginning(str(key))
    near = nearest(word, [*keys_of(tuple(above)), *(str(home[-1]) for home in homes_of(word))])
    return is_short(word) or (near is not None and len(word) <= len(near) + _MORE_LETTERS)


def _is_within(key_path: KeyPath, sections: set[KeyPath]) -> bool:
    return any(key_path[:length] in sections for length in range(1, len(key_path) + 1))


def _empty(value: object, key_path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the places that have a key but no value."""
    if value is None:
        yield key_path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _empty(item, (*key_path, index))
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _empty(below, (*key_path, key))
