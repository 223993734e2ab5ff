"""Compare a reading of a file with an earlier one, block by block."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Version: TypeAlias = tuple[int, int, int]
"""A file's size, modification time (ns) and inode: a cheap sign that it changed."""


def version_of(found: os.stat_result) -> Version:
    """Return the version in the file status *found*."""
    return found.st_size, found.st_mtime_ns, found.st_ino


@dataclass(slots=True)
class ReadTrace:
    """What one reading saw of a file: its *version*, and digests of the bytes and rows read so far.

    *blocks* has one digest for each block read, over all bytes up to the block's last; *size* is how many bytes those
    are. *rows* has such digests of the rows, where a library reads the file itself. *is_whole* is whether the reading
    reached the file's end.
    """

    version: Version
    size: int = 0
    blocks: list[bytes] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    is_whole: bool = False


def agrees(steps: list[bytes], like: list[bytes]) -> bool:
    """Return whether the last of *steps* equals the digest at the same position in *like*."""
    return len(steps) <= len(like) and steps[-1] == like[len(steps) - 1]


def is_changed(path: Path, handle: int, version: Version) -> bool:
    """Return whether the file at *path*, or the one that *handle* has open, no longer has this *version*."""
    try:
        return version_of(os.fstat(handle)) != version or version_of(path.stat()) != version
    except OSError:
        return True
