"""Type the command as its users do, in this process."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TypeAlias

import pytest

from uploader.cli import main

CONFIG = """\
api: {service_id: svc, access_token: canary}
mapping:
  identity: {external_id: id}
  properties: {df_name: name, age: {column: age, type: long}}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit status, and the lines that it said for programs and for people."""

    status: int
    out: list[str]
    err: list[str]


Type: TypeAlias = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with a `config.yaml` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "config.yaml").chmod(0o600)
    return tmp_path


@pytest.fixture
def typed(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Run `uploader` with the given words, in the working directory."""
    assert folder.is_dir()

    def run(*words: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["uploader", *words])
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        logging.getLogger("uploader").handlers.clear()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, said.out.splitlines(), said.err.splitlines())

    return run
