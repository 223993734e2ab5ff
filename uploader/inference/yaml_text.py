"""Write a guessed mapping as the text of a configuration."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from uploader.api import BUILT_IN_TYPES
from uploader.inference.file_profile import MOST_COLUMNS
from uploader.inference.identity_columns import IdentityGuess
from uploader.inference.mapping_guess import MappingGuess
from uploader.inference.reviews import Review
from uploader.mapping.rules import FALSE_WORDS, TRUE_WORDS, CleaningRules, PropertyRule
from uploader.model import Json
from uploader.text_width import width

_PLAIN: Final = re.compile(r"[^\W\d](?:[\w-]|[./ ](?=\w))*")
_WORDS: Final = frozenset(["y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"])
_NAMED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TAB: Final = "\t"
_COMMA: Final = re.compile(r', (?=(?:[^"\\]|\\.|"(?:[^"\\]|\\.)*")*$)')
"""A comma between the parts of a list or a mapping: an even number of quotation marks follows it."""
_BYTE: Final = 0xFF
_PLANE: Final = 0xFFFF
_COLUMN: Final = 44
"""The column at which a comment starts, if the text before it is not longer."""
_WIDTH: Final = 99
_LEAST: Final = 40
"""So many columns a wrapped comment has at least."""

SCHEMA_FILE: Final = "config.schema.json"
"""The file beside a configuration, which says to an editor what may be written."""

_SCHEMA: Final = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""Where an editor finds the keys and their values; `uploader schema` prints that file."""

_API: Final = """\
api:
  service_id: ${DFINERY_SERVICE_ID}       # of your service, from the environment
  access_token: ${DFINERY_ACCESS_TOKEN}   # its import API token; or access_token_file: PATH
"""
_REGISTERED: Final = (
    "# The names and types of your properties as the console shows them; correct them. What is not so",
    "# registered, the service would accept and not store. Names that begin with df_ need none.",
)
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
    skip_lines: int | None = None


def spell(guess: MappingGuess, written: SourceText) -> str:
    """Return the text of a configuration with the mapping *guess* for the source *written*."""
    rows = "its 1 row" if guess.rows == 1 else f"all its {guess.rows:,} rows"
    first = (
        f"Guessed from {quoted(written.source)}, from {rows}. Each guess says why; what is marked REVIEW needs a look."
    )
    parts = (
        [_SCHEMA, *_wrapped(first, "")],
        _API.splitlines(),
        list(_source(written)),
        ["mapping:", *_identity(guess), "", *_properties(guess), *_omissions(guess)],
        list(_registered(guess)),
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
        ("skip_lines", str(written.skip_lines or ""), "the header is below a title"),
    )
    if any(value for _, value, _ in said):
        yield "source:"
    for key, value, why in said:
        if value:
            shown = "tab" if value == _TAB else value if key == "skip_lines" else _value(value)
            yield from _commented(f"  {key}: {shown}", why)


def _identity(guess: MappingGuess) -> Iterator[str]:
    yield "  # Who a row is about. Rows that share one of these values are one person."
    yield "  identity:"
    for each in guess.identities:
        yield from _commented(f"    {each.field}: {_identity_rule(each)}", each.why, each.reviews)
        if each.hint:
            column = _value(each.column)
            yield f"    # {each.field}: {{column: {column}, {each.hint}}}"
            yield "    # … with hash_key: $${DFINERY_HASH_KEY} below mapping".replace("$$", "$")


def _identity_rule(each: IdentityGuess) -> str:
    rule = each.rule
    parts = [f"column: {_value(rule.column)}", *_cleaning(rule.cleaning, rule.null_values)]
    return _value(rule.column) if len(parts) == 1 else "{" + ", ".join(parts) + "}"


def _cleaning(rules: CleaningRules, null_values: Sequence[str]) -> Iterator[str]:
    if null_values:
        yield f"null_values: [{_list(null_values)}]"
    if rules.trim:
        yield "trim: true"
    if rules.strip:
        yield f"strip: [{_list(rules.strip)}]"
    if rules.values is not None:
        mapped = ", ".join(f"{_value(word)}: {_sent(sent)}" for word, sent in rules.values)
        yield f"values: {{{mapped}}}"
    if rules.phone is not None:
        yield f"phone: {rules.phone}"
    if rules.thousands is not None:
        yield f"thousands: {_quotes(rules.thousands)}"
    if rules.decimal is not None:
        yield f"decimal: {_quotes(rules.decimal)}"


