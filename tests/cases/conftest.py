"""Lend the cases a working directory of their own, in which the command can be typed."""

from pathlib import Path

import pytest

from tests.command import SERVICE, TOKEN, Desk


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Lend a working directory, `desk.folder`, in which the command can be typed."""
    folder = tmp_path / "desk"
    folder.mkdir()
    environ = {"DFINERY_SERVICE_ID": SERVICE, "DFINERY_ACCESS_TOKEN": TOKEN, "DFINERY_HASH_KEY": "canary-hash-key"}
    return Desk(folder, capfd, monkeypatch, environ)
