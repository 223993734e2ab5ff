"""Lay the flags of `--set key.path=value` over the configuration."""

import re
from collections.abc import Mapping, Sequence

from uploader.config.document import FLAG, Document, Place, Tree, parse
from uploader.config.problem import PROPERTIES
from uploader.errors import ConfigError

_FORM = re.compile(r"(?P<key>[^\s=:.\0-\x1f]+(\.[^\s=:.\0-\x1f]+)*)=(?P<value>.*)", re.DOTALL)
_TEMPLATE = "output.retry_file"
_TOKEN: Place = ("api", "access_token")
_PROXY: Place = ("api", "proxy")
_CREDENTIALS = re.compile(r"(.*//)?(?P<user>[^:]*)(:(?P<password>.*))?@.*", re.DOTALL)
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_MOMENT: Place = ("mapping", "request_datetime")


def overridden(document: Document, overrides: Sequence[str]) -> Document:
    """Return *document* with each of *overrides* in it, the last one winning.

    Raise ConfigError, which never quotes a value, for one that is not `key.path=value`.
    """
    for override in overrides:
        document = _with(document, override)
    return document


def _with(document: Document, override: str) -> Document:
    found = _FORM.fullmatch(override)
    if found is None:
        raise ConfigError("--set is not of the form key.path=value; write for example --set rate.requests=5000")
    key = found["key"]
    place = tuple(key.split("."))
    if place == _TOKEN and "${" not in found["value"]:
        raise ConfigError(
            "--set api.access_token would show the token to whoever lists processes; "
            "use api.access_token_file, or a variable: --set 'api.access_token=${NAME}'"
        )
    if place == _PROXY and _has_credentials(found["value"]):
        raise ConfigError(
            "--set api.proxy would show the proxy's password to whoever lists processes; "
            "use a variable: --set 'api.proxy=${NAME}'"
        )
    tree = _placed(document.tree, place, _value(found["value"], key))
    if tree is None:
        raise ConfigError(f"--set {key} is not a key: what stands above it is one value; set that instead")
    return Document(document.file, tree, _marked(document, place))


def _has_credentials(url: str) -> bool:
    """Whether a proxy's *url* spells out its password, or the user who has none."""
    found = _CREDENTIALS.fullmatch(url)
    return found is not None and not _VARIABLE.fullmatch(found["password"] or found["user"])


def _value(text: str, key: str) -> Tree:
    """Return a list, a section or a quoted text as YAML reads it, and anything else exactly as it is written."""
    text = text.strip()
    if key == _TEMPLATE and text.startswith("{"):
        # Its braces are places of a path, not a section.
        return text
    if text.startswith(("[", "{", '"', "'")):
        return parse(text, f"--set {key}")
    return text or None


def _placed(section: Mapping[str, Tree], place: Place, value: Tree, above: Place = ()) -> dict[str, Tree] | None:
    """Return *section* with *value* at *place*, or None where a value is in the way."""
    key = str(place[0])
    if len(place) == 1:
        return {**section, key: value}
    below = section.get(key)
    if isinstance(below, str) and above == PROPERTIES:
        below = {"column": below}
    if below == "now" and (*above, key) == _MOMENT:
        below = None
    if below is not None and not isinstance(below, dict):
        return None
    inner = _placed(below or {}, place[1:], value, (*above, key))
    return None if inner is None else {**section, key: inner}


def _marked(document: Document, place: Place) -> dict[Place, int]:
    depth = len(place)
    lines = {known: line for known, line in document.lines.items() if known[:depth] != place}
    for length in range(1, depth):
        lines.setdefault(place[:length], FLAG)
    return {**lines, place: FLAG}
