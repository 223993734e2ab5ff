"""A token reaches no message and no list of processes, wherever in the configuration it was written."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.make import Load
from uploader.config import load
from uploader.config.secret_masking import is_name, shown
from uploader.config.settings import keys_of
from uploader.errors import ConfigError

TOKENS: Final = ("canary-token-4711", "Zm9vYmFyMTIz_QXV0aFRva2Vu_MDQ3MTE")
"""Texts as tokens are: words, and what some generator made."""

MADE: Final = (
    *TOKENS,
    "9f86d081884c7d659a2feaa0c55ad015",
    "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "3FA85F64_5717_4562_B3FC_2C963F66AFA6",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0NzExIn0.c2lnbmF0dXJl",
    "QXV0aFRva2VuMDQ3MTEK/w+A==",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
)

SECTIONS: Final = ("api", "source", "rate", "retry", "limits", "guard", "output", "mapping")
PROPERTY_KEYS: Final = keys_of(("mapping", "properties", "df_name"))
SUGGESTION: Final = "use api.access_token_file, or a variable: --set 'api.access_token=${NAME}'"
SHOWN: Final = f"--set api.access_token would show the token to anyone who lists processes; {SUGGESTION}"


def _places() -> Iterator[tuple[str, ...]]:
    """Yield every key of the configuration, and a property of each key."""
    for section in ("", *SECTIONS):
        place = (section,) if section else ()
        yield from ((*place, key) for key in keys_of(place))
    yield from (("mapping", "identity", key) for key in keys_of(("mapping", "identity")))
    yield from (("mapping", "request_datetime", key) for key in keys_of(("mapping", "request_datetime")))
    yield from (("mapping", "properties", "p", key) for key in PROPERTY_KEYS)
    yield ("mapping", "properties", "p")
    yield ("nowhere",)


PLACES: Final = tuple(_places())


def _with(place: tuple[str, ...], value: object) -> str:
    """Return a configuration that has *value* at *place*, and otherwise what it must have."""
    tree: dict[str, Any] = {
        "api": {"service_id": "svc", "access_token": "${OTHER}"},
        "mapping": {"identity": {"external_id": "id"}, "properties": {"df_name": "name"}},
    }
    section = tree
    for key in place[:-1]:
        below = section.get(key)
        section[key] = below if isinstance(below, dict) else {}
        section = section[key]
    section[place[-1]] = value
    return yaml.safe_dump(tree, sort_keys=False)


@pytest.fixture
def told(loaded: Load) -> Callable[..., str]:
    """Return what is said of a configuration: why it is refused, or how it is warned of; "" where it is taken."""

    def say(text: str, *overrides: str, environ: Mapping[str, str], credentials: bool) -> str:
        try:
            settings = loaded(text, *overrides, environ=environ, credentials=credentials)
        except ConfigError as error:
            return f"{error} {error.__context__!r}"
        return " ".join(settings.warnings)

    return say


@pytest.mark.slow
@pytest.mark.parametrize(("known", "credentials"), [(True, True), (False, False)])
@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_token_in_any_place_of_the_configuration_is_not_repeated(
    told: Callable[..., str], place: tuple[str, ...], *, known: bool, credentials: bool
) -> None:
    for token in TOKENS:
        environ = {"OTHER": token if known else "linnet-4711", "PASTED": token}
        for value in (token, [token], {token: "x"}, {"x": token}, "${PASTED}", f"${{PASTED}}{token}", f"${{{token}}}"):
            said = told(_with(place, value), environ=environ, credentials=credentials)

            assert token not in said, (value, said)
        said = told(_with((*place[:-1], token), "x"), environ=environ, credentials=credentials)
        assert token not in said, said


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_token_in_a_set_for_any_place_is_not_repeated(
    told: Callable[..., str], place: tuple[str, ...], least: str
) -> None:
    for token in TOKENS:
        environ = {"DFINERY_SERVICE_ID": "svc", "DFINERY_ACCESS_TOKEN": "linnet-4711"}
        key = ".".join(place)
        for override in (
            *(f"{key}={token}", f"{key}=[{token}]", f"{key}={{x: {token}}}", f"{key}={{{token}: x}}"),
            *(f"{key}.{token}=1", f"{'.'.join((*place[:-1], token))}=1", f"{key}='{token}", f"{token}={token}", token),
            *(f"{token}.{key}=[", f"{key}=${{{token}}}", f"{key}={{'{token}': 1, '{token}': 2}}"),
        ):
            said = told(least, override, environ=environ, credentials=True)

            assert token not in said, (override, said)


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_token_that_is_known_is_refused_in_any_other_place(
    told: Callable[..., str], least: str, place: tuple[str, ...]
) -> None:
    if place == ("api", "access_token"):
        return
    token = TOKENS[0]
    environ = {"DFINERY_SERVICE_ID": "svc", "DFINERY_ACCESS_TOKEN": token, "PASTED": token}

    for override in (f"{'.'.join(place)}={token}", f"{'.'.join(place)}=x${{PASTED}}"):
        assert told(least, override, environ=environ, credentials=True) != ""
        assert told(least, override, environ=environ, credentials=False) != ""


@pytest.mark.parametrize("token", MADE)
def test_what_a_generator_made_is_no_name(token: str) -> None:
    assert not is_name(token)
    assert shown(f"/etc/{token}", "") == "" or token == TOKENS[0]


@pytest.mark.parametrize(
    "name", ["df_name", "age", "customer_lifetime_value_2024", "lastPurchaseAmount", "가입일자_기준"]
)
def test_what_people_call_their_properties_is_a_name(name: str) -> None:
    assert is_name(name)


def test_a_service_id_that_is_the_token_is_refused_without_an_echo(complaint: Callable[..., str], least: str) -> None:
    environ = {"DFINERY_SERVICE_ID": "linnet-4711", "DFINERY_ACCESS_TOKEN": "linnet-4711"}

    for credentials in (True, False):
        assert complaint(least, environ=environ, credentials=credentials) == (
            "config.yaml line 2: api.service_id has the access token in it; write its own value there"
        )


def test_a_service_id_that_is_the_token_of_a_file_is_refused(complaint: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("linnet-4711", encoding="utf-8")
    (tmp_path / "token").chmod(0o600)
    text = (
        "api: {service_id: linnet-4711, access_token_file: token}\nmapping: {identity: {email: a}, properties: {b: b}}"
    )

    assert complaint(text, environ={}) == (
        "config.yaml line 1: api.service_id has the access token in it; write its own value there"
    )


@pytest.mark.parametrize(
    "override",
    [
        "api={service_id: svc, access_token: linnet}",
        'api={"access_token": "linnet"}',
        "api={access_token: [linnet]}",
        "api={access_token: {linnet: linnet}}",
        "api.access_token=[linnet]",
        "api.access_token='linnet'",
        "api.access_token.x=linnet",
        "api.access_token=linnet${DFINERY_ACCESS_TOKEN}",
        "api.access_token=${DFINERY_ACCESS_TOKEN}linnet",
        "api={access_token: '${DFINERY_ACCESS_TOKEN}${DFINERY_ACCESS_TOKEN}linnet'}",
        "api.access_token=$${linnet}",
    ],
)
def test_a_set_that_spells_out_any_part_of_the_token_is_refused(
    complaint: Callable[..., str], least: str, override: str
) -> None:
    for credentials in (True, False):
        assert complaint(least, [override], credentials=credentials) == SHOWN


@pytest.mark.parametrize(
    "override",
    ["api.access_token=${MINE}", "api={service_id: svc, access_token: '${MINE}'}"],
)
def test_a_set_may_name_the_variable_that_holds_the_token(loaded: Load, least: str, override: str) -> None:
    environ = {"DFINERY_SERVICE_ID": "svc", "MINE": "linnet-0815"}

    settings = loaded(least, override, "api.service_id=svc", environ=environ)

    assert settings.api.access_token == "linnet-0815"


LITERAL: Final = "api: {service_id: svc, access_token: linnet}\nmapping: {identity: {email: a}, properties: {b: b}}\n"
OPEN: Final = "config.yaml line 1: api.access_token is written out in a file that is open to other users"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_token_in_a_configuration_that_is_open_to_others_is_refused_where_something_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("config.yaml")
    file.write_text(LITERAL, encoding="utf-8")
    file.chmod(mode)
    advice = "run `chmod 600 config.yaml`, or write ${NAME} there"

    with pytest.raises(ConfigError) as refused:
        load(file, environ={})
    settings = load(file, environ={}, credentials=False)

    assert str(refused.value) == f"{OPEN} (mode {mode:04o}); {advice}"
    assert settings.warnings == (str(refused.value),)


@pytest.mark.parametrize(
    ("mode", "text"),
    [(0o600, LITERAL), (0o400, LITERAL), (0o644, LITERAL.replace("linnet", "'${DFINERY_ACCESS_TOKEN}'"))],
)
def test_a_configuration_that_shows_nobody_the_token_is_taken(tmp_path: Path, mode: int, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)

    assert load(file, environ={"DFINERY_ACCESS_TOKEN": "linnet"}).warnings == ()


def test_a_set_over_a_token_in_an_open_configuration_does_not_make_it_private(loaded: Load, tmp_path: Path) -> None:
    loaded(LITERAL)
    (tmp_path / "config.yaml").chmod(0o644)

    with pytest.raises(ConfigError, match="is open to other users"):
        load(Path("config.yaml"), overrides=["api.access_token=${MINE}"], environ={"MINE": "linnet-0815"})


def test_a_pipe_that_is_written_to_is_a_configuration() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, LITERAL.encode())
        os.close(writing)

        settings = load(Path(f"/dev/fd/{reading}"), environ={})
    finally:
        os.close(reading)

    assert settings.api.service_id == "svc"


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploader.config.yaml_document._PATIENCE_SECONDS", 0.05)
    pipe = tmp_path / "config.yaml"
    os.mkfifo(pipe, 0o600)

    with pytest.raises(ConfigError) as refused:
        load(pipe, environ={})

    assert str(refused.value) == (
        f"{pipe} is a pipe or a device that nobody has written to the end: name a file with --config"
    )
