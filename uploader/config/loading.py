"""Load the settings of a run, or tell in one line what is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from uploader.config.credentials import supplied
from uploader.config.document import Place, read
from uploader.config.override import overridden
from uploader.config.problem import MisfitError, Problem, UnfitValueError, complaint, found, named, nearest
from uploader.config.settings import Settings, homes_of, keys_of
from uploader.config.variables import Filled, filled

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
    folder = path.parent.absolute()
    document = overridden(read(path), overrides)
    configuration = supplied(filled(document.tree, environ), folder, wanted=credentials)
    refusals: Sequence[_Refusal] = ()
    settings = None
    try:
        settings = Settings.model_validate(configuration.tree, context={"file": path, "folder": folder})
    except ValidationError as error:
        refusals = _refusals(error)
    problems = _problems(configuration, refusals)
    # Raised out here, so that no traceback can show the values that the other error holds.
    if problems or settings is None:
        raise complaint(document, problems)
    return settings


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
            return Problem(place, f" is not a key{_instead(place)}")
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
