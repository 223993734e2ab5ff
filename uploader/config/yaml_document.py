"""Read YAML as text: each scalar as it is written, and the line of each key."""

import os
import re
import select
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import yaml

from uploader.errors import ConfigError
from uploader.private_files import open_at_once

Tree: TypeAlias = "str | list[Tree] | dict[str, Tree] | None"
"""A YAML value: text, list or section; None is a key without a value."""

KeyPath: TypeAlias = tuple[str | int, ...]
"""The place of a value: the keys that lead to it, and the index within a list."""

FLAG = 0
"""The line number of a key from `--set`."""

_ADVICE = "move it away and run `uploader init SOURCE` to write one, or name another with --config"
"""What to do about a configuration that can't be read at all."""

_MOST_BYTES = 1 << 20
_MOST_VALUES = 100_000
_PATIENCE_SECONDS = 30.0
"""How long the writer of a pipe may take in all."""

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_LONGEST_SIGN = len("'\\t'")
_PLAIN_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


@dataclass(frozen=True, slots=True)
class Document:
    """The configuration as it was written: values, and the *lines* of its keys (`FLAG` for a `--set`).

    *mode* holds the permission bits of the file.
    """

    file: Path
    tree: Mapping[str, Tree]
    lines: Mapping[KeyPath, int]
    mode: int

    def line(self, key_path: KeyPath) -> int | None:
        """Return the line of *key_path*, or of the nearest key above it; None if there is none."""
        around = (key_path[:length] for length in range(len(key_path), 0, -1))
        return next((self.lines[outer] for outer in around if outer in self.lines), None)

    def origin(self, key_path: KeyPath) -> str:
        """Return the words that say where *key_path* was written."""
        line = self.line(key_path)
        if line == FLAG:
            return "--set"
        return f"{self.file}:" if line is None else f"{self.file} line {line}:"


def read(file: Path, *, advice: str = _ADVICE) -> Document:
    """Read the configuration in *file*; an error ends with *advice* where it is none.

    Raise ConfigError if it is missing, unreadable, not UTF-8, not YAML, not a mapping, or has a key twice.
    """
    text, mode = _text(file, advice)
    node = _composed(text, str(file))
    if node is None:
        raise ConfigError(f"{file} is empty: {advice}")
    lines: dict[KeyPath, int] = {}
    tree = _NodeReader(str(file), lines).value(node, ())
    if not isinstance(tree, dict):
        raise ConfigError(f"{file} is not a mapping of keys to values: {advice}")
    return Document(file, tree, lines, mode)


def parse(text: str, name: str) -> Tree:
    """Read *text* as one YAML value; else raise ConfigError, which calls it *name* and never quotes it."""
    node = _composed(text, name)
    return None if node is None else _NodeReader(name, {}).value(node, ())


def _text(file: Path, advice: str) -> tuple[str, int]:
    """Return the text of *file*, and its mode."""
    try:
        with open_at_once(file) as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            written = _bytes(opened.fileno(), str(file))
    except FileNotFoundError:
        missing = f"no {file} here" if file.name == str(file) else f"{file} does not exist"
        raise ConfigError(f"{missing}: run `uploader init SOURCE` to write one, or name one with --config") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file} can't be read ({why}): {advice}") from None
    if len(written) > _MOST_BYTES:
        raise ConfigError(f"{file} is larger than 1 MiB, which no configuration is: {advice}")
    try:
        return written.decode("utf-8-sig"), mode
    except UnicodeDecodeError as error:
        line = written.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file} line {line}: this is not UTF-8; save the file as UTF-8") from None


def _bytes(handle: int, name: str) -> bytes:
    """Return what *handle* holds, at most one byte over the limit; the writer of a pipe gets time."""
    if stat.S_ISREG(os.fstat(handle).st_mode):
        with open(handle, "rb", closefd=False) as opened:
            return opened.read(_MOST_BYTES + 1)
    poll, written = select.poll(), b""
    poll.register(handle, select.POLLIN)
    patience = time.monotonic() + _PATIENCE_SECONDS
    while len(written) <= _MOST_BYTES and poll.poll(max(0.0, patience - time.monotonic()) * 1000):
        with suppress(BlockingIOError):
            block = os.read(handle, _MOST_BYTES + 1 - len(written))
            if not block:
                return written
            written += block
    if len(written) > _MOST_BYTES:
        return written
    raise ConfigError(f"{name} is a pipe or a device that nobody has written to the end: name a file with --config")


def _composed(text: str, name: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        complaint = f"{_spot(name, error.problem_mark)}: not YAML: {_unquoted(error.problem or 'unreadable')}"
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        complaint = f"{name} line {line}: not YAML: a control character; delete it"
    except RecursionError:
        complaint = f"{name}: not a configuration: its values are nested too deeply"
    else:
        return node
    raise ConfigError(complaint)


def _spot(name: str, mark: yaml.Mark | None) -> str:
    return name if mark is None else f"{name} line {mark.line + 1}, column {mark.column + 1}"


def _unquoted(problem: str) -> str:
    """Return the parser's message without quotations from the file, which could be part of a token."""
    fixed = _QUOTED.sub(lambda quoted: quoted[0] if _is_syntax(quoted[0]) else "'…'", problem.splitlines()[0])
    return f"{fixed}; indent with spaces, and quote a value that holds one of : # [ {{"


def _is_syntax(quoted: str) -> bool:
    return len(quoted) <= _LONGEST_SIGN or quoted.startswith("'<")


class _NodeReader:
    """Converts the nodes of one YAML text to values, and records the line of each key."""

    def __init__(self, name: str, lines: dict[KeyPath, int]) -> None:
        self._name = name
        self._lines = lines
        self._above: list[yaml.Node] = []
        self._count = 0

    def value(self, node: yaml.Node, key_path: KeyPath) -> Tree:
        self._count += 1
        if self._count > _MOST_VALUES or any(node is above for above in self._above):
            raise self._error(node, "an alias (*) repeats what it is a part of, or too much; write it out")
        if node.tag not in _PLAIN_TAGS:
            raise self._error(node, "a tag (!) is not read here; delete it, or quote the value")
        self._lines.setdefault(key_path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return None if node.style is None and not node.value else str(node.value)
        self._above.append(node)
        try:
            return self._inner(node, key_path)
        finally:
            self._above.pop()

    def _inner(self, node: yaml.Node, key_path: KeyPath) -> Tree:
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*key_path, index)) for index, item in enumerate(node.value)]
        section: dict[str, Tree] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            here = (*key_path, key)
            if key in section:
                raise self._error(key_node, f"this key was given before, on line {self._lines[here]}; delete one")
            self._lines[here] = key_node.start_mark.line + 1
            section[key] = self.value(value_node, here)
        return section

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a key must be one word, not a list or a section")
        if node.value == "<<" and node.style is None:
            raise self._error(node, "the merge key << is not read; write the keys out")
        return str(node.value)

    def _error(self, node: yaml.Node, words: str) -> ConfigError:
        return ConfigError(f"{_spot(self._name, node.start_mark)}: {words}")
