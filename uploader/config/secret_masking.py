"""Find the secrets of a configuration, and decide which words a message may show."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from uploader.config.yaml_document import KeyPath, Tree

_CREDENTIALS: Final = re.compile(r"(.*//)?(?P<user>[^:]*)(:(?P<password>.*))?@.*", re.DOTALL)


def _of_url(url: str) -> str:
    """Return the password in the *url* of a proxy, or its user if there is no password."""
    found = _CREDENTIALS.fullmatch(url)
    return "" if found is None else found["password"] or found["user"]


def _path_of_url(url: str) -> str:
    """Return the path and the query of the *url* of an endpoint, or the first variable in them."""
    path = re.sub(r"^[a-zA-Z]+://[^/?#]*/?", "", url)
    variable = _REFERENCE.search(path)
    return path if variable is None else variable[0]


SECRETS: Final[Mapping[KeyPath, Callable[[str], str]]] = {
    ("api", "access_token"): str,
    ("api", "proxy"): _of_url,
    ("mapping", "hash_key"): str,
    ("notify", "url"): _path_of_url,
    ("notify", "ping"): _path_of_url,
}
"""The keys that hold a secret; each function returns the secret part of the text there, "" if there is none."""

_VARIABLE: Final = "DFINERY_ACCESS_TOKEN"
_REFERENCE: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_LEAST: Final = 8
"""A shorter secret may be part of another word by chance."""

_SHORT: Final = 12
"""No token is this short, so a message may show a word up to this length."""

_DIRECTIVE: Final = re.compile(r"%[%a-zA-Z]")
"""A directive of a date pattern, which no secret contains."""

_LONGEST_NAME: Final = 60
_WORD: Final = re.compile(r"[A-Z]?[a-z]{1,15}|[A-Z]{1,15}|[0-9]{1,4}|[^\W\d_a-zA-Z]+")
_JOINT: Final = re.compile(r"[_ ]*")
_LETTERS_OF_A_WORD: Final = 3
_PART: Final = re.compile(r"[/.${}]+")


def written_out(tree: Mapping[str, Tree]) -> Iterator[KeyPath]:
    """Yield the keys whose secret is written in *tree* itself, in part or as a whole."""
    for key_path in SECRETS:
        value = _at(tree, key_path)
        if value is not None and not (isinstance(value, str) and _is_elsewhere(SECRETS[key_path](value))):
            yield key_path


def known_secrets(tree: Mapping[str, Tree], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets in *tree*, whose variables are filled in, and in *environ*."""
    values = ((part, _at(tree, key_path)) for key_path, part in SECRETS.items())
    found = {part(value) for part, value in values if isinstance(value, str)} | {environ.get(_VARIABLE, "")}
    return tuple(sorted(secret for secret in found if len(secret) >= _LEAST))


def misplaced(tree: Mapping[str, Tree], secrets: Iterable[str]) -> Iterator[KeyPath]:
    """Yield the places that have one of *secrets* in their key or value, except those meant for a secret."""
    secrets = tuple(secrets)

    def within(value: Tree, key_path: KeyPath) -> Iterator[KeyPath]:
        if key_path in SECRETS:
            return
        words = (str(part) for part in (*key_path[-1:], value) if isinstance(part, str))
        if any(secret in word for word in words for secret in secrets):
            yield key_path
        elif isinstance(value, dict):
            for key, below in value.items():
                yield from within(below, (*key_path, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from within(item, (*key_path, index))

    for key, value in tree.items():
        yield from within(value, (key,))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return *text* without any of *secrets*."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return text


def is_short(text: str) -> bool:
    """Whether *text*, without date directives, is too short to be a secret, so that a message may show it."""
    return len(_DIRECTIVE.sub("", text)) <= _SHORT


def is_name(text: str) -> bool:
    """Whether *text* looks like a name and not like a secret: it consists of few words of several letters."""
    if is_short(text):
        return True
    words = _WORD.findall(text)
    letters = sum(map(len, words))
    covered = letters + sum(len(found) for found in _JOINT.findall(text))
    is_covered = covered == len(text) <= _LONGEST_NAME
    return is_covered and letters >= _LETTERS_OF_A_WORD * len(words)


def shown(written: str, instead: str) -> str:
    """Return *written*, a path or a text with a variable, or *instead* if a part of it may be a secret."""
    parts = _PART.split(written.replace("-", "_") if "/" in written else written)
    return written if all(map(is_name, parts)) else instead


def _at(tree: Mapping[str, Tree], key_path: KeyPath) -> object:
    """Return the value of *tree* at *key_path*; None if there is none."""
    value: object = tree
    for key in key_path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(str(key))
    return value


def _is_elsewhere(secret: str) -> bool:
    """Whether *secret* is empty or one reference to an environment variable."""
    return not secret or _REFERENCE.fullmatch(secret) is not None
