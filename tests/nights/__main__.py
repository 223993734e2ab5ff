"""Play scenarios by hand: `python -m tests.nights 0 300` plays 300 seeds from 0 on.

`--shrink` tells the shortest story of each violation. `--variant NAME` looks for seeds that end well without the broken
variant, and not with it.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.nights.driver import Stage, Violation, play
from tests.nights.fork_server import ForkServer
from tests.nights.scenario import Scenario, drawn
from tests.nights.service import serving
from tests.nights.shrink import shrunk
from tests.nights.variants import VARIANTS

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 — a folder of its own is made in it


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Lend what scenarios are played with, in *folder*."""
    with ForkServer() as forks, serving() as service:
        yield Stage(forks, service, folder)


def violation(scenario: Scenario, stage: Stage, variant: str = "") -> Violation | None:
    """Play *scenario*, and return the violation that it ends in."""
    try:
        play(scenario, stage, variant)
    except Violation as found:
        return found
    return None


def shortest(scenario: Scenario, stage: Stage, variant: str = "", *, tries: int = 400) -> tuple[Scenario, Violation]:
    """Return the shortest scenario found that ends in a violation as *scenario* does, and that violation."""
    last: list[tuple[Scenario, Violation]] = []

    def fails(shorter: Scenario) -> bool:
        found = violation(shorter, stage, variant)
        if found is not None:
            last.append((shorter, found))
        return found is not None

    if fails(scenario):
        shrunk(scenario, fails, tries=tries)
    return last[-1]


def told(scenario: Scenario, found: Violation) -> str:
    """Return what people read of a violation."""
    facts = (
        f"coalesce: {scenario.coalesce}, changed_only: {scenario.changed_only}, retry_last_failures: "
        f"{scenario.retry_last}, rate.concurrency: {scenario.workers}"
    )
    most = f", {scenario.most_rows} rows in a request at most" if scenario.most_rows else ""
    return "\n".join((f"seed {scenario.seed}: {found}", f"# {facts}{most}", *found.story))


def main() -> None:
    """Play the seeds that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.nights", description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--variant", default="", choices=["", *VARIANTS])
    asked = parser.parse_args()
    began, seconds, wrong = time.monotonic(), 0.0, 0
    folder = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as made, staged(Path(made)) as stage:
        began = time.monotonic()
        for seed in range(asked.first, asked.first + asked.count):
            scenario = drawn(seed)
            found = violation(scenario, stage, asked.variant)
            if found is None or (asked.variant and violation(scenario, stage) is not None):
                continue
            wrong += 1
            if asked.shrink:
                print(told(*shortest(scenario, stage, asked.variant)), flush=True)
            else:
                print(told(scenario, found) if asked.count == 1 else f"seed {seed}: {found}", flush=True)
        seconds = time.monotonic() - began
    print(f"{asked.count} scenarios, {wrong} with a violation, {seconds / asked.count:.2f} s each")


if __name__ == "__main__":
    main()
