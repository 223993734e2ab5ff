"""Load a configuration that is given as text, from a folder of its own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from uploader.config import Settings, load
from uploader.errors import ConfigError

ENVIRON = {"DFINERY_SERVICE_ID": "svc-1", "DFINERY_ACCESS_TOKEN": "linnet-4711"}


class Load(Protocol):
    """Loads *text*, which stands in the `config.yaml` of the working directory."""

    def __call__(
        self,
        text: str,
        *overrides: str,
        environ: Mapping[str, str] = ENVIRON,
        credentials: bool = True,
    ) -> Settings: ...


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)

    def load_text(
        text: str,
        *overrides: str,
        environ: Mapping[str, str] = ENVIRON,
        credentials: bool = True,
    ) -> Settings:
        Path("config.yaml").write_text(text, encoding="utf-8")
        Path("config.yaml").chmod(0o600)
        return load(Path("config.yaml"), overrides=overrides, environ=environ, credentials=credentials)

    return load_text


@pytest.fixture
def complaint(loaded: Load) -> Callable[..., str]:
    """Return the one line with which a configuration is refused."""

    def refused(
        text: str, overrides: Sequence[str] = (), environ: Mapping[str, str] = ENVIRON, *, credentials: bool = True
    ) -> str:
        with pytest.raises(ConfigError) as caught:
            loaded(text, *overrides, environ=environ, credentials=credentials)
        line = str(caught.value)
        assert line.isprintable()
        assert "linnet" not in line
        assert caught.value.__context__ is None or "linnet" not in repr(caught.value.__context__)
        return line

    return refused


@pytest.fixture
def least() -> str:
    """Return a configuration with no more than it must have."""
    return """\
api:
  service_id: ${DFINERY_SERVICE_ID}
  access_token: ${DFINERY_ACCESS_TOKEN}
mapping:
  identity: {external_id: user_id}
  properties: {df_name: name}
"""
