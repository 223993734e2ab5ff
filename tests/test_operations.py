"""What the page of operations tells to type is what schedulers and the command understand."""

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from uploader.cli.entry_point import every_command

ROOT: Final = Path(__file__).parents[1]
UNITS: Final = ROOT / "examples" / "systemd"
PAGE: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
STATUSES: Final = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 129, 130, 143}
RESUMED: Final = {6, 7, 10, 129, 130, 143}

pytestmark = pytest.mark.long


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def understood(words: list[str]) -> dict[str, Any]:
    """Return what the command takes from *words*, which begin with `run`."""
    assert words[0] == "run"
    return every_command()["run"].make_context("run", words[1:]).params


def verified(folder: Path, *changes: tuple[str, str]) -> "subprocess.CompletedProcess[str]":
    """Return what systemd says of the units of examples/, with *changes* to the service."""
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8")
        for old, new in (("/usr/local/bin/uploader", "/bin/true"), *changes) if unit.suffix == ".service" else ():
            assert old in text
            text = text.replace(old, new)
        (folder / unit.name).write_text(text, encoding="utf-8")
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is missing: `make need-strace` installs it"
    units = sorted(str(path) for path in folder.iterdir())
    return subprocess.run([program, "verify", *units], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_has_nothing_against_the_units(tmp_path: Path) -> None:
    done = verified(tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "change",
    [("Type=oneshot", "Type=onesot"), ("LoadCredential=token:", "LoadCredentials=token:"), ("15min", "15 minuten")],
)
def test_systemd_finds_a_mistake_in_the_units(tmp_path: Path, change: tuple[str, str]) -> None:
    done = verified(tmp_path, change)

    assert done.stderr != ""


def test_the_command_of_the_service_is_understood() -> None:
    text = (UNITS / "dfinery-upload.service").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    (prevented,) = re.findall(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)

    assert understood(shlex.split(line)[1:])["sources"] == ("export/members.csv",)
    assert re.search(r"^Environment=DFINERY_SERVICE_ID=\S+$", text, re.MULTILINE)
    # Signals are no exit statuses to systemd; a time limit waits for the next night.
    assert {*map(int, prevented.split())} == STATUSES - RESUMED | {10}


def test_the_cron_job_of_kubernetes_is_understood() -> None:
    job = yaml.safe_load((ROOT / "examples" / "kubernetes" / "cronjob.yaml").read_text(encoding="utf-8"))
    spec = job["spec"]["jobTemplate"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    rules = {rule["action"]: set(rule["onExitCodes"]["values"]) for rule in spec["podFailurePolicy"]["rules"]}

    assert (job["kind"], job["spec"]["concurrencyPolicy"], pod["restartPolicy"]) == ("CronJob", "Forbid", "Never")
    assert rules == {"FailJob": STATUSES - RESUMED, "Count": RESUMED | {137}}
    assert pod["terminationGracePeriodSeconds"] > 10
    assert understood(container["args"])["sources"] == ("/data/export/members.csv",)
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert {one["name"] for one in container["env"]} == {"DFINERY_SERVICE_ID", "DFINERY_ACCESS_TOKEN"}


def test_the_task_of_airflow_is_understood() -> None:
    (block,) = blocks("python")
    (call,) = [
        node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call) and _name(node) == "BashOperator"
    ]
    given = {keyword.arg: keyword.value for keyword in call.keywords}

    words = shlex.split(ast.literal_eval(given["bash_command"]))

    assert understood(words[1:])["sources"] == ("export/members.csv",)
    assert ast.literal_eval(given["skip_on_exit_code"]) == [3]
    assert {*ast.literal_eval(given["env"])} == {"DFINERY_SERVICE_ID", "DFINERY_ACCESS_TOKEN"}


def test_all_pages_and_examples_name_the_same_statuses_for_another_try() -> None:
    (row,) = re.findall(r"^\| ([0-9, ]+) \| stopped: the same command resumes", PAGE, re.MULTILINE)
    others = re.findall(r"^\| ([0-9, ]+) \| (?!done|stopped)", PAGE, re.MULTILINE)
    statuses = (ROOT / "docs" / "exit-statuses.md").read_text(encoding="utf-8")
    (case,) = re.findall(r"^  ([0-9|]+)\) echo \"Run it again to resume", statuses, re.MULTILINE)
    dag = ast.parse((ROOT / "examples" / "airflow_dag.py").read_text(encoding="utf-8"))
    (run_again,) = [
        ast.literal_eval(node.value)
        for node in dag.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RUN_AGAIN"
    ]

    assert {*map(int, row.split(","))} == RESUMED
    assert {int(one) for listed in others for one in listed.split(",")} == STATUSES - RESUMED
    assert {*map(int, case.split("|"))} == RESUMED
    # A signal ends the program with its task.
    assert run_again == {status for status in RESUMED if status < 128}
    assert "only after 6, 7, 10\nand a signal" in statuses.lower()
    assert [name for name in ("podFailurePolicy", "RestartPrevent", "skip_on_exit_code") if name in statuses] == []


def test_the_line_of_cron_is_understood() -> None:
    (block,) = blocks("cron")
    (line,) = [line for line in block.splitlines() if "uploader" in line]

    words = shlex.split(line.partition("uploader ")[2])

    # In a crontab a % would end the command.
    assert "%" not in line
    assert understood(words)["until"].flag == "--until 05:00 Asia/Seoul"
    variables = {found[1]: found[2] for found in re.finditer(r"^([A-Z_]+)=(.+)$", block, re.MULTILINE)}
    assert {*variables} == {"MAILTO", "PATH", "DFINERY_SERVICE_ID"}
    folders = variables["PATH"].split(":")
    # Where `uv tool install` and `pipx install` put the command; cron replaces neither ~ nor $HOME.
    assert any(folder.endswith("/.local/bin") for folder in folders)
    assert all(folder.startswith("/") for folder in folders)


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""
