"""Replace each `${NAME}` in a configuration by its environment variable."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader.config.error_messages import ConfigProblem
from uploader.config.secret_masking import is_name
from uploader.config.yaml_document import KeyPath, Tree

_DOLLAR = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<malformed>\$\{)")


@dataclass(frozen=True, slots=True)
class Filled:
    """The configuration with the values of its variables, which no message may show.

    *variables* holds the original text of each place with a variable. Where a variable is missing, the tree has None,
    and *problems* has an entry.
    """

    tree: Mapping[str, Tree] = field(repr=False)
    variables: Mapping[KeyPath, str]
    problems: tuple[ConfigProblem, ...]


def filled(tree: Mapping[str, Tree], environ: Mapping[str, str]) -> Filled:
    """Return *tree* with each `${NAME}` replaced from *environ*, and each `$${` by a plain `${`."""
    variables: dict[KeyPath, str] = {}
    problems: list[ConfigProblem] = []

    def inside(value: Tree, key_path: KeyPath) -> Tree:
        if isinstance(value, dict):
            return {key: inside(below, (*key_path, key)) for key, below in value.items()}
        if isinstance(value, list):
            return [inside(below, (*key_path, index)) for index, below in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        trouble = _trouble(value, environ)
        if trouble is not None:
            problems.append(ConfigProblem(key_path, trouble))
            return None
        if any(dollar["name"] for dollar in _DOLLAR.finditer(value)):
            variables[key_path] = value
        return _DOLLAR.sub(lambda dollar: environ[dollar["name"]] if dollar["name"] else "${", value)

    return Filled({key: inside(value, (key,)) for key, value in tree.items()}, variables, tuple(problems))


def _trouble(text: str, environ: Mapping[str, str]) -> str | None:
    for dollar in _DOLLAR.finditer(text):
        name = dollar["name"]
        if dollar["malformed"]:
            return ": after ${ stands no NAME}; write ${NAME} for a variable, or $${ for a plain ${"
        if name and not environ.get(name):
            state = "empty" if name in environ else "not set"
            if not is_name(name):
                return f": its variable is {state}; write the name of one that is, as in ${{DFINERY_ACCESS_TOKEN}}"
            return f": the variable {name} is {state}; run `export {name}=…`"
    return None
