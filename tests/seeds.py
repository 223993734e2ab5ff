"""Draw cases by numbered seeds: the same ones in every run, others in each round of `make fuzz`."""

import os
from typing import Final

FIRST: Final = int(os.environ.get("FUZZ_SEED", "0"))
"""Where the seeds begin: 0, but for `make fuzz`."""


def seeds(count: int) -> range:
    """Return *count* seeds; a test that takes them is marked `seeded`, so that `make fuzz` finds it."""
    return range(FIRST, FIRST + count)
