"""Merge a digest store in a process of its own, or with a classic mistake: `merge_driver.py STORE MISTAKE`."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final
from unittest.mock import patch

from uploader.changes import DigestStore, digest_columns, merge_digests
from uploader.changes.sorted_digests import unlink_others


def merge(store: Path) -> None:
    """Open *store* and close it well, which merges it, small as it is."""
    with (
        patch.object(merge_digests, "FEWEST", 1),
        patch.object(digest_columns, "PEOPLE_OF_PART", 64),
        DigestStore(store, facts={}),
    ):
        pass


@contextmanager
def switched_first() -> Iterator[None]:
    """Name the new file in SQLite before it has its name."""

    def write(path: Path, parts: Iterable[bytes]) -> None:
        path.with_suffix(".new").write_bytes(b"".join(parts))

    def rename_and_unlink(store: Path, number: int | None) -> None:
        for path in store.parent.glob("*.new"):
            path.rename(path.with_suffix(".arrows"))
        unlink_others(store, number)

    with (
        patch.object(merge_digests, "write_private", write),
        patch.object(merge_digests, "unlink_others", rename_and_unlink),
    ):
        yield


_MISTAKES: Final[Mapping[str, Callable[[], AbstractContextManager[None]]]] = {
    "none": nullcontext,
    "switched-first": switched_first,
}

if __name__ == "__main__":
    with _MISTAKES[sys.argv[2]]():
        merge(Path(sys.argv[1]))
