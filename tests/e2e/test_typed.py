"""Type each command that another one prints, in the same folder, and see that the right service gets the row."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.command import TOKEN, Desk, rules, sent_ids
from uploader.cli.entry_point import every_command
from uploader.cli.printed_commands import CommandLine, command, completed, quoted
from uploader.sandbox import RunningSandbox

ODD: Final = {
    "a space": b"my people.csv",
    "quotes": b'it\'s "ours".csv',
    "a dollar": b"$HOME `id`.csv",
    "a dash": b"-people.csv",
    "a newline": b"peo\nple.csv",
    "a terminal's order": b"peo\x1b[2Jple\\.csv",
    "Korean": "사람들.csv".encode(),
    "not UTF-8": b"\xff\xfepeople.csv",
    "a tilde": b"~people.csv",
}
NO_UTF8: Final = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
REJECTED: Final = "code=40001 for external_id=2 times 1"


class Shell:
    """A shell in the folder of the desk, which knows `uploader`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.environ: dict[str, str] = {}

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """Type *line*."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/bash", "-c", line],
            cwd=self.desk.folder,
            env={**os.environ, **self.desk.environ, **self.environ, "PATH": path},
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )

    def type_printed(self, said: str, which: int = -1) -> subprocess.CompletedProcess[str]:
        """Type the command that stands on a line of its own, or in backquotes, in what was *said*."""
        printed = re.findall(r"^  (uploader .+)$|`(uploader .+?)`(?:[ .;]|$)", said, re.MULTILINE)
        return self.type("".join(printed[which]))


@pytest.fixture
def shell(desk: Desk) -> Shell:
    return Shell(desk)


@pytest.fixture
def services(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> tuple[RunningSandbox, RunningSandbox]:
    """Start the service of prod.yaml, which rejects the second row once, and the one of config.yaml."""
    prod, other = sandbox(rules(REJECTED)), sandbox(rules())
    desk.configure(prod.url)
    (desk.folder / "config.yaml").rename(desk.folder / "prod.yaml")
    desk.configure(other.url)
    return prod, other


def test_the_rows_to_send_again_go_to_the_service_that_rejected_them(
    shell: Shell, services: tuple[RunningSandbox, RunningSandbox]
) -> None:
    prod, other = services
    shell.desk.people(3)

    first = shell.type("uploader run people.csv --config prod.yaml")
    second = shell.type_printed(first.stderr)

    assert (first.returncode, second.returncode, second.stderr) == (3, 0, "")
    assert first.stderr.splitlines()[-1] == "  uploader run people.retry.csv --config prod.yaml"
    assert sorted(map(str, sent_ids(prod))) == ["1", "2", "2", "3"]
    assert sent_ids(other) == []


def test_what_was_set_goes_along(shell: Shell, services: tuple[RunningSandbox, RunningSandbox]) -> None:
    prod, other = services
    shell.desk.write("people.csv", "no;full name\n1;Kim\n2;Lee\n")
    sets = (
        f"--set api.base_url={prod.url} --set 'mapping={{identity: {{external_id: no}}, "
        "properties: {df_name: full name}}' --set 'source.delimiter=;' --set 'api.access_token=${DFINERY_ACCESS_TOKEN}'"
    )

    first = shell.type(f"uploader run people.csv {sets} --changed-only -v")
    second = shell.type_printed(first.stderr)

    assert (first.returncode, second.returncode, second.stderr) == (3, 0, "")
    assert first.stderr.splitlines()[-1].endswith(" --changed-only")
    assert sent_ids(prod) == ["1", "2", "2"]
    assert sent_ids(other) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "environ"),
    [
        *(pytest.param(name, {}, id=what) for what, name in ODD.items()),
        *(pytest.param(ODD[what], NO_UTF8, id=f"{what}, without UTF-8") for what in ("Korean", "not UTF-8")),
    ],
)
def test_a_name_of_any_kind_can_be_typed_as_it_is_printed(
    shell: Shell, services: tuple[RunningSandbox, RunningSandbox], name: bytes, environ: dict[str, str]
) -> None:
    prod, other = services
    shell.environ = environ
    source, config = os.fsdecode(name), os.fsdecode(name + b".yaml")
    shell.desk.people(2).rename(shell.desk.folder / source)
    (shell.desk.folder / "prod.yaml").rename(shell.desk.folder / config)

    first = shell.type(command("run", [source], CommandLine(config=Path(config))))
    second = shell.type_printed(first.stderr)

    assert (first.returncode, second.returncode, second.stderr) == (3, 0, "")
    assert (sent_ids(prod), sent_ids(other)) == (["1", "2", "2"], [])


def test_rows_of_standard_input_can_be_sent_again_as_they_are_configured(
    shell: Shell, services: tuple[RunningSandbox, RunningSandbox]
) -> None:
    prod, _ = services

    first = shell.type(
        "printf 'id;name\\n1;Kim\\n2;Lee\\n' | "
        "uploader run - --config prod.yaml --set 'source={format: csv, delimiter: \";\"}'"
    )
    second = shell.type_printed(first.stderr)

    assert (first.returncode, second.returncode, second.stderr) == (3, 0, "")
    assert sent_ids(prod) == ["1", "2", "2"]


@pytest.mark.parametrize("first", ["run", "check"])
def test_a_file_that_is_refused_is_sent_by_the_command_that_says_so(
    shell: Shell, services: tuple[RunningSandbox, RunningSandbox], first: str
) -> None:
    prod, other = services
    words = "--config prod.yaml --set 'guard={rows: 30%}' --set 'limits.canary=0'"
    shell.desk.people(9)
    assert shell.type(f"uploader run people.csv {words}").returncode == 3
    shell.desk.people(2)

    refused = shell.type(f"uploader {first} people.csv {words}")
    accepted = shell.type_printed(refused.stderr)

    assert (refused.returncode, accepted.returncode, len(sent_ids(prod)), sent_ids(other)) == (4, 0, 11, [])


def test_a_configuration_is_written_where_it_was_looked_for_and_then_checked_and_rehearsed(shell: Shell) -> None:
    shell.desk.people(3, "my people.csv")

    missing = shell.type("uploader run 'my people.csv' --config 'my first.yaml'")
    written = shell.type_printed(missing.stderr)
    checked, rehearsed = shell.type_printed(written.stderr, 0), shell.type_printed(written.stderr, 1)

    assert (missing.returncode, written.returncode, checked.returncode, rehearsed.returncode) == (2, 0, 0, 0)
    assert (shell.desk.folder / "my first.yaml").exists()


def test_runs_are_listed_from_the_folder_that_was_asked(
    shell: Shell, services: tuple[RunningSandbox, RunningSandbox]
) -> None:
    prod, _ = services
    shell.desk.people(1)
    words = "--config prod.yaml --set state_dir=elsewhere"
    assert (shell.type(f"uploader run people.csv {words}").returncode, len(sent_ids(prod))) == (0, 1)

    unknown = shell.type(f"uploader runs 1999 {words}")
    listed = shell.type_printed(unknown.stderr)

    assert (unknown.returncode, listed.returncode, len(listed.stdout.splitlines())) == (2, 0, 2)


def test_a_memory_without_its_key_is_forgotten_where_it_is(
    shell: Shell, services: tuple[RunningSandbox, RunningSandbox]
) -> None:
    shell.desk.people(1)
    words = "--config prod.yaml --set state_dir=elsewhere"
    for place in ("", words):
        assert shell.type(f"uploader run people.csv --changed-only {place}").returncode == 0
    (shell.desk.folder / "elsewhere/memory/key").unlink()

    lost = shell.type(f"uploader run people.csv --changed-only {words}")
    forgotten = shell.type_printed(lost.stderr)

    assert services
    assert (lost.returncode, forgotten.returncode, forgotten.stderr) == (
        7,
        0,
        "The digests of 1 service are deleted.\n",
    )
    assert (shell.desk.folder / ".uploader/memory/key").exists()


@pytest.mark.parametrize(
    "override",
    [
        f"api.access_token={TOKEN}",
        f"api.access_token=a{TOKEN}${{X}}",
        f"api={{access_token: {TOKEN}}}",
        f"api.service_id={TOKEN}",
        f"api.base_url=https://{TOKEN}@host",
        f"api.proxy=http://me:{TOKEN}@host",
        f"mapping.hash_key={TOKEN}",
        f"mapping={{hash_key: {TOKEN}}}",
        f"notify.url=https://hooks.example.com/{TOKEN}",
        f"api.access_token_file={TOKEN}",
        f"api.timeout={TOKEN}",
        f"api.access_token.x={TOKEN}",
        f"{TOKEN}=x",
        TOKEN,
    ],
)
def test_no_secret_that_was_set_is_printed_in_a_command(override: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFINERY_ACCESS_TOKEN", TOKEN)

    printed = command("run", ["people.csv"], CommandLine(overrides=(override,)))

    assert TOKEN not in printed
    assert printed.startswith("uploader run people.csv --set ")


@pytest.mark.parametrize(
    "override",
    [
        "api.access_token=linnet-0815-4711",
        "api.access_token='linnet-0815-4711",
        "api={access_token: '${X}linnet-0815-4711'}",
        "api.proxy=http://ann:linnet-0815-4711@proxy:3128",
        "api.proxy=http://linnet-0815-4711@proxy:3128",
        "api.proxy=linnet-0815-4711",
        "api.base_url=https://linnet-0815-4711@host",
        "api.timeout=linnet-0815-4711",
        "api.token=linnet-0815-4711",
        "api.access_token_file=linnet-0815-4711",
        "api=linnet-0815-4711",
    ],
)
def test_what_may_be_a_secret_that_nobody_knows_is_not_printed_in_a_command(override: str) -> None:
    key = override.partition("=")[0]

    assert command("run", ["a.csv"], CommandLine(overrides=(override,))) == f"uploader run a.csv --set '{key}=…'"


@pytest.mark.parametrize(
    "override",
    [
        "api.access_token_file=secrets/token",
        "api.access_token_file=made-9f86d081884c7d65",
        "api.access_token=${MINE}",
        "api={service_id: svc, access_token: '${MINE}'}",
        "api.proxy=http://proxy:3128",
        "api.proxy=http://${USER_OF_PROXY}:${MINE}@proxy:3128",
        "api.base_url=https://api.example",
        "api.ca_file=ca.pem",
        "mapping.properties.age={column: age, type: long}",
        "mapping.identity.email=e-mail",
        "source.delimiter=;",
        "rate.requests=5000",
    ],
)
def test_what_holds_no_secret_is_printed_in_a_command_as_it_was_set(
    override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made-9f86d081884c7d65").touch()

    printed = command("run", ["a.csv"], CommandLine(overrides=(override,)))

    assert printed == f"uploader run a.csv --set {quoted(override)}"


def test_a_command_in_a_message_gets_what_was_given_and_only_what_it_takes() -> None:
    given = CommandLine(
        ("a b.csv", "c.csv"), Path("x.yaml"), ("rate.share=0.5",), changed_only=True, others=("--full",)
    )
    message = (
        "1 `uploader init SOURCE`, 2 `uploader changes --forget`, 3 `uploader run SOURCE... --accept`, 4 `uploads x`"
    )

    assert completed(message, given) == (
        "1 `uploader init 'a b.csv' --config x.yaml`, "
        "2 `uploader changes --config x.yaml --set rate.share=0.5 --forget`, "
        "3 `uploader run 'a b.csv' c.csv --config x.yaml --set rate.share=0.5 --changed-only --full --accept`, "
        "4 `uploads x`"
    )


def test_every_command_that_the_source_code_prints_is_in_backquotes_or_made_by_the_one_function() -> None:
    code = Path(__file__).parents[2] / "uploader"
    texts = {path: path.read_text(encoding="utf-8") for path in code.rglob("*.py")}
    named = "|".join(every_command())

    loose = [
        f"{path.name}: {found[0]}"
        for path, text in texts.items()
        for found in re.finditer(rf"[^`\n]\buploader (?:{named})\b[^`\n]*$", text, re.MULTILINE)
        if '"""' not in found[0]
    ]

    assert loose == []


def test_what_is_quoted_is_read_as_it_was_by_a_shell() -> None:
    words = [os.fsdecode(name) for name in ODD.values()]

    read = subprocess.run(
        ["/bin/bash", "-c", f"printf '%s\\0' {' '.join(map(quoted, words))}"], capture_output=True, check=True
    )

    assert read.stdout.split(b"\0")[:-1] == [*ODD.values()]
