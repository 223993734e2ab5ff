"""Lend the tests a folder of their own with a configuration in it, and the world as it looks from there."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from uploader.config import Settings, load
from uploader.run.environment import Environment
from uploader.run.options import Options

CONFIG = """\
api: {service_id: svc, access_token: canary}
mapping:
  identity: {external_id: id}
  properties: {df_name: name, age: {column: age, type: long}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with a `config.yaml` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "config.yaml").chmod(0o600)
    return tmp_path


@pytest.fixture
def settings(folder: Path) -> Callable[..., Settings]:
    """Load the configuration of the working directory, with the given lines laid over it."""

    def loaded(*overrides: str) -> Settings:
        assert folder.is_dir()
        return load(Path("config.yaml"), overrides=overrides, environ={})

    return loaded


@pytest.fixture
def said() -> list[str]:
    """Collect what people are told."""
    return []


@pytest.fixture
def world(said: list[str]) -> Environment:
    return Environment(environ={}, stdin=BytesIO(b""), say=said.append)


def people(path: Path, rows: Sequence[str]) -> Path:
    """Write a CSV of id, name and age to *path*."""
    path.write_text("\n".join(("id,name,age", *rows, "")), encoding="utf-8")
    return path


def options(*sources: str, **more: object) -> Options:
    """Return the flags of a command about *sources*, with the configuration of the working directory."""
    return Options(sources=sources, config=Path("config.yaml"), **more)  # type: ignore[arg-type]  # the fields of Options
