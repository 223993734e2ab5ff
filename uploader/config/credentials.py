"""Find the service id and the access token, or use placeholders when nothing is sent."""

import codecs
import os
import shlex
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from uploader.config.environment_variables import Filled
from uploader.config.error_messages import ConfigProblem, UnfitValueError
from uploader.config.relative_paths import resolved
from uploader.config.secret_masking import SECRETS, shown
from uploader.config.yaml_document import KeyPath, Tree
from uploader.private_files import open_at_once

PLACEHOLDER = "dry-run"
"""The service id or token of a dry run or a check that was given none."""

_SERVICE_ID: KeyPath = ("api", "service_id")
_TOKEN: KeyPath = ("api", "access_token")
_TOKEN_FILE: KeyPath = ("api", "access_token_file")

_HASH_KEY: KeyPath = ("mapping", "hash_key")

_BOTH = ConfigProblem(_TOKEN_FILE, " is given beside api.access_token; delete one of the two")
_NO_SERVICE_ID = ConfigProblem(
    _SERVICE_ID, " is missing; write service_id: ${DFINERY_SERVICE_ID} below api", comes_last=True
)
_NO_TOKEN = ConfigProblem(_TOKEN, " is missing; write access_token: ${DFINERY_ACCESS_TOKEN} below api", comes_last=True)

_MOST_BYTES = 1 << 16
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_QUOTES = ('""', "''", "``", "“”", "‘’")  # noqa: RUF001 — what a word processor makes of them


def is_quoted(credential: str) -> bool:
    """Whether *credential* has quotes around it, which no token and no service id has."""
    return len(credential) > 1 and credential[0] + credential[-1] in _QUOTES


def supplied(configuration: Filled, folder: Path, *, wanted: bool) -> Filled:
    """Return *configuration* with a service id, a token, and the problems with them.

    A token file is read only if the credentials are *wanted*. Otherwise missing ones become `PLACEHOLDER`, and an unset
    variable of a credential or another secret is no problem.
    """
    api = configuration.tree.get("api", {})
    if not isinstance(api, dict):
        return configuration
    both = (_BOTH,) if {"access_token", "access_token_file"} <= api.keys() else ()
    if not wanted:
        return _placeheld(configuration, api, both)
    token, troubles = _token(configuration, api, folder)
    if "service_id" not in api:
        troubles = (*troubles, _NO_SERVICE_ID)
    api = {"service_id": PLACEHOLDER, **api, "access_token": token}
    return _with(configuration, api, (*configuration.problems, *both, *troubles))


def _placeheld(configuration: Filled, api: Mapping[str, Tree], both: tuple[ConfigProblem, ...]) -> Filled:
    unset = {problem.key_path for problem in configuration.problems} & {_SERVICE_ID, _TOKEN_FILE, *SECRETS}
    kept = {key: value for key, value in api.items() if ("api", key) not in unset}
    problems = tuple(problem for problem in configuration.problems if problem.key_path not in unset)
    mapping = configuration.tree.get("mapping")
    if _HASH_KEY in unset and isinstance(mapping, dict):
        keyed = {**mapping, "hash_key": PLACEHOLDER}
        configuration = replace(configuration, tree={**configuration.tree, "mapping": keyed})
    notify = configuration.tree.get("notify")
    if isinstance(notify, dict):
        named = {key: value for key, value in notify.items() if ("notify", key) not in unset}
        configuration = replace(configuration, tree={**configuration.tree, "notify": named})
    return _with(configuration, {"service_id": PLACEHOLDER, "access_token": PLACEHOLDER, **kept}, (*problems, *both))


def _with(configuration: Filled, api: Mapping[str, Tree], problems: tuple[ConfigProblem, ...]) -> Filled:
    return replace(configuration, tree={**configuration.tree, "api": dict(api)}, problems=problems)


def _token(configuration: Filled, api: Mapping[str, Tree], folder: Path) -> tuple[Tree, tuple[ConfigProblem, ...]]:
    if "access_token" in api:
        return api["access_token"], ()
    if "access_token_file" not in api:
        return PLACEHOLDER, (_NO_TOKEN,)
    written = api["access_token_file"]
    if not isinstance(written, str):
        return PLACEHOLDER, ()
    try:
        file = resolved(written, folder)
    except UnfitValueError:
        # The settings report what is wrong with the path itself.
        return PLACEHOLDER, ()
    try:
        return _read(file, _shown(file, configuration.variables.get(_TOKEN_FILE), written)), ()
    except UnfitValueError as error:
        return PLACEHOLDER, (ConfigProblem(_TOKEN_FILE, f": {error}"),)


def _shown(file: Path, variables: str | None, written: str) -> str | None:
    """Return the name of *file* for messages; None if the token itself may have been *written* in its place."""
    text = written if variables is None else variables
    if not shown(text, ""):
        return None
    return str(file) if variables is None else variables


def _read(file: Path, name: str | None) -> str:
    """Return the token in *file*, which only its owner may read; *name* is its name for messages, if there is one."""
    if name is None:
        if not os.path.exists(file):  # noqa: PTH110 — a Path's own raises where the name is too long
            raise UnfitValueError(
                "there is no such file; write the path of a file that holds the token, not the token itself"
            )
        # The file exists, so this is its name and not a token.
        name = str(file)
    try:
        with open_at_once(file) as opened:
            _refuse_exposed(os.fstat(opened.fileno()).st_mode, name)
            written = opened.read(_MOST_BYTES)
    except FileNotFoundError:
        raise UnfitValueError(
            f"{name} does not exist; write the token into it, then `chmod 600 {_quoted(name)}`"
        ) from None
    except OSError as error:
        raise UnfitValueError(f"{name} can't be read ({error.strerror}); let this user own it") from None
    return _sole_token(written, name)


def _sole_token(written: bytes, name: str) -> str:
    """Return the token that is all of *written*, the content of the file called *name*."""
    if written.startswith(_MARKS):
        raise UnfitValueError(f"{name} begins with a byte order mark (BOM); save it as UTF-8 without BOM")
    token = written.decode("utf-8", "replace").strip()
    if not token:
        raise UnfitValueError(f"{name} is empty; write the token into it")
    if is_quoted(token):
        raise UnfitValueError(f"{name} has quotes around the token; delete them")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UnfitValueError(f"{name} holds more than one token; write the token into it and nothing else")
    return token


def _refuse_exposed(mode: int, name: str) -> None:
    if not stat.S_ISREG(mode):
        raise UnfitValueError(f"{name} is not a file; name the file that holds the token")
    if mode & 0o077:
        raise UnfitValueError(
            f"{name} is open to other users (mode {stat.S_IMODE(mode):04o}); run `chmod 600 {_quoted(name)}`"
        )


def _quoted(name: str) -> str:
    # The shell fills in a variable in the name.
    return f'"{name}"' if "${" in name else shlex.quote(name)
