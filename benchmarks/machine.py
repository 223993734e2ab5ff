"""Say when and on what was measured: the date, the machine without its name, the versions."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.measuring import ROOT


def measured(packages: Sequence[str]) -> dict[str, str]:
    """Return what belongs beside every figure; *packages* are the libraries whose versions matter for it."""
    facts = {
        "on": datetime.now(UTC).strftime("%Y-%m-%d"),
        "at commit": _commit(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()} GB",
        "system": _system(),
        "Python": platform.python_version(),
    }
    for package in packages:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def _processor() -> str:
    return _line_of("/proc/cpuinfo", "model name", ":") or platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _system() -> str:
    return _line_of("/etc/os-release", "PRETTY_NAME", "=").strip('"') or platform.system()


def _commit() -> str:
    """Return the commit that was measured, with a plus where files differ from it."""
    output = subprocess.run(
        ["git", "describe", "--always", "--exclude=*", "--dirty=+"],  # noqa: S607 — whichever git the user has
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return output.stdout.strip() or "unknown"


def _line_of(file: str, name: str, mark: str) -> str:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(mark)[2].strip() for line in lines if line.startswith(name)), "")
