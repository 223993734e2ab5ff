"""Run the command in processes that are forked from one that has loaded everything: a start takes milliseconds.

A process that is killed is really killed: nothing is cleared up that a kill would not have cleared up.

Each line of standard input is a `Job`; two lines of standard output answer it: the process's number, and its end.
"""

import gc
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import yaml

_ROOT: Final = Path(__file__).parents[2]
_COUNTED: Final = ("write", "pwrite", "fsync", "fdatasync", "ftruncate")


@dataclass(frozen=True, slots=True)
class Job:
    """A command: its words, where it is typed, how far ahead the clock is, and where it is to be killed.

    It is killed before its *writes*-th write or sync of a file, or before its *renames*-th renaming (0: not).
    *most_rows* is as in `Scenario`, *variant* one of `variants.py` ("": the program as it is). What it says goes to
    the file *said*.
    """

    words: Sequence[str]
    folder: str
    said: str
    environ: dict[str, str]
    clock: int = 0
    writes: int = 0
    renames: int = 0
    most_rows: int = 0
    variant: str = ""


class ForkServer:
    """The other end, in the process of the tests; a context manager."""

    def __enter__(self) -> Self:
        """Start it, and wait until it has loaded everything."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nights.fork_server"],
            cwd=_ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, job: Job, begun: Callable[[int], None]) -> int:
        """Run *job* to its end; *begun* is told its number. Return its status (negative: the signal's number)."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        begun(int(self._line()))
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def main() -> None:
    """Answer one job after another."""
    _load()
    gc.collect()
    gc.freeze()
    _answer("ready")
    for line in sys.stdin:
        job = Job(**json.loads(line))
        # The child gets what is read here.
        yaml.compose(Path(job.folder, "config.yaml").read_text(), Loader=yaml.BaseLoader)
        number = os.fork()
        if not number:
            _become(job)
        _answer(str(number))
        _, status = os.waitpid(number, 0)
        _answer(str(os.waitstatus_to_exitcode(status)))


def _answer(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _load() -> None:
    """Load the program, and let a configuration be read once only: that would be a third of a short command's time."""
    import uploader  # noqa: PLC0415 — only this process is to load all of it

    yaml.compose = cache(yaml.compose)  # type: ignore[assignment]  # as it was, but for the time
    for module in pkgutil.walk_packages(uploader.__path__, f"{uploader.__name__}."):
        # Polars has threads, and they do not come along into a fork.
        if "parquet" not in module.name and not module.name.endswith("__main__"):
            import_module(module.name)


def _become(job: Job) -> NoReturn:
    """Be the command, and end as it ends."""
    status = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        said = os.open(job.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for place, handle in enumerate((nothing, said, said)):
            os.dup2(handle, place)
        os.chdir(job.folder)
        os.environ.update(job.environ)
        sys.argv = ["uploader", *job.words]
        _shift_clock(job.clock)
        _count_writes(job.writes)
        _count_renames(job.renames)
        _limit_rows(job.most_rows)
        if job.variant:
            import_module("tests.nights.variants").VARIANTS[job.variant]()
        import_module("uploader.cli").main()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    except BaseException:  # noqa: BLE001 — it must not go on as the server
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _shift_clock(seconds: int) -> None:
    """Put the clock on the wall forward, for all that the program asks."""
    if not seconds:
        return
    wall, wall_ns, shift = time.time, time.time_ns, timedelta(seconds=seconds)

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + shift

    time.time = lambda: wall() + seconds
    time.time_ns = lambda: wall_ns() + seconds * 1_000_000_000
    for name, module in sys.modules.copy().items():
        if name.startswith("uploader.") and getattr(module, "datetime", None) is datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]  # as above


def _count_writes(nth: int) -> None:
    """Kill this process before its *nth* write or sync; a sync that no power cut follows need not be waited for."""
    left = [nth]

    def counted(call: Callable[..., Any], *, waits: bool) -> Callable[..., Any]:
        def count(*words: Any) -> Any:  # noqa: ANN401 — as the call has it
            # What people are told is no file of the run.
            if nth and words[0] not in {1, 2}:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
            return None if waits else call(*words)

        return count

    for name in _COUNTED:
        setattr(os, name, counted(getattr(os, name), waits=name.endswith("sync")))


def _count_renames(nth: int) -> None:
    """Kill this process before its *nth* renaming."""
    if not nth:
        return
    left = [nth]

    def hear(event: str, _: object) -> None:
        if event == "os.rename":
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


def _limit_rows(most: int) -> None:
    """Make one request of *most* rows at most, so that few rows do what a thousand do."""
    if most:
        from uploader.coalesce.merge_rows import MergeStage  # noqa: PLC0415 — as above

        defaults = MergeStage.__init__.__kwdefaults__
        assert defaults is not None
        assert "most_rows" in defaults
        defaults["most_rows"] = most


if __name__ == "__main__":
    main()
