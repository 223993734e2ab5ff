"""Let a process do its work, and tell what it took: seconds, CPU and peak memory."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

# The kernel counts the memory of the process that starts another into that process's peak, so a small one starts it.
_STARTER: Final = """\
import os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - began
with open(sys.argv[1], "w") as file:
    cpu = usage.ru_utime + usage.ru_stime
    file.write(f"[{seconds}, {cpu}, {usage.ru_maxrss}, {os.waitstatus_to_exitcode(status)}]")
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took, start and end included: *seconds* of the clock, seconds of *cpu*, *megabytes* at most."""

    seconds: float
    cpu: float
    megabytes: float
    said: str = ""


def measure(command: Sequence[str], *, folder: Path, environ: Mapping[str, str] | None = None) -> Usage:
    """Run *command* in *folder* to its end, and return what it took and what it said on standard output.

    It may keep its compiled modules, as an installed program does.

    Raises:
        SystemExit: it failed; names the command and shows what it said on standard error.
    """
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.NamedTemporaryFile(prefix="usage-", suffix=".json") as usage:
        process = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _STARTER, usage.name, *command],
            cwd=folder,
            env={**own, "PYTHONPATH": str(ROOT), **(environ or {})},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        text = Path(usage.name).read_text(encoding="ascii")
    if process.returncode != 0 or not text:
        sys.exit(f"{_short(command)} can't be started: {process.stderr.strip()[-600:]}")
    seconds, cpu, kilobytes, status = json.loads(text)
    if status != 0:
        sys.exit(f"{_short(command)} ended with {status}: {process.stderr.strip()[-600:]}")
    return Usage(seconds, cpu, kilobytes / 1024, process.stdout)


def _short(command: Sequence[str]) -> str:
    return " ".join([Path(command[0]).name, *command[1:4]])
