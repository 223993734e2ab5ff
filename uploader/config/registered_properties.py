"""Read the section `registered`: the names and types of the properties that the console shows."""

import re
from pathlib import Path
from typing import Final

from pydantic import ValidationInfo

from uploader.api import BUILT_IN_TYPES
from uploader.config.error_messages import UnfitValueError
from uploader.config.property_rules import KINDS
from uploader.config.relative_paths import resolved
from uploader.config.secret_masking import is_name
from uploader.config.value_parsers import one_of
from uploader.config.written_form import INNER, PATH, capitalized, pattern, written_as
from uploader.config.yaml_document import read
from uploader.errors import ConfigError

_FORM: Final = "write the names and types that the console shows, as {df_name: string, age: long}"
_FILE_FORM: Final = "write a name and its type on each line, as the console shows them: `age: long`"
_CONSOLE_ARRAY: Final = pattern(r"[Aa]rray *[oO]f *\(? *\w+ *\)?|\w+\[\]|[Aa]rray *[(\[] *\w+ *[)\]]")
_ARRAY: Final = re.compile(r"arrayof\(?(?P<of>\w+?)s?\)?|(?P<before>\w+)\[\]|array[<(\[](?P<within>\w+)[>)\]]")


@written_as(INNER, PATH)
def registered(value: object, info: ValidationInfo) -> object:
    """Return the section: *value* itself, or the content of the file that it names, of which every type is valid."""
    if isinstance(value, dict):
        return value
    folder = info.context["folder"] if info.context else Path.cwd()
    if not isinstance(value, str):
        raise UnfitValueError(f"is neither a section nor the path of a file; {_FORM}")
    return _from_file(resolved(value, folder))


@written_as({"enum": KINDS}, capitalized(*KINDS), _CONSOLE_ARRAY)
def registered_kind(value: object) -> str:
    """Return the type that *value* names: `Long` and `Array of String` as the console has them, or `array<string>`."""
    word = value.lower().replace(" ", "").replace("_", "") if isinstance(value, str) else value
    found = _ARRAY.fullmatch(word) if isinstance(word, str) else None
    return one_of(*KINDS)(word if found is None else f"array<{found['of'] or found['before'] or found['within']}>")


def contradiction(name: str, kind: object) -> str | None:
    """Return what is wrong with the valid type *kind* of the built-in property *name*; None if nothing is."""
    of_service = BUILT_IN_TYPES.get(name)
    try:
        found = registered_kind(kind)
    except UnfitValueError:
        return None
    # A birth date is a text in the form of a date.
    if of_service is None or found == of_service or (name == "df_birth" and found == "string"):
        return None
    return f"every service has it as {of_service}; write {of_service}, or delete the line"


def _from_file(file: Path) -> dict[str, str]:
    if not file.is_file():
        raise UnfitValueError("is not a file; write its path, relative to the folder of this file")
    try:
        document = read(file, advice=_FILE_FORM)
    except ConfigError as error:
        why = str(error).removeprefix(str(file)).lstrip(": ")
        it = "it " if why.startswith(("is ", "can't ")) else ""
        raise UnfitValueError(f"can't be read as a file of names and types: {it}{why}") from None
    section, above = document.tree, tuple[str, ...]()
    inner = section.get("registered")
    if len(section) == 1 and isinstance(inner, dict):
        section, above = inner, ("registered",)
    kinds: dict[str, str] = {}
    faults: list[str] = []
    for name, kind in section.items():
        shown, line = f"the type of {name}" if is_name(name) else "its type", document.line((*above, name))
        try:
            kinds[name] = registered_kind(kind)
        except UnfitValueError as error:
            faults.append(f"line {line}: {shown} {error}")
        if (words := contradiction(name, kind)) is not None:
            faults.append(f"line {line}: {shown}: {words}")
    if faults:
        raise UnfitValueError(f"has a wrong type on {'; on '.join(faults)}")
    return kinds
