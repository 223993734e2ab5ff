"""Hold a reading of a file against an earlier one, part by part."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Version: TypeAlias = tuple[int, int, int]
"""A file's size, time of change (ns) and inode: what tells cheaply that it is another one by now."""


def version_of(found: os.stat_result) -> Version:
    """Return the version that *found* tells."""
    return found.st_size, found.st_mtime_ns, found.st_ino


@dataclass(slots=True)
class ReadTrace:
    """What one reading saw of a file: its *version*, its bytes and its rows, as far as it came.

    *blocks* has a digest for each block that was read, over all bytes from the first to the block's last; *size* is how
    many bytes those are. *rows* has such digests for what a library read by itself. *is_whole* is whether the reading
    came to the file's end.
    """

    version: Version
    size: int = 0
    blocks: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    is_whole: bool = False


def agrees(steps: list[bytes], like: list[bytes]) -> bool:
    """Return whether the last of *steps* is what stands at its place in *like*."""
    return len(steps) <= len(like) and steps[-1] == like[len(steps) - 1]


def is_changed(path: Path, handle: int, version: Version) -> bool:
    """Return whether the file at *path*, or the one that *handle* has open, is not of this *version* any more."""
    try:
        return version_of(os.fstat(handle)) != version or version_of(path.stat()) != version
    except OSError:
        return True
