"""Read the section `registered`: the names and types of the properties that the console shows."""

import re
from pathlib import Path
from typing import Final

from pydantic import ValidationInfo

from uploader.config.error_messages import UnfitValueError
from uploader.config.property_rules import KINDS
from uploader.config.relative_paths import resolved
from uploader.config.secret_masking import is_name
from uploader.config.value_parsers import one_of
from uploader.config.yaml_document import ADVICE, read
from uploader.errors import ConfigError

_FORM: Final = "write the names and types that the console shows, as {df_name: string, age: long}"
_FILE_FORM: Final = "write a name and its type on each line, as the console shows them: `age: long`"
_ARRAY: Final = re.compile(r"arrayof\(?(?P<of>\w+?)s?\)?|(?P<before>\w+)\[\]|array[<(\[](?P<within>\w+)[>)\]]")


def registered(value: object, info: ValidationInfo) -> object:
    """Return the section: *value* itself, or the content of the file that it names, of which every type is valid."""
    if isinstance(value, dict):
        return value
    folder = info.context["folder"] if info.context else Path.cwd()
    if not isinstance(value, str):
        raise UnfitValueError(f"is neither a section nor the path of a file; {_FORM}")
    return _from_file(resolved(value, folder))


def registered_kind(value: object) -> str:
    """Return the type that *value* names: `Long` and `Array of String` as the console has them, or `array<string>`."""
    word = value.lower().replace(" ", "").replace("_", "") if isinstance(value, str) else value
    found = _ARRAY.fullmatch(word) if isinstance(word, str) else None
    return one_of(*KINDS)(word if found is None else f"array<{found['of'] or found['before'] or found['within']}>")


def _from_file(file: Path) -> dict[str, str]:
    if not file.is_file():
        raise UnfitValueError("is not a file; write its path, relative to the folder of this file")
    try:
        document = read(file)
    except ConfigError as error:
        why = str(error).removeprefix(str(file)).lstrip(": ")
        why = why.partition(f": {ADVICE}")[0]
        raise UnfitValueError(f"can't be read as a file of names and types ({why}); {_FILE_FORM}") from None
    section, above = document.tree, tuple[str, ...]()
    inner = section.get("registered")
    if len(section) == 1 and isinstance(inner, dict):
        section, above = inner, ("registered",)
    kinds: dict[str, str] = {}
    faults: list[str] = []
    for name, kind in section.items():
        try:
            kinds[name] = registered_kind(kind)
        except UnfitValueError as error:
            shown = f"the type of {name}" if is_name(name) else "its type"
            faults.append(f"line {document.line((*above, name))}: {shown} {error}")
    if faults:
        raise UnfitValueError(f"names no type of the API on {'; on '.join(faults)}")
    return kinds
