"""Identify sources, services and mappings by short digests."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from uploader.config import Settings
from uploader.config.service_url import one_spelling
from uploader.mapping.rules import CleaningRules, IdentityRule, MappingRules, MomentRule, PropertyRule
from uploader.source import Source


def key_of(settings: Settings, source: Source) -> str:
    """Return the key of a run of *source*: a digest of base_url, service_id, and the real path or the content."""
    if source.path is not None:
        return key_of_path(settings, source.path)
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, source.digest())


def key_of_path(settings: Settings, path: Path) -> str:
    """Return the key of a run of the file at *path*."""
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, str(path.resolve()))


def key_of_job(settings: Settings, job: str) -> str:
    """Return the key of the runs of the *job* of this name, whatever their files are called."""
    return _digest(one_spelling(settings.api.base_url), settings.api.service_id, "job", job)


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


def _mapping_parts(settings: Settings) -> list[str]:
    """Return the mapping in words: as version 0.1.0 spelled it, and then what it could not say yet.

    So a mapping in which no later key is used has the same key for ever, and an upgrade sends nobody again.
    """
    rules = settings.rules()
    return [_spelled(rules), *_later_keys(rules)]


def _spelled(rules: MappingRules) -> str:
    properties = ", ".join(map(_spelled_property, rules.properties)) + ("," if len(rules.properties) == 1 else "")
    moment = "None" if rules.request_datetime is None else _spelled_moment(rules.request_datetime)
    return (
        f"MappingRules(identity={dict(rules.identity_columns)!r}, properties=({properties}), "
        f"null_values={rules.null_values!r}, when_empty={rules.when_empty!r}, other_columns={rules.other_columns!r}, "
        f"request_datetime={moment})"
    )


def _spelled_property(rule: PropertyRule) -> str:
    return (
        f"PropertyRule(key={rule.key!r}, column={rule.column!r}, value={rule.value!r}, kind={rule.kind!r}, "
        f"format={_first(rule.formats)!r}, timezone={rule.timezone!r}, separator={rule.separator!r}, "
        f"true={rule.true!r}, false={rule.false!r}, when_empty={rule.when_empty!r}, trim={rule.cleaning.trim!r}, "
        f"thousands={rule.cleaning.thousands!r})"
    )


def _spelled_moment(rule: MomentRule) -> str:
    return f"MomentRule(column={rule.column!r}, format={_first(rule.formats)!r}, timezone={rule.timezone!r})"


def _first(formats: tuple[str, ...]) -> str | None:
    return formats[0] if formats else None


def _later_keys(rules: MappingRules) -> Iterator[str]:
    """Yield what of *rules* no key of version 0.1.0 can say."""
    for identity in rules.identity:
        if identity != IdentityRule(identity.field, identity.column):
            yield repr(identity)
    for rule in rules.properties:
        cleaning = CleaningRules(trim=rule.cleaning.trim, thousands=rule.cleaning.thousands)
        spoken = replace(
            rule, formats=rule.formats[:1], pivot=None, cleaning=cleaning, null_values=(), on_error="reject"
        )
        if rule != spoken:
            yield repr(rule)
    moment = rules.request_datetime
    if moment is not None and (len(moment.formats) > 1 or moment.pivot is not None):
        yield repr(moment)
    if rules.sends_odd_identities:
        yield "sends_odd_identities"
    if rules.key_fingerprint:
        yield rules.key_fingerprint


def _digest(*parts: str) -> str:
    """Return a short digest of *parts*, in which file names may hold bytes that are no text."""
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=12).hexdigest()
