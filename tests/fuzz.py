"""Search for what no test has met yet, for a bounded time: `make fuzz` (minutes: FUZZ=5, one round again: SEED=7).

Each round runs all tests that search, with a random seed of its own. What is found becomes an `@example` of its test.
"""

import os
import secrets
import subprocess
import sys
import time
from typing import Final

_MINUTES: Final = 20.0
_LARGEST_SEED: Final = 2**31
_NOTHING_FOUND: Final = 0


def main() -> int:
    """Search until the time is over, and return how many rounds found something (at most 1)."""
    ends = time.monotonic() + 60 * float(os.environ.get("FUZZ") or _MINUTES)
    wanted, words = os.environ.get("SEED"), sys.argv[1:]
    found, rounds = list[int](), 0
    while time.monotonic() < ends and not (wanted and rounds):
        seed = int(wanted) if wanted else secrets.randbelow(_LARGEST_SEED)
        rounds += 1
        print(f"fuzz: round {rounds}, seed {seed}", flush=True)
        if _fails(seed, words, None if wanted else ends - time.monotonic()):
            found.append(seed)
            print(f"fuzz: to repeat it, type: make fuzz SEED={seed}", flush=True)
    again = "".join(f"\n  make fuzz SEED={seed}" for seed in found)
    print(f"fuzz: {rounds} rounds, {len(found)} of them found something.{again}")
    return min(len(found), 1)


def _fails(seed: int, words: list[str], seconds: float | None) -> bool:
    """Whether a round with *seed* finds something; one that the end of the time breaks off has found nothing."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=short"),
        *("-n", "auto", "-m", "hypothesis or seeded"),
        *("--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", *words),
    ]
    with subprocess.Popen(command, env={**os.environ, "FUZZ_SEED": str(seed)}) as round_:
        try:
            return round_.wait(seconds) != _NOTHING_FOUND
        except subprocess.TimeoutExpired:
            round_.terminate()
            return False


if __name__ == "__main__":
    sys.exit(main())
