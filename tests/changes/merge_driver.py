"""Merge a digest store in a process of its own, or with a classic mistake: `merge_driver.py STORE MISTAKE`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from unittest.mock import patch

from uploader.changes import DigestStore, digest_columns, merge_digests
from uploader.changes.sorted_digests import unlink_others

_SMALL: Final = (
    patch.object(merge_digests, "FEWEST", 1),
    patch.object(digest_columns, "PEOPLE_OF_PART", 64),
)


def main(store: Path, mistake: str) -> None:
    """Open *store* and close it well, which merges it."""
    for one in _SMALL:
        one.start()
    if mistake == "switched-first":
        _switch_first()
    with DigestStore(store, facts={}):
        pass


def _switch_first() -> None:
    """Name the new file in SQLite before it has its name."""

    def write(path: Path, parts: Iterable[bytes]) -> None:
        path.with_suffix(".new").write_bytes(b"".join(parts))

    def rename_and_unlink(store: Path, number: int | None) -> None:
        for path in store.parent.glob("*.new"):
            path.rename(path.with_suffix(".arrows"))
        unlink_others(store, number)

    patch.object(merge_digests, "write_private", write).start()
    patch.object(merge_digests, "unlink_others", rename_and_unlink).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
