"""The examples of the Python API run, and a program that uses the built wheel is typed."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.command import Desk, rules
from uploader.sandbox import RunningSandbox

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs/python-api.md"
EXAMPLES: Final = ("nightly.py", "airflow_dag.py", "prefect_flow.py")

AIRFLOW: Final = {
    "airflow/__init__.py": "",
    "airflow/exceptions.py": "class AirflowFailException(Exception): pass\n",
    "airflow/sdk.py": """\
import json

def task(**settings):
    def wrap(function):
        def call(*args):
            print(json.dumps(function(*args)))
        return call
    return wrap

def dag(**settings):
    assert settings["schedule"] and settings["start_date"].tzinfo
    return lambda function: function
""",
}
PREFECT: Final = {
    "prefect.py": """\
import json

def task(**settings):
    def wrap(function):
        async def call(*args):
            result = await function(*args)
            print(json.dumps(result))
            return result
        return call
    return wrap

def flow(**settings):
    return lambda function: function
""",
}
"""Stand-ins of what runs two of the examples: their decorators call the function, and print what it returns."""

CONSUMER: Final = """\
import asyncio
from pathlib import Path
from uploader import CheckResult, Events, Explanation, RunError, RunResult, Settings, UploaderError
from uploader import arun, check, explain, run
from uploader.run.events import Checked

class Watcher(Events):
    def checked(self, checked: Checked, /) -> None:
        rows: int = checked.summary.read

settings: Settings = Settings.of({"mapping": {"identity": {"external_id": "id"}, "properties": {"name": "name"}}})
found: CheckResult = check(settings, "people.csv")
one: Explanation = explain(settings, Path("people.csv"), 1)
try:
    result: RunResult = run(settings, ["people.csv"], sandbox=True, limit=5, events=Watcher())
    sent: int = result.sources[0].counts.sent
except RunError as error:
    status: int = error.exit_status
    so_far: RunResult = error.result
    whole: UploaderError = error
again: RunResult = asyncio.run(arun(settings, "people.csv", sandbox=True))
requests: int = settings.rate.requests
"""

WRONG: Final = """\
from uploader import Settings, check, run
settings = Settings.load("config.yaml")
run(settings, 5)
check(settings, "people.csv").reports[0].result.counts.snet
settings.rate.requests = 5
"""


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Lend a working directory in which files can be written."""
    return Desk(tmp_path, capfd, monkeypatch)


def started(folder: Path, file: str, stand_ins: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in stand_ins.items():
        (folder / "stand_ins" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "stand_ins" / name).write_text(text, encoding="utf-8")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("DFINERY_")}
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / file)],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(folder / "stand_ins")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_script_checks_and_sends_the_sample(tmp_path: Path) -> None:
    done = started(tmp_path, "nightly.py", {})

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (3, "")
    assert lines[0] == "checked: 2,995 of 3,000 rows can be sent"
    assert f"{ROOT / 'samples/profiles.csv'}: 2,995 sent, 5 rejected" in lines
    assert [*tmp_path.glob("**/*token*"), *tmp_path.glob(".uploader")] == []


@pytest.mark.parametrize(("file", "stand_ins"), [("airflow_dag.py", AIRFLOW), ("prefect_flow.py", PREFECT)])
def test_a_job_of_a_scheduler_sends_the_sample(file: str, stand_ins: dict[str, str], tmp_path: Path) -> None:
    done = started(tmp_path, file, stand_ins)

    assert (done.returncode, done.stderr) == (0, "")
    counts = json.loads(done.stdout)
    assert counts["sent"] + counts["rejected"] == 3000
    assert counts["sent"] > 2900


@pytest.mark.parametrize(
    ("name", "printed"),
    [("customers.csv", "0 5\n"), ("others.csv", "4 customers.csv: no such file. Check the path.\n")],
)
def test_the_first_example_of_the_page_prints_how_it_ended(
    name: str, printed: str, desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    (example,) = re.findall(
        r"^```python\n(.*?check\(settings.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    desk.configure(sandbox(rules()).url)
    desk.people(5, name)

    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=desk.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DFINERY_SERVICE_ID": "svc", "DFINERY_ACCESS_TOKEN": "canary"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


@pytest.mark.parametrize("file", EXAMPLES)
def test_the_page_names_every_example(file: str) -> None:
    assert f"examples/{file}" in PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the wheel installs, and nothing of the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def typed(script: str, folder: Path, installed: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(folder / "cache"), "script.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_a_program_that_uses_the_wheel_is_typed(tmp_path: Path, installed: Path) -> None:
    done = typed(CONSUMER, tmp_path, installed)

    assert (done.stdout, done.stderr) == ("Success: no issues found in 1 source file\n", "")
    assert (installed / "uploader/py.typed").is_file()


@pytest.mark.slow
def test_a_program_that_misuses_the_wheel_is_refused(tmp_path: Path, installed: Path) -> None:
    done = typed(WRONG, tmp_path, installed)

    assert done.returncode == 1
    assert [line.split(":")[1] for line in done.stdout.splitlines() if "error:" in line] == ["3", "4", "5"]


def test_a_program_of_the_wheel_runs(tmp_path: Path, installed: Path) -> None:
    (tmp_path / "people.csv").write_text("id,name\n1,Kim\n2,Lee\n", encoding="utf-8")
    (tmp_path / "script.py").write_text(f"{CONSUMER}print(sent, again.sources[0].counts.sent)\n", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("2 2\n", "")
