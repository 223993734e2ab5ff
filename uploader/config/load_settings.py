"""Load the settings of a run, or tell in one line what is wrong with them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from uploader.config.credentials import PLACEHOLDER, supplied
from uploader.config.environment_variables import Filled, filled
from uploader.config.error_messages import (
    MisfitError,
    Problem,
    UnfitValueError,
    beginning,
    complaint,
    found,
    named,
    nearest,
)
from uploader.config.secret_masking import is_short, known_secrets, masked, misplaced, written_out
from uploader.config.set_overrides import overridden
from uploader.config.settings import Settings, homes_of, keys_of
from uploader.config.yaml_document import Document, Place, read
from uploader.errors import ConfigError

_OTHERS: Final = 0o077

_MORE_LETTERS: Final = 3
"""A misspelt key may have so many letters more than the one that is meant."""

_EXAMPLES: Mapping[Place, str] = {
    ("mapping",): "move the file away, and `uploader init SOURCE` writes one that has it",
    ("mapping", "identity"): "write for example identity: {external_id: user_id}",
    ("mapping", "request_datetime", "column"): "write for example request_datetime: {column: updated_at}",
}


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What pydantic refuses, without a word of its own."""

    place: Place
    kind: str
    value: object
    cause: object


def load(
    path: Path, *, overrides: Sequence[str] = (), environ: Mapping[str, str], credentials: bool = True
) -> Settings:
    """Return the settings in *path*, with *overrides* over it and the variables of *environ* in it.

    Without *credentials* nothing reads the token file, and a service id or a token that is missing, or whose variable
    is, gets a stand-in. Raise ConfigError, one line without any secret, for the first thing that is wrong.
    """
    secrets = list(known_secrets({}, environ))
    try:
        return _loaded(path, overrides, environ, secrets, credentials=credentials)
    except ConfigError as error:
        words = masked(str(error), secrets)
    # Raised out here, so that no traceback shows what the other error says.
    raise ConfigError(words)


def _loaded(
    path: Path, overrides: Sequence[str], environ: Mapping[str, str], secrets: list[str], *, credentials: bool
) -> Settings:
    """Return what `load` does; *secrets* gets those that are found on the way."""
    folder = path.parent.absolute()
    written = read(path)
    document = overridden(written, overrides)
    raw = filled(document.tree, environ)
    secrets += known_secrets(raw.tree, environ)
    configuration = supplied(raw, folder, wanted=credentials)
    secrets += (one for one in known_secrets(configuration.tree, environ) if one != PLACEHOLDER)
    exposed = _exposed(written)
    strays = [_stray(place, secrets) for place in misplaced(configuration.tree, secrets)]
    warnings = () if credentials else tuple(str(complaint(document, [problem])) for problem in exposed)
    refusals: Sequence[_Refusal] = ()
    settings = None
    try:
        context = {"file": path, "folder": folder, "warnings": warnings}
        settings = Settings.model_validate(configuration.tree, context=context)
    except ValidationError as error:
        refusals = _refusals(error)
    problems = [*strays, *_problems(configuration, refusals)]
    if credentials and not problems:
        problems = exposed
    # Raised out here, so that no traceback can show the values that the other error holds.
    if problems or settings is None:
        raise complaint(document, problems)
    return settings


def _stray(place: Place, secrets: Sequence[str]) -> Problem:
    if any(secret in str(place[-1]) for secret in secrets):
        return Problem(place, " is a key with the access token in it; delete it", nameless=True)
    return Problem(place, " has the access token in it; write its own value there")


def _exposed(written: Document) -> list[Problem]:
    """Return a problem for each secret that the file spells out for others to read."""
    if not written.mode & _OTHERS:
        return []
    file = str(written.file)
    return [
        Problem(
            place,
            f" is written out in a file that is open to other users (mode {written.mode:04o}); "
            f"run `chmod 600 {shlex.quote(file)}`, or write ${{NAME}} there",
        )
        for place in written_out(written.tree)
    ]


def _refusals(error: ValidationError) -> list[_Refusal]:
    return [
        _Refusal(details["loc"], details["type"], details["input"], details.get("ctx", {}).get("error"))
        for details in error.errors(include_url=False)
    ]


def _problems(configuration: Filled, refusals: Sequence[_Refusal]) -> list[Problem]:
    """Return each trouble once: what only follows from another one is left out."""
    unknown = {refusal.place for refusal in refusals if refusal.kind == "extra_forbidden"}
    told = [problem for problem in configuration.problems if not _is_within(problem.place, unknown)]
    unset = {problem.place for problem in configuration.problems}
    empty = [place for place in _empty(configuration.tree) if place not in unset and not _is_within(place, unknown)]
    told += [Problem(place, " has no value; write one, or delete the key") for place in empty]
    valueless = unset.union(empty)
    for refusal in refusals:
        follows = any(place[: len(refusal.place)] == refusal.place for place in valueless)
        if refusal.place in unknown or not follows:
            told.append(_problem(refusal, configuration.variables))
    return told


def _problem(refusal: _Refusal, variables: Mapping[Place, str]) -> Problem:
    place = refusal.place
    cause = refusal.cause
    if isinstance(cause, MisfitError):
        return Problem((*place, *cause.below), str(cause))
    if isinstance(cause, UnfitValueError):
        return Problem(place, f": {found(place, refusal.value, variables)} {cause}")
    match refusal.kind:
        case "extra_forbidden":
            return Problem(place, f" is not a key{_instead(place)}", nameless=not _may_be_repeated(place))
        case "missing":
            return Problem(place, f" is missing; {_EXAMPLES[place]}", late=True)
        case _:
            return Problem(place, " is not a section; write its keys below it, indented")


def _instead(place: Place) -> str:
    """Return the advice for a key that does not exist: the nearest one that does, or all that do."""
    *above, key = place
    section = tuple(above)
    known = keys_of(section)
    near = nearest(str(key), known)
    homes = homes_of(str(key)) or (() if near is None else ((*section, near),))
    if homes:
        return f"; did you mean {' or '.join(named(home) for home in homes)}?"
    return f"; the keys {f'of {named(section)}' if section else 'here'} are: {', '.join(known)}"


def _may_be_repeated(place: Place) -> bool:
    """Whether the key at *place*, which does not exist, is nearly one, or too short to be a secret."""
    *above, key = place
    word = beginning(str(key))
    near = nearest(word, [*keys_of(tuple(above)), *(str(home[-1]) for home in homes_of(word))])
    return is_short(word) or (near is not None and len(word) <= len(near) + _MORE_LETTERS)


def _is_within(place: Place, sections: set[Place]) -> bool:
    return any(place[:length] in sections for length in range(1, len(place) + 1))


def _empty(value: object, place: Place = ()) -> Iterator[Place]:
    """Yield the places that have a key but no value."""
    if value is None:
        yield place
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _empty(item, (*place, index))
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _empty(below, (*place, key))
