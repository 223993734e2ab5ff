"""Say what sources, services and mappings are known by: short digests."""

import hashlib
from pathlib import Path

from uploader.config import Settings
from uploader.config.service_url import one_spelling
from uploader.source import Source


def key_of(settings: Settings, source: Source) -> str:
    """Return what a run of *source* is known by (contract): base_url, service_id, and the real path or the content."""
    if source.path is not None:
        return key_of_path(settings, source.path)
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, source.digest())


def key_of_path(settings: Settings, path: Path) -> str:
    """Return what a run of the file at *path* is known by."""
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, str(path.resolve()))


def inode_of(settings: Settings, path: Path) -> str:
    """Return what the file at *path* is known by under any of its names: hard links, and mounts in other places.

    Raises:
        OSError: it is not there any more.
    """
    found = path.stat()
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, f"inode {found.st_dev} {found.st_ino}")


def service_of(base_url: str, service_id: str) -> str:
    """Return what a service is known by, however its URL is spelled."""
    return _digest(one_spelling(base_url), service_id)


def mapping_of(settings: Settings) -> str:
    """Return what the mapping is known by: what it makes of the same values is the same."""
    return _digest(repr(settings.rules()))


def reading_of(settings: Settings) -> str:
    """Return what the way is known by in which a source is read and mapped: it makes the same of the same file."""
    wanted = settings.source
    merges = ["coalesce"] if settings.coalesce else []
    skips = [f"skip {wanted.skip_lines}"] if wanted.skip_lines else []
    return _digest(repr(settings.rules()), wanted.format, wanted.encoding, wanted.delimiter, *skips, *merges)


def _digest(*parts: str) -> str:
    """Return a short digest of *parts*, in which names of files may hold bytes that are no text."""
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=12).hexdigest()
