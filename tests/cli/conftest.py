"""Type the command as its users do, in this process."""

import logging
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tests.command import EndedLines, Type
from uploader.cli import main


@pytest.fixture
def typed(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Run `uploader` with the given words, in the working directory."""
    assert folder.is_dir()

    def run(*words: str, stdin: bytes = b"") -> EndedLines:
        monkeypatch.setattr(sys, "argv", ["uploader", *words])
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        logging.getLogger("uploader").handlers.clear()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return EndedLines(ended.value.code, said.out.splitlines(), said.err.splitlines())

    return run
