import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.make import Load
from uploader.config.secret_masking import SECRETS

MAPPING = """\
mapping:
  identity: {external_id: user_id}
  properties: {df_name: name}
"""
FROM_FILE = f"api: {{service_id: svc, access_token_file: token}}\n{MAPPING}"
FROM_ENVIRONMENT = f"""\
api:
  service_id: ${{DFINERY_SERVICE_ID}}
  access_token: ${{DFINERY_ACCESS_TOKEN}}
{MAPPING}"""


def token_file(folder: Path, text: str | bytes = "linnet-4711\n", mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_token_is_read_from_its_file_and_stripped(loaded: Load, tmp_path: Path, mode: int) -> None:
    file = token_file(tmp_path, "  linnet-4711\r\n", mode)

    settings = loaded(FROM_FILE)

    assert (settings.api.access_token, settings.api.access_token_file) == ("linnet-4711", file)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_token_file_that_others_can_open_is_refused(complaint: Callable[..., str], tmp_path: Path, mode: int) -> None:
    file = token_file(tmp_path, mode=mode)

    assert complaint(FROM_FILE) == (
        f"config.yaml line 1: api.access_token_file: {file} is open to other users (mode {mode:04o}); "
        f"run `chmod 600 {file}`"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; write the token into it"),
        (" \n", "is empty; write the token into it"),
        ("linnet one", "holds more than one token; write the token into it and nothing else"),
        ("linnet\n#two", "holds more than one token; write the token into it and nothing else"),
        ("\ufefflinnet-4711", "begins with a byte order mark (BOM); save it as UTF-8 without BOM"),
        ("linnet-4711".encode("utf-16"), "begins with a byte order mark (BOM); save it as UTF-8 without BOM"),
        ('"linnet-4711"\n', "has quotes around the token; delete them"),
        ("'linnet-4711'", "has quotes around the token; delete them"),
        ("“linnet-4711”", "has quotes around the token; delete them"),
        ("canär", "holds more than one token; write the token into it and nothing else"),
    ],
)
def test_a_token_file_without_one_token_is_refused(
    complaint: Callable[..., str], tmp_path: Path, text: str | bytes, words: str
) -> None:
    file = token_file(tmp_path, text)

    assert complaint(FROM_FILE) == f"config.yaml line 1: api.access_token_file: {file} {words}"


