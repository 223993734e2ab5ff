"""Identify sources, services and mappings by short digests."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from uploader.config import Settings
from uploader.config.service_url import one_spelling
from uploader.endpoints import USER_PROFILE
from uploader.mapping.rules import CleaningRules, IdentityRule, MappingRules, MomentRule, PropertyRule
from uploader.source import Source
from uploader.state import RunHeader


def key_of(settings: Settings, source: Source) -> str:
    """Return the key of a run of *source*: a digest of the service's endpoint, and of the real path or the content."""
    if source.path is not None:
        return key_of_path(settings, source.path)
    return _digest(*_service(settings), source.digest())


def key_of_path(settings: Settings, path: Path) -> str:
    """Return the key of a run of the file at *path*."""
    return _digest(*_service(settings), str(path.resolve()))


def key_of_retry_file(header: RunHeader, path: Path) -> str:
    """Return the key of a run that sends the retry file at *path*, of the run of *header*, to the same service."""
    to = header.destination
    return _digest(*_parts_of(to.base_url, to.service_id, to.endpoint), str(path.resolve()))


def key_of_job(settings: Settings, job: str) -> str:
    """Return the key of the runs of the *job* of this name at the endpoint, whatever their files are called."""
    return _digest(*_service(settings), "job", job)


def inode_of(settings: Settings, path: Path) -> str:
    """Return the key of the file at *path*, the same under all its names: hard links, and mounts in other places.

    Raises:
        OSError: it is not there any more.
    """
    found = path.stat()
    return _digest(*_service(settings), f"inode {found.st_dev} {found.st_ino}")


def service_of(base_url: str, service_id: str, endpoint: str = USER_PROFILE.name) -> str:
    """Return the key of one *endpoint* of a service, however its URL is spelled."""
    return _digest(*_parts_of(base_url, service_id, endpoint))


def service_of_settings(settings: Settings) -> str:
    """Return the key of the endpoint of the service that *settings* name."""
    return _digest(*_service(settings))


def service_of_run(header: RunHeader) -> str:
    """Return the key of the endpoint of the service that the run of *header* sends to."""
    return service_of(header.destination.base_url, header.destination.service_id, header.destination.endpoint)


def _service(settings: Settings) -> list[str]:
    api = settings.api
    return _parts_of(api.base_url, api.service_id, api.endpoint)


def _parts_of(base_url: str, service_id: str, endpoint: str) -> list[str]:
    """Return what identifies an endpoint of a service; that of profiles was the only one once, and needs no name."""
    return [one_spelling(base_url), service_id, *([] if endpoint == USER_PROFILE.name else [endpoint])]


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
    rules, endpoint = settings.rules(), settings.api.endpoint
    return [_spelled(rules), *_later_keys(rules), *([] if endpoint == USER_PROFILE.name else [endpoint])]


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
        f"format={_first(rule.times.formats)!r}, timezone={rule.times.timezone!r}, separator={rule.separator!r}, "
        f"true={rule.true!r}, false={rule.false!r}, when_empty={rule.when_empty!r}, trim={rule.cleaning.trim!r}, "
        f"thousands={rule.cleaning.thousands!r})"
    )


def _spelled_with_later_keys(rule: PropertyRule) -> str:
    """Return *rule* with all its settings, as it was spelled when they were fields of one class."""
    times = rule.times
    return (
        f"PropertyRule(key={rule.key!r}, column={rule.column!r}, value={rule.value!r}, kind={rule.kind!r}, "
        f"formats={times.formats!r}, pivot={times.pivot!r}, timezone={times.timezone!r}, "
        f"separator={rule.separator!r}, true={rule.true!r}, false={rule.false!r}, when_empty={rule.when_empty!r}, "
        f"cleaning={rule.cleaning!r}, null_values={rule.null_values!r}, on_error={rule.on_error!r})"
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
        times = replace(rule.times, formats=rule.times.formats[:1], pivot=None)
        spoken = replace(rule, times=times, cleaning=cleaning, null_values=(), on_error="reject")
        if rule != spoken:
            yield _spelled_with_later_keys(rule)
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