def _sent(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else _value(str(value))


def _properties(guess: MappingGuess) -> Iterator[str]:
    yield "  # What is stored: the name as it is registered in the console, and its column. Change the names."
    yield "  properties:"
    for each in guess.properties:
        yield from _commented(f"    {property_line(each.rule)}", each.why, each.reviews)


def property_line(rule: PropertyRule) -> str:
    """Return the line of a configuration that makes the property of *rule*, without its indentation."""
    column = _value(rule.column or "")
    parts = [f"column: {column}", *_type(rule), *_cleaning(rule.cleaning, rule.null_values)]
    if rule.on_error != "reject":
        parts.append(f"on_error: {rule.on_error}")
    return f"{quoted(rule.key)}: {column if len(parts) == 1 else '{' + ', '.join(parts) + '}'}"


def _type(rule: PropertyRule) -> Iterator[str]:
    if rule.kind is not None:
        yield f"type: {quoted(rule.kind)}"
    if len(rule.times.formats) == 1:
        yield f"format: {quoted(rule.times.formats[0])}"
    elif rule.times.formats:
        yield f"format: [{', '.join(map(quoted, rule.times.formats))}]"
    if rule.times.pivot is not None:
        yield f"pivot: {rule.times.pivot}"
    if rule.times.timezone is not None:
        yield f"timezone: {rule.times.timezone}"
    if rule.kind == "boolean" and (rule.true, rule.false) != (TRUE_WORDS, FALSE_WORDS):
        yield f"true: [{_list(rule.true)}]"
        yield f"false: [{_list(rule.false)}]"
    if rule.separator != "|":
        yield f"separator: {_quotes(rule.separator)}"


def _list(words: Sequence[str]) -> str:
    return ", ".join(map(_value, words))


def _quotes(text: str) -> str:
    return quoted(text) if quoted(text) != text else f'"{text}"'


def _omissions(guess: MappingGuess) -> Iterator[str]:
    for each in guess.omissions:
        mark = "LEFT OUT, REVIEW" if each.harm is not None else "LEFT OUT"
        yield from _wrapped(f"{mark}: {quoted(each.column)}: {each.why}", "    ")
        if each.instead is not None:
            yield from _wrapped(property_line(each.instead), "    ")
    if guess.ignored:
        yield f"    # REVIEW: there are more columns; only the first {MOST_COLUMNS:,} were looked at."
    if guess.hidden:
        yield "    # REVIEW: keys that look like data (an e-mail address, a number) are left out, and not named here."


def _registered(guess: MappingGuess) -> Iterator[str]:
    named = [each for each in guess.properties if each.key not in BUILT_IN_TYPES]
    if named:
        yield from _REGISTERED
        yield "registered:"
        for each in named:
            yield f"  {quoted(each.key)}: {quoted(each.kind)}"


def _commented(line: str, why: str, reviews: Sequence[Review] = ()) -> Iterator[str]:
    """Yield *line* with the comment *why* after it if there is room, else above it; *reviews* stand above."""
    indent = " " * (len(line) - len(line.lstrip()))
    has_room = max(width(line), _COLUMN) + 4 + width(why) <= _WIDTH and "\n" not in why
    if not has_room:
        yield from _wrapped(why, indent)
    for review in reviews:
        yield from _wrapped(f"REVIEW: {review.text}", indent)
        if review.instead is not None:
            yield from _wrapped(property_line(review.instead), indent)
    yield f"{line}{' ' * (_COLUMN - width(line))}  # {why}" if has_room else _folded(line, indent)


def _folded(line: str, indent: str) -> str:
    """Return *line* with a line break after some of its commas, if it is too long for one."""
    if width(line) <= _WIDTH:
        return line
    found: list[str] = []
    begin = ""
    for part in _COMMA.split(line):
        longer = f"{begin}, {part}" if begin else part
        if begin.strip() and width(longer) >= _WIDTH:
            found.append(f"{begin},")
            begin = f"{indent}    {part}"
        else:
            begin = longer
    return "\n".join([*found, begin])


def _wrapped(text: str, indent: str) -> Iterator[str]:
    """Yield *text* as lines of a comment, each below 100 columns; a word that is longer is cut."""
    begin = f"{indent}# "
    room = _WIDTH - len(begin)
    line = ""
    for word in _pieces(text, room):
        longer = f"{line} {word}" if line else word
        if width(longer) > room:
            yield begin + line
            line = word
        else:
            line = longer
    yield begin + line


def _pieces(text: str, room: int) -> Iterator[str]:
    for word in text.split(" "):
        left = word
        while width(left) > room:
            cut = next(place for place in range(len(left), 0, -1) if width(left[:place]) <= room)
            yield left[:cut]
            left = left[cut:]
        yield left
