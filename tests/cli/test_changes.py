"""What `uploader changes` shows, and deletes; and its former name, `uploader memory`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from uploader.changes import DigestStores
from uploader.cli import main

CONFIG = (
    "api: {service_id: svc, access_token: t}\nmapping: {identity: {external_id: id}, properties: {df_name: name}}\n"
)


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")

    def run(*words: str, command: str = "changes") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["uploader", command, *words])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, said.out, said.err

    return run


def remember(folder: Path, service: str) -> None:
    library = DigestStores(folder / ".uploader", wall=lambda: 1000.0)
    with library.open(service, {"base_url": "http://127.0.0.1:1", "service_id": service}) as memory:
        memory.forget([1, 2])
        memory.commit()
        memory.add(1, b"x" * 12)


def test_no_digests_are_stored_before_the_first_run(typed: Callable[..., tuple[int, str, str]]) -> None:
    assert typed() == (0, "No digests are stored.\n", "")
    assert typed("--json") == (0, "[]\n", "")
    assert not Path(".uploader").exists()


def test_each_service_is_shown_with_people_size_and_age(typed: Callable[..., tuple[int, str, str]]) -> None:
    remember(Path(), "one")
    remember(Path(), "two")

    status, out, _ = typed()
    facts = json.loads(typed("--json")[1])

    assert (status, out.count("http://127.0.0.1:1, service "), out.count("  digests of 1 identity value, ")) == (
        0,
        2,
        2,
    )
    assert [(one["service_id"], one["people"]) for one in facts] == [("one", 1), ("two", 1)]


def test_forgetting_leaves_nothing(typed: Callable[..., tuple[int, str, str]]) -> None:
    remember(Path(), "one")

    assert typed("--forget") == (0, "", "The digests of 1 service are deleted.\n")
    assert typed()[1] == "No digests are stored.\n"


def test_a_memory_in_use_is_not_forgotten(typed: Callable[..., tuple[int, str, str]]) -> None:
    with DigestStores(Path(".uploader"), wall=lambda: 0.0).open("one", {}):
        status, _, err = typed("--forget")

    assert (status, "in use by another process" in err) == (8, True)


@pytest.mark.parametrize("words", [(), ("--json",), ("--help",), ("--forget",), ("--no-such",)])
def test_the_former_name_memory_does_the_same(
    typed: Callable[..., tuple[int, str, str]], words: tuple[str, ...]
) -> None:
    assert typed(*words, command="memory") == typed(*words, command="changes")


def test_the_former_name_is_in_no_help(typed: Callable[..., tuple[int, str, str]]) -> None:
    assert "memory" not in typed(command="--help")[1]
