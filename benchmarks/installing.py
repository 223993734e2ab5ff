"""Install the programs that the benchmarks need, from Debian's packages, when they are missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.nginx import program

_PACKAGES: Final = {"nginx": "nginx", "wrk": "wrk", "hey": "hey", "curl": "curl", "node": "nodejs", "npm": "npm"}


def install_missing(programs: Sequence[str]) -> None:
    """Install those of *programs* that are missing; what can't be had is reported by what needs it.

    Raises:
        SystemExit: there is no nginx, and none could be installed; nothing can be measured.
    """
    missing = [name for name in programs if not _is_here(name)]
    if missing and shutil.which("apt-get"):
        print(f"Installing {', '.join(missing)} …", file=sys.stderr)
        _apt("update", "-qq")
        for name in missing:
            _apt("install", "-y", "-qq", "--no-install-recommends", _PACKAGES[name])
        if "nginx" in missing:
            # The package starts a server of its own, on a port that is not ours to take.
            _quietly("service", "nginx", "stop")
    if not _is_here("nginx"):
        sys.exit("nginx is needed by the benchmarks, and could not be installed; install it, then run make again.")


def _is_here(name: str) -> bool:
    return (program() if name == "nginx" else shutil.which(name)) is not None


def _apt(*words: str) -> None:
    _quietly("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *words)


def _quietly(*words: str) -> None:
    leader = () if os.getuid() == 0 else ("sudo",)
    if not leader or shutil.which("sudo"):
        subprocess.run([*leader, *words], capture_output=True, check=False)
