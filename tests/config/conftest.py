"""Load a configuration that is given as text, from a folder of its own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests import make
from tests.make import ENVIRON, Load
from uploader.config import Settings, load
from uploader.errors import ConfigError


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)

    def load_text(
        text: str,
        *overrides: str,
        environ: Mapping[str, str] = ENVIRON,
        credentials: bool = True,
    ) -> Settings:
        make.config(tmp_path, text)
        return load(Path("config.yaml"), overrides=overrides, environ=environ, credentials=credentials)

    return load_text


@pytest.fixture
def complaint(loaded: Load) -> Callable[..., str]:
    """Return the lines with which a configuration is refused."""

    def refused(
        text: str, overrides: Sequence[str] = (), environ: Mapping[str, str] = ENVIRON, *, credentials: bool = True
    ) -> str:
        with pytest.raises(ConfigError) as caught:
            loaded(text, *overrides, environ=environ, credentials=credentials)
        lines = str(caught.value)
        assert all(line.isprintable() and line for line in lines.split("\n"))
        assert "linnet" not in lines
        assert caught.value.__context__ is None or "linnet" not in repr(caught.value.__context__)
        return lines

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
