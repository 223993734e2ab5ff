"""Override the configuration with the `--set key.path=value` options."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from uploader.config.environment_variables import filled
from uploader.config.error_messages import PROPERTIES, named
from uploader.config.reading_errors import UNKNOWN_KEY, reading_errors
from uploader.config.secret_masking import is_name, known_secrets, misplaced, shown, written_out
from uploader.config.settings import Settings
from uploader.config.settings_section import SettingsOrigin, read_section
from uploader.config.yaml_document import FLAG, Document, KeyPath, Tree, parse
from uploader.errors import ConfigError

_FORM = re.compile(r"(?P<key>[^\s=:.\0-\x1f]+(\.[^\s=:.\0-\x1f]+)*)=(?P<value>.*)", re.DOTALL)
_TEMPLATE: KeyPath = ("output", "retry_file")
_MOMENT: KeyPath = ("mapping", "request_datetime")
_FILES = ("access_token_file", "ca_file")


def overridden(document: Document, overrides: Sequence[str]) -> Document:
    """Return *document* with each of *overrides* applied in order; the last one wins.

    Raise ConfigError, which never quotes a value, if one is not `key.path=value`.
    """
    for override in overrides:
        document = _with(document, override)
    return document


def printable(override: str, folder: Path, environ: Mapping[str, str], *, withheld: str) -> str:
    """Return *override* with *withheld* in place of what may be a secret; paths are relative to *folder*.

    An invalid value may be a secret in the wrong place.
    """
    found = _FORM.fullmatch(override)
    if found is None:
        return withheld
    key_path: KeyPath = tuple(found["key"].split("."))
    try:
        tree = _tree(key_path, _value(found["value"], key_path))
    except ConfigError:
        tree = None
    if tree is not None and not _may_hold_secrets(tree, folder, environ):
        return override
    is_key = all(map(is_name, found["key"].split("."))) and not any(
        secret in found["key"] for secret in known_secrets({}, environ)
    )
    return f"{found['key']}={withheld}" if is_key else withheld


def _may_hold_secrets(tree: Mapping[str, Tree], folder: Path, environ: Mapping[str, str]) -> bool:
    if any(written_out(tree)) or any(misplaced(tree, known_secrets({}, environ))):
        return True
    api = tree.get("api")
    for written in (api.get(key) for key in _FILES) if isinstance(api, dict) else ():
        # If such a file exists, the text is its name and no token.
        if isinstance(written, str) and not shown(written, "") and not os.path.exists(folder / written):  # noqa: PTH110 — a Path's own raises where the name is too long
            return True
    try:
        read_section(Settings, filled(tree, environ).tree, SettingsOrigin(folder, folder))
    except ValidationError as error:
        # Missing keys are in the file, and None is a variable that is not set here.
        return any(
            one.kind == UNKNOWN_KEY or (one.key_path[:1] == ("api",) and one.value is not None)
            for one in reading_errors(error)
        )
    return False


def _with(document: Document, override: str) -> Document:
    found = _FORM.fullmatch(override)
    if found is None:
        raise ConfigError("--set is not of the form key.path=value; write for example --set rate.requests=5000")
    key_path: KeyPath = tuple(found["key"].split("."))
    value = _value(found["value"], key_path)
    _refuse_secrets(key_path, value)
    tree = _placed(document.tree, key_path, value)
    if tree is None:
        raise ConfigError(f"--set {named(key_path)} is not a key: what stands above it is one value; set that instead")
    return replace(document, tree=tree, lines=_marked(document, key_path))


def _refuse_secrets(key_path: KeyPath, value: Tree) -> None:
    """Refuse a *value* for *key_path* that contains a secret, at any depth: a list of processes would show it."""
    for secret in written_out(_tree(key_path, value)):
        name = named(secret)
        file = "use api.access_token_file, or " if secret == ("api", "access_token") else "use "
        what = "the token" if file != "use " else "a secret address" if secret[0] == "notify" else "a password"
        raise ConfigError(
            f"--set {name} would show {what} to anyone who lists processes; {file}a variable: --set '{name}=${{NAME}}'"
        )


def _tree(key_path: KeyPath, value: Tree) -> dict[str, Tree]:
    """Return a configuration with only *value* at *key_path*."""
    *above, key = key_path
    tree = {str(key): value}
    for outer in reversed(above):
        tree = {str(outer): tree}
    return tree


def _value(text: str, key_path: KeyPath) -> Tree:
    """Return a list, a section or a quoted text as YAML reads it; anything else as it is written."""
    text = text.strip()
    if key_path == _TEMPLATE and text.startswith("{"):
        # Its braces are placeholders of a path, not a section.
        return text
    if text.startswith(("[", "{", '"', "'")):
        return parse(text, f"--set {named(key_path)}")
    return text or None


def _placed(section: Mapping[str, Tree], key_path: KeyPath, value: Tree, above: KeyPath = ()) -> dict[str, Tree] | None:
    """Return *section* with *value* at *key_path*, or None if a value above it is not a section."""
    key = str(key_path[0])
    if len(key_path) == 1:
        return {**section, key: value}
    below = section.get(key)
    if isinstance(below, str) and above == PROPERTIES:
        below = {"column": below}
    if below == "now" and (*above, key) == _MOMENT:
        below = None
    if below is not None and not isinstance(below, dict):
        return None
    inner = _placed(below or {}, key_path[1:], value, (*above, key))
    return None if inner is None else {**section, key: inner}


def _marked(document: Document, key_path: KeyPath) -> dict[KeyPath, int]:
    depth = len(key_path)
    lines = {known: line for known, line in document.lines.items() if known[:depth] != key_path}
    for length in range(1, depth):
        lines.setdefault(key_path[:length], FLAG)
    return {**lines, key_path: FLAG}