def test_a_credential_of_systemd_may_be_read_by_the_access_control_list_of_its_service(
    loaded: Load, complaint: Callable[..., str], tmp_path: Path
) -> None:
    token_file(tmp_path, mode=0o440)
    text = FROM_FILE.replace("file: token", 'file: "${CREDENTIALS_DIRECTORY}/token"')

    settings = loaded(text, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    elsewhere = complaint(FROM_FILE, environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "other")})
    (tmp_path / "token").chmod(0o444)
    open_to_all = complaint(text, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert settings.api.access_token == "linnet-4711"
    assert "open to other users (mode 0440)" in elsewhere
    assert "open to other users (mode 0444)" in open_to_all


def test_a_token_file_that_is_missing_is_named_with_what_to_do(complaint: Callable[..., str], tmp_path: Path) -> None:
    assert complaint(FROM_FILE) == (
        f"config.yaml line 1: api.access_token_file: {tmp_path}/token does not exist; "
        f"write the token into it, then `chmod 600 {tmp_path}/token`"
    )


def test_a_folder_is_no_token_file(complaint: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "token").mkdir(mode=0o700)

    assert complaint(FROM_FILE) == (
        f"config.yaml line 1: api.access_token_file: {tmp_path}/token can't be read (Is a directory); "
        "let this user own it"
    )


def test_a_named_pipe_is_refused_without_waiting_for_its_writer(complaint: Callable[..., str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token", 0o600)

    assert complaint(FROM_FILE) == (
        f"config.yaml line 1: api.access_token_file: {tmp_path}/token is not a file; name the file that holds the token"
    )


def test_a_token_file_named_by_a_variable_is_told_by_the_variable(
    complaint: Callable[..., str], tmp_path: Path
) -> None:
    token_file(tmp_path, mode=0o644)
    text = FROM_FILE.replace("file: token", 'file: "${PLACE}/token"')

    assert complaint(text, environ={"PLACE": str(tmp_path)}) == (
        "config.yaml line 1: api.access_token_file: ${PLACE}/token is open to other users (mode 0644); "
        'run `chmod 600 "${PLACE}/token"`'
    )


@pytest.mark.parametrize(
    ("api", "words"),
    [
        (
            "{service_id: svc}",
            "api.access_token is missing; write access_token: ${DFINERY_ACCESS_TOKEN} below api",
        ),
        (
            "{access_token: linnet}",
            "api.service_id is missing; write service_id: ${DFINERY_SERVICE_ID} below api",
        ),
        (
            "{service_id: svc, access_token: linnet, access_token_file: token}",
            "api.access_token_file is given beside api.access_token; delete one of the two",
        ),
        ("linnet", "api is not a section; write its keys below it, indented"),
        ("", "api has no value; write one, or delete the key"),
        (
            "{service_id: svc, access_token:}",
            "api.access_token has no value; write one, or delete the key",
        ),
        (
            "{service_id: svc, access_token_file:}",
            "api.access_token_file has no value; write one, or delete the key",
        ),
        (
            "{service_id: svc, access_token_file: ~/token}",
            "api.access_token_file: its value starts with ~, which only a shell knows; write ${HOME} for it",
        ),
        (
            "{service_id: svc, access_token: linnet one}",
            (
                "api.access_token: its value is empty, or holds a character that none has; "
                "copy it again from the console"
            ),
        ),
        (
            '{service_id: "linnet\\n", access_token: [linnet]}',
            (
                "api.access_token: its value is empty, or holds a character that none has; "
                "copy it again from the console"
            ),
        ),
        (
            "{service_id: svc, access_token:canary}",
            "api.access_token… is not a key; did you mean api.access_token?",
        ),
    ],
)
def test_credentials_that_can_not_be_used_are_refused(complaint: Callable[..., str], api: str, words: str) -> None:
    assert complaint(f"api: {api}\n{MAPPING}") == f"config.yaml line 1: {words}"


def test_without_an_api_section_both_credentials_are_missing(complaint: Callable[..., str]) -> None:
    assert complaint(MAPPING) == (
        "config.yaml: api.access_token is missing; write access_token: ${DFINERY_ACCESS_TOKEN} below api\n"
        "config.yaml: api.service_id is missing; write service_id: ${DFINERY_SERVICE_ID} below api"
    )


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"DFINERY_SERVICE_ID": "svc"},
            (
                "config.yaml line 3: api.access_token: the variable DFINERY_ACCESS_TOKEN is not set; "
                "run `export DFINERY_ACCESS_TOKEN=…`"
            ),
        ),
        (
            {"DFINERY_SERVICE_ID": "", "DFINERY_ACCESS_TOKEN": "linnet"},
            (
                "config.yaml line 2: api.service_id: the variable DFINERY_SERVICE_ID is empty; "
                "run `export DFINERY_SERVICE_ID=…`"
            ),
        ),
        (
            {},
            (
                "config.yaml line 2: api.service_id: the variable DFINERY_SERVICE_ID is not set; "
                "run `export DFINERY_SERVICE_ID=…`\n"
                "config.yaml line 3: api.access_token: the variable DFINERY_ACCESS_TOKEN is not set; "
                "run `export DFINERY_ACCESS_TOKEN=…`"
            ),
        ),
    ],
)
def test_a_variable_that_is_missing_is_named_with_what_to_do(
    complaint: Callable[..., str], environ: dict[str, str], line: str
) -> None:
    assert complaint(FROM_ENVIRONMENT, environ=environ) == line


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('"linnet-4711"', "has quotes around it that belong to no credential; delete them"),
        ("'linnet-4711'", "has quotes around it that belong to no credential; delete them"),
        ("\ufefflinnet-4711", "begins with a byte order mark (BOM); copy it again, without that"),
    ],
)
def test_quotes_and_a_mark_in_a_variable_are_named_with_what_to_do(
    complaint: Callable[..., str], written: str, words: str
) -> None:
    environ = {"DFINERY_SERVICE_ID": "svc", "DFINERY_ACCESS_TOKEN": written}

    assert complaint(FROM_ENVIRONMENT, environ=environ) == (
        f"config.yaml line 3: api.access_token: what ${{DFINERY_ACCESS_TOKEN}} holds {words}"
    )


@pytest.mark.parametrize("text", [MAPPING, FROM_ENVIRONMENT, f"api: {{timeout: 1s}}\n{MAPPING}"])
def test_a_rehearsal_needs_no_credentials(loaded: Load, text: str) -> None:
    settings = loaded(text, environ={}, credentials=False)

    assert (settings.api.service_id, settings.api.access_token) == ("dry-run", "dry-run")


def test_a_rehearsal_never_opens_the_token_file(loaded: Load, tmp_path: Path) -> None:
    token_file(tmp_path, mode=0o666)

    settings = loaded(FROM_FILE, environ={}, credentials=False)

    assert (settings.api.service_id, settings.api.access_token) == ("svc", "dry-run")


def test_a_rehearsal_goes_by_the_credentials_that_are_there(loaded: Load) -> None:
    environ = {"DFINERY_SERVICE_ID": "svc", "DFINERY_ACCESS_TOKEN": "linnet"}

    settings = loaded(FROM_ENVIRONMENT, environ=environ, credentials=False)

    assert (settings.api.service_id, settings.api.access_token) == ("svc", "linnet")


def test_a_rehearsal_still_needs_the_other_variables(complaint: Callable[..., str]) -> None:
    assert complaint(FROM_ENVIRONMENT + "state_dir: ${STATE}\n", environ={}, credentials=False) == (
        "config.yaml line 7: state_dir: the variable STATE is not set; run `export STATE=…`"
    )


@pytest.mark.parametrize("place", SECRETS, ids=".".join)
def test_where_nothing_is_sent_no_variable_of_a_secret_need_be_set(loaded: Load, place: tuple[str, str]) -> None:
    line = f"{place[1]}: '${{COMPANY_SECRET}}'"
    if place[0] == "mapping":
        text = "api: {service_id: svc}\n" + MAPPING.replace("mapping:", f"mapping:\n  {line}", 1)
    elif place[0] == "notify":
        text = f"api: {{service_id: svc}}\nnotify: {{{line}}}\n{MAPPING}"
    else:
        text = f"api: {{service_id: svc, {line}}}\n{MAPPING}"

    settings = loaded(text, environ={}, credentials=False)

    assert (settings.api.service_id, settings.api.proxy) == ("svc", None)
