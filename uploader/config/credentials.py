"""Find the service id and the access token, or use placeholders when nothing is sent."""

import codecs
import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from uploader.config.access_token_command import command_words, printed_by
from uploader.config.environment_variables import Filled
from uploader.config.error_messages import ConfigProblem, UnfitValueError
from uploader.config.relative_paths import resolved
from uploader.config.secret_masking import SECRETS, shown
from uploader.config.yaml_document import KeyPath, Tree
from uploader.errors import ConfigError
from uploader.private_files import open_at_once

PLACEHOLDER = "dry-run"
"""The service id or token of a dry run or a check that was given none."""

_SERVICE_ID: KeyPath = ("api", "service_id")
_TOKEN: KeyPath = ("api", "access_token")
_TOKEN_FILE: KeyPath = ("api", "access_token_file")
_TOKEN_COMMAND: KeyPath = ("api", "access_token_command")

_HASH_KEY: KeyPath = ("mapping", "hash_key")

_NO_SERVICE_ID = ConfigProblem(
    _SERVICE_ID, " is missing; write service_id: ${DFINERY_SERVICE_ID} below api", comes_last=True
)
_NO_TOKEN = ConfigProblem(_TOKEN, " is missing; write access_token: ${DFINERY_ACCESS_TOKEN} below api", comes_last=True)

_MOST_BYTES = 1 << 16
_ALL_OTHERS = 0o077
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_QUOTES = ('""', "''", "``", "“”", "‘’")  # noqa: RUF001 — what a word processor makes of them


def is_quoted(credential: str) -> bool:
    """Whether *credential* has quotes around it, which no token and no service id has."""
    return len(credential) > 1 and credential[0] + credential[-1] in _QUOTES


def supplied(configuration: Filled, folder: Path, environ: Mapping[str, str], *, wanted: bool) -> Filled:
    """Return *configuration* with a service id, a token, and the problems with them.

    A token file is read, or a token command run with *environ*, only if the credentials are *wanted*. Otherwise
    missing ones become `PLACEHOLDER`, and an unset variable of a credential or another secret is no problem.
    """
    api = configuration.tree.get("api", {})
    if not isinstance(api, dict):
        return configuration
    both = tuple(_doubled(api))
    if not wanted:
        return _placeheld(configuration, api, both)
    token, troubles = (PLACEHOLDER, ()) if both else _token(configuration, api, folder, environ)
    if "service_id" not in api:
        troubles = (*troubles, _NO_SERVICE_ID)
    api = {"service_id": PLACEHOLDER, **api, "access_token": token}
    return _with(configuration, api, (*configuration.problems, *both, *troubles))


def _doubled(api: Mapping[str, Tree]) -> Iterator[ConfigProblem]:
    """Yield a problem for each way to give the token after the first one."""
    first, *others = [way for way in (_TOKEN, _TOKEN_FILE, _TOKEN_COMMAND) if way[-1] in api] or [_TOKEN]
    for other in others:
        yield ConfigProblem(other, f" is given beside api.{first[-1]}; delete one of the two")


def _placeheld(configuration: Filled, api: Mapping[str, Tree], both: tuple[ConfigProblem, ...]) -> Filled:
    # A word of the command may be a variable that only the run has.
    of_command = {one.key_path for one in configuration.problems if one.key_path[:2] == _TOKEN_COMMAND}
    if of_command:
        api = {key: value for key, value in api.items() if key != _TOKEN_COMMAND[-1]}
    unset = {problem.key_path for problem in configuration.problems} & {_SERVICE_ID, _TOKEN_FILE, *SECRETS, *of_command}
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


def _token(
    configuration: Filled, api: Mapping[str, Tree], folder: Path, environ: Mapping[str, str]
) -> tuple[Tree, tuple[ConfigProblem, ...]]:
    if "access_token" in api:
        return api["access_token"], ()
    if "access_token_command" in api:
        return _from_command(configuration, api["access_token_command"], folder, environ)
    if "access_token_file" in api:
        return _from_file(configuration, api["access_token_file"], folder, environ)
    return PLACEHOLDER, (_NO_TOKEN,)


