"""Take what pydantic says of wrong values as plain data, and put it into our words."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from uploader.config.error_messages import ConfigProblem, MisfitError, UnfitValueError, found
from uploader.config.yaml_document import KeyPath

UNKNOWN_KEY = "unexpected_keyword_argument"
"""The kind of the error for a key that does not exist."""


@dataclass(frozen=True, slots=True)
class ReadingError:
    """An error of pydantic, without its message; *cause* is what our own reader raised."""

    key_path: KeyPath
    kind: str
    value: object
    cause: object


def reading_errors(error: ValidationError) -> list[ReadingError]:
    """Return all that *error* consists of."""
    return [
        ReadingError(details["loc"], details["type"], details["input"], details.get("ctx", {}).get("error"))
        for details in error.errors(include_url=False)
    ]


def value_problem(error: ReadingError, variables: Mapping[KeyPath, str]) -> ConfigProblem:
    """Return the problem with the value that *error* is about; *variables* are the places that hold one."""
    key_path, cause = error.key_path, error.cause
    if isinstance(cause, MisfitError):
        return ConfigProblem((*key_path, *cause.below), str(cause))
    if isinstance(cause, UnfitValueError):
        return ConfigProblem(key_path, f": {found(key_path, error.value, variables)} {cause}")
    match error.kind:
        case "missing":
            return ConfigProblem(key_path, " is missing; write it", comes_last=True)
        case "unexpected_keyword_argument":
            return ConfigProblem(key_path, " is not a key; delete it", nameless=True)
        case _:
            return ConfigProblem(key_path, " is not a section; write its keys below it, indented")
