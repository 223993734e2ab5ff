"""Write a guessed mapping as the text of a configuration."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from uploader.api import CONSENTS
from uploader.inference.file_profile import MOST_COLUMNS
from uploader.inference.mapping_guess import MappingGuess, PropertyGuess

_PLAIN: Final = re.compile(r"[^\W\d](?:[\w-]|[./ ](?=\w))*")
_WORDS: Final = frozenset(["y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"])
_NAMED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TAB: Final = "\t"
_BYTE: Final = 0xFF
_PLANE: Final = 0xFFFF
_COLUMN: Final = 44
"""The column at which a comment starts, if the text before it is not longer."""
_WIDTH: Final = 100

_API: Final = """\
api:
  service_id: ${DFINERY_SERVICE_ID}       # of your service, from the environment
  access_token: ${DFINERY_ACCESS_TOKEN}   # its import API token; or access_token_file: PATH, a file of mode 0600
"""
_RATE: Final = """\
# The limit of your service; these are the defaults.
# rate:
#   requests: 10000           # so many requests …
#   per: 1m                   # … in each window
#   share: 0.95               # how much of it this run may use
"""


@dataclass(frozen=True, slots=True)
class SourceText:
    """The name and format of a source; None means that the configuration can leave a setting out."""

    source: str
    encoding: str | None = None
    delimiter: str | None = None
    format: str | None = None


def spell(guess: MappingGuess, written: SourceText) -> str:
    """Return the text of a configuration with the mapping *guess* for the source *written*."""
    rows = "its 1 row" if guess.rows == 1 else f"all its {guess.rows:,} rows"
    parts = (
        [f"# Guessed from {quoted(written.source)}, from {rows}. Each guess says why; look them through."],
        _API.splitlines(),
        list(_source(written)),
        ["mapping:", *_identity(guess), "", *_properties(guess), *_omissions(guess)],
        _RATE.splitlines(),
    )
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def quoted(text: str) -> str:
    """Return *text* as a YAML value, in quotes unless it is plain without them."""
    if _PLAIN.fullmatch(text) and text.isprintable() and text.casefold() not in _WORDS:
        return text
    return '"' + "".join(_NAMED.get(letter) or _escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter.isprintable() and letter != "\ufeff":
        return letter
    code = ord(letter)
    if code <= _BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _PLANE else f"\\U{code:08x}"


def _value(text: str) -> str:
    """Return *text* as a value in which `${` starts no environment variable."""
    return quoted(text.replace("${", "$${"))


def _source(written: SourceText) -> Iterator[str]:
    said = (
        ("format", written.format, "by its first bytes; its name says something else"),
        ("encoding", written.encoding, "it is not UTF-8, and the whole file reads as this"),
        ("delimiter", written.delimiter, "so the header and the first records fall into the same number of cells"),
    )
    if any(value for _, value, _ in said):
        yield "source:"
    for key, value, why in said:
        if value:
            yield _commented(f"  {key}: {'tab' if value == _TAB else _value(value)}", why)


def _identity(guess: MappingGuess) -> Iterator[str]:
    yield "  # Who a row is about. Rows that share one of these values are one person."
    yield "  identity:"
    for each in guess.identities:
        yield _commented(f"    {each.field}: {_value(each.column)}", each.why)


def _properties(guess: MappingGuess) -> Iterator[str]:
    yield "  # What is stored: the name as it is registered in the console, and the column. Change the names to yours."
    yield "  properties:"
    for each in guess.properties:
        yield _commented(f"    {quoted(each.key)}: {_rule(each)}", each.why)


def _rule(each: PropertyGuess) -> str:
    form, lists = each.form, None if each.lists is None or each.lists.is_default else each.lists
    column = _value(each.column)
    kind = None if each.key in CONSENTS and lists is None else form.kind
    if kind is None:
        return column
    parts = [f"column: {column}", f"type: {quoted(kind)}"]
    if form.format is not None:
        parts.append(f"format: {quoted(form.format)}")
    if form.timezone is not None:
        parts.append(f"timezone: {form.timezone}")
    if lists is not None:
        parts += [f"true: [{_list(lists.true)}]", f"false: [{_list(lists.false)}]"]
    return "{" + ", ".join(parts) + "}"


def _list(words: Sequence[str]) -> str:
    return ", ".join(map(quoted, words))


def _omissions(guess: MappingGuess) -> Iterator[str]:
    for each in guess.omissions:
        yield f"    # LEFT OUT: {quoted(each.column)}: {each.why}"
    if guess.ignored:
        yield f"    # LOOK: there are more columns; only the first {MOST_COLUMNS:,} were looked at."
    if guess.hidden:
        yield "    # LOOK: keys that look like data (an e-mail address, a number) are left out, and not named here."


def _commented(line: str, why: str) -> str:
    """Return *line* with the comment *why*: after it if there is room, else above it."""
    if max(len(line), _COLUMN) + len(why) <= _WIDTH:
        return f"{line:<{_COLUMN}}  # {why}"
    indent = " " * (len(line) - len(line.lstrip()))
    return f"{indent}# {why}\n{line}"
