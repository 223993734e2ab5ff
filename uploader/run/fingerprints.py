"""Identify sources, services and mappings by short digests."""

import hashlib
from pathlib import Path

from uploader.config import Settings
from uploader.config.service_url import one_spelling
from uploader.source import Source


def key_of(settings: Settings, source: Source) -> str:
    """Return the key of a run of *source*: a digest of base_url, service_id, and the real path or the content."""
    if source.path is not None:
        return key_of_path(settings, source.path)
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, source.digest())


def key_of_path(settings: Settings, path: Path) -> str:
    """Return the key of a run of the file at *path*."""
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, str(path.resolve()))


def inode_of(settings: Settings, path: Path) -> str:
    """Return the key of the file at *path*, the same under all its names: hard links, and mounts in other places.

    Raises:
        OSError: it is not there any more.
    """
    found = path.stat()
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, f"inode {found.st_dev} {found.st_ino}")


def service_of(base_url: str, service_id: str) -> str:
    """Return the key of a service, however its URL is spelled."""
    return _digest(one_spelling(base_url), service_id)


def mapping_of(settings: Settings) -> str:
    """Return the key of the mapping: with the same key it makes the same of the same values."""
    return _digest(*_mapping_parts(settings))


def reading_of(settings: Settings) -> str:
    """Return the key of how a source is read and mapped: with the same key the same file gives the same requests."""
    wanted = settings.source
    merges = ["coalesce"] if settings.coalesce else []
    skips = [f"skip {wanted.skip_lines}"] if wanted.skip_lines else []
    return _digest(*_mapping_parts(settings), wanted.format, wanted.encoding, wanted.delimiter, *skips, *merges)


def _mapping_parts(settings: Settings) -> tuple[str, ...]:
    rules = settings.rules()
    return (repr(rules), rules.key_fingerprint) if rules.key_fingerprint else (repr(rules),)


def _digest(*parts: str) -> str:
    """Return a short digest of *parts*, in which file names may hold bytes that are no text."""
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=12).hexdigest()
