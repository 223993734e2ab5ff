"""Break a process off, or deny it the disk, at a chosen one of its calls on chosen files."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from tests.crash.driver import PROCESS
from tests.crash.yard import Life, Yard

WRITES: Final = ("write", "pwrite64", "fdatasync", "fsync")
CALLS: Final = (*WRITES, "ftruncate", "rename", "renameat", "renameat2", "unlink", "unlinkat")

_PATIENCE: Final = 60.0
_DRIVER: Final = str(Path(__file__).with_name("driver.py"))
_CALL: Final = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)

Call: TypeAlias = tuple[str, int]
"""A call by its name, and the how manieth of this name it is in its thread."""


@dataclass(frozen=True, slots=True)
class Tracer:
    """Traces the calls of a foretold run on its state, its retry file and its summary."""

    paths: Sequence[Path]

    def live(self, yard: Yard, inject: str | None = None, *, log: Path | None = None) -> Life:
        """Run the command to its end with *inject*; its calls are written to *log*."""
        began = time.monotonic()
        with yard.started(foretold(yard), stdin=subprocess.PIPE) as process, self._attached(process.pid, inject, log):
            said, _ = process.communicate("go\n", timeout=_PATIENCE)
        return Life(process.returncode, said, time.monotonic() - began)

    @contextmanager
    def _attached(self, number: int, inject: str | None, log: Path | None) -> Iterator[None]:
        calls = ",".join(f"?{name}" for name in CALLS)
        words = ["strace", "-f", "-p", str(number), "-o", str(log or "/dev/null"), "-e", f"trace={calls}"]
        words += [word for path in self.paths for word in ("-P", str(path))]
        words += ["-e", f"inject={inject}"] if inject is not None else []
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
            try:
                _until_traced(number, tracer)
                yield
                tracer.communicate(timeout=_PATIENCE)
            finally:
                if tracer.poll() is None:
                    tracer.kill()


def foretold(yard: Yard) -> list[str]:
    """Return the command whose run has a name that is known beforehand; it waits for a line of standard input."""
    return yard.command(through=(_DRIVER, "foretold"))


def paths_of(yard: Yard) -> list[Path]:
    """Return every file that a foretold run writes, told from one that has come to its end."""
    (journal,) = yard.state.glob("runs/*.journal")
    (lock,) = yard.state.glob("locks/*.lock")
    beside = [
        file.with_name(f".{file.name}.{PROCESS}.{word}")
        for file in (yard.retry_file, yard.summary_file)
        for word in ("try", "new")
    ]
    state = [journal, journal.with_suffix(".flight"), journal.with_suffix(".new"), journal.parent, lock]
    return [*state, yard.retry_file, yard.summary_file, *beside]


def calls_in(log: Path) -> list[Call]:
    """Return the calls that *log* tells of, each once, in their order."""
    found: dict[Call, None] = {}
    met: Counter[tuple[str, str]] = Counter()
    for thread, name in _CALL.findall(log.read_text()):
        met[thread, name] += 1
        found[name, met[thread, name]] = None
    return list(found)


def _until_traced(number: int, tracer: "subprocess.Popen[str]") -> None:
    """Wait for another process; there is no clock to turn there."""
    patience = time.monotonic() + _PATIENCE
    while tracer.poll() is None and "TracerPid:\t0\n" in Path(f"/proc/{number}/status").read_text():
        assert time.monotonic() < patience, "it never came"
        time.sleep(0.001)
    assert tracer.poll() is None, tracer.communicate()[1]
