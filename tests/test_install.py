"""The wheel works where nothing of the repository is: in an environment of its own, from an empty folder."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

import pytest

from uploader import __version__

ROOT: Final = Path(__file__).parents[1]
MAPPING: Final = """\
mapping:
  identity: {external_id: id}
  properties: {df_name: name}
"""

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the commands of a new environment that has the wheel, and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("install")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheel")], ROOT)
    (wheel,) = (folder / "wheel").iterdir()
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    run(
        [sys.executable, "-m", "uv", "pip", "install", "-q", "--offline", "--no-deps", "-p", str(python), str(wheel)],
        folder,
    )
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    # Their own .pth files, that of the editable install among them, are not read from there.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder / "env" / "bin"


def run(command: list[str], folder: Path, *, status: int = 0) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == status, done.stderr
    return done


def test_the_command_of_the_wheel_says_its_version(commands: Path, tmp_path: Path) -> None:
    done = run([str(commands / "uploader"), "--version"], tmp_path)
    found = run([str(commands / "python"), "-c", "import uploader; print(uploader.__file__)"], tmp_path)

    assert done.stdout == f"uploader, version {__version__}\n"
    assert found.stdout.startswith(f"{commands.parent}/")


def test_the_wheel_sends_a_file_in_a_dry_run(commands: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "people.csv").write_text("id,name\n1,Kim\n2,Lee\n", encoding="utf-8")

    done = run([str(commands / "uploader"), "run", "people.csv", "--sandbox"], tmp_path)

    assert "  accepted               2" in done.stderr.splitlines()
    assert done.stderr.splitlines()[-1] == "This was a dry run: nothing left this machine."


def test_the_wheel_has_the_words_that_a_shell_completes(commands: Path, tmp_path: Path) -> None:
    words = {"_UPLOADER_COMPLETE": "bash_complete", "COMP_WORDS": "uploader ru", "COMP_CWORD": "1"}

    done = run(["env", *(f"{name}={value}" for name, value in words.items()), str(commands / "uploader")], tmp_path)

    assert done.stdout.splitlines() == ["plain,run", "plain,runs"]