def _from_file(
    configuration: Filled, written: Tree, folder: Path, environ: Mapping[str, str]
) -> tuple[Tree, tuple[ConfigProblem, ...]]:
    if not isinstance(written, str):
        return PLACEHOLDER, ()
    try:
        file = resolved(written, folder)
    except UnfitValueError:
        # The settings report what is wrong with the path itself.
        return PLACEHOLDER, ()
    try:
        name = _shown(file, configuration.variables.get(_TOKEN_FILE), written)
        return _read(file, name, exposing=_exposing_bits(file, environ)), ()
    except UnfitValueError as error:
        return PLACEHOLDER, (ConfigProblem(_TOKEN_FILE, f": {error}"),)


def token_in(file: Path) -> str:
    """Return the token in *file*, which only its owner may read; raises ConfigError."""
    try:
        return _read(file, _shown(file, None, str(file)), exposing=_ALL_OTHERS)
    except UnfitValueError as error:
        words = f"api.access_token_file: {error}"
    raise ConfigError(words)


def token_of_command(words: Sequence[str], folder: Path, environ: Mapping[str, str]) -> str:
    """Return the token that the command of these *words* prints, in *folder*, with *environ*; raises ConfigError."""
    try:
        return printed_by(words, folder, environ)
    except UnfitValueError as error:
        trouble = f"api.access_token_command: {error}"
    raise ConfigError(trouble)


def _from_command(
    configuration: Filled, written: Tree, folder: Path, environ: Mapping[str, str]
) -> tuple[Tree, tuple[ConfigProblem, ...]]:
    if any(problem.key_path[:2] == _TOKEN_COMMAND for problem in configuration.problems):
        return PLACEHOLDER, ()
    try:
        words = command_words(written)
    except UnfitValueError:
        # The settings report what is wrong with the words themselves.
        return PLACEHOLDER, ()
    try:
        return printed_by(words, folder, environ), ()
    except UnfitValueError as error:
        return PLACEHOLDER, (ConfigProblem(_TOKEN_COMMAND, f": {error}"),)


def _shown(file: Path, variables: str | None, written: str) -> str | None:
    """Return the name of *file* for messages; None if the token itself may have been *written* in its place."""
    text = written if variables is None else variables
    if not shown(text, ""):
        return None
    return str(file) if variables is None else variables


def _exposing_bits(file: Path, environ: Mapping[str, str]) -> int:
    """Return which bits of the mode of *file* open it to others.

    In the folder that systemd gives to one service alone (`LoadCredential=`), the group's reading is that of an access
    control list, which names this service.
    """
    private = environ.get("CREDENTIALS_DIRECTORY")
    return _ALL_OTHERS if not private or Path(private) != file.parent else _ALL_OTHERS & ~stat.S_IRGRP


def _read(file: Path, name: str | None, *, exposing: int) -> str:
    """Return the token in *file*, whose mode has none of the bits *exposing*; *name* is for messages, if known."""
    if name is None:
        if not os.path.exists(file):  # noqa: PTH110 — a Path's own raises where the name is too long
            raise UnfitValueError(
                "there is no such file; write the path of a file that holds the token, not the token itself"
            )
        # The file exists, so this is its name and not a token.
        name = str(file)
    try:
        with open_at_once(file) as opened:
            _refuse_exposed(os.fstat(opened.fileno()).st_mode, name, exposing)
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


def _refuse_exposed(mode: int, name: str, exposing: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnfitValueError(f"{name} is not a file; name the file that holds the token")
    if mode & exposing:
        raise UnfitValueError(
            f"{name} is open to other users (mode {stat.S_IMODE(mode):04o}); run `chmod 600 {_quoted(name)}`"
        )


def _quoted(name: str) -> str:
    # The shell fills in a variable in the name.
    return f'"{name}"' if "${" in name else shlex.quote(name)
