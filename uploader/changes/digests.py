"""Make keyed digests of people and bodies, which reveal nothing without the key."""

import os
import secrets
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Final

from uploader.changes.newer_properties import NAME_BYTES
from uploader.endpoints import USER_PROFILE, Endpoint
from uploader.errors import StorageError
from uploader.model import Person, Request, values_of
from uploader.private_files import open_private, write_private

_KEY_BYTES: Final = 32
_PERSON_BYTES: Final = 8
BODY_BYTES: Final = 12
_MAPPING_BYTES: Final = 16


def private_key(path: Path) -> bytes:
    """Return the key in the file *path*, created with mode 0600 if missing; raises StorageError."""
    try:
        key = _read(path)
        if key is None:
            write_private(path, [secrets.token_bytes(_KEY_BYTES)], is_first=True)
            key = _read(path)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}. Allow access there, then run again to resume.") from None
    if key is None or len(key) != _KEY_BYTES:
        raise StorageError(
            f"{path} is not a valid key. Run `uploader changes --forget`; the next run sends everything."
        )
    return key


def _read(path: Path) -> bytes | None:
    if not os.path.lexists(path):
        return None
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        return file.read(_KEY_BYTES + 1)


class Digests:
    """Keyed digests (BLAKE2b, RFC 7693) of people and bodies; those of bodies depend on the *mapping* too."""

    def __init__(self, key: bytes, mapping: str, endpoint: Endpoint = USER_PROFILE) -> None:
        """Use *key*; *mapping* is the fingerprint of the mapping, *endpoint* knows what a body means."""
        self._meaning = endpoint.meaning
        self._people = blake2b(key=key, digest_size=_PERSON_BYTES, person=b"person")
        meaning = blake2b(mapping.encode(), digest_size=_MAPPING_BYTES).digest()
        self._names = blake2b(key=key, digest_size=NAME_BYTES, person=b"property")
        self._bodies = blake2b(key=key, digest_size=BODY_BYTES, person=meaning)

    def people(self, person: Person) -> list[int]:
        """Return a number of 64 bits for each identity value of *person*."""
        found = []
        for value in values_of(person):
            digest = self._people.copy()
            digest.update(value.encode("utf-8", "surrogatepass"))
            found.append(int.from_bytes(digest.digest(), "big", signed=True))
        return found

    def people_of(self, values: Iterable[bytes | None]) -> list[bytes | None]:
        """Return for each of *values*, identity values as a `Person` has them, the big-endian bytes of its number."""
        return _digests(self._people, values)

    def name(self, name: str) -> bytes:
        """Return the digest of the name of one property."""
        digest = self._names.copy()
        digest.update(name.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def names(self, names: Iterable[str]) -> bytes:
        """Return the digests of the names of several properties, sorted and joined."""
        return b"".join(sorted(map(self.name, names)))

    def body(self, request: Request) -> bytes:
        """Return the digest of the body of *request* without its time."""
        return self.begin_of_body(request.body)

    def begin_of_body(self, body: bytes) -> bytes:
        """Return the same digest for a *body* that may end after the key of its time."""
        digest = self._bodies.copy()
        digest.update(self._meaning(body))
        return digest.digest()

    def bodies_of(self, bodies: Iterable[bytes | None]) -> list[bytes | None]:
        """Return what `begin_of_body` returns of each of *bodies*."""
        return _digests(self._bodies, (None if body is None else self._meaning(body) for body in bodies))


def _digests(keyed: blake2b, values: Iterable[bytes | None]) -> list[bytes | None]:
    """Return the digest of each of *values* that is not None, by a copy of *keyed*."""
    found, begin = list[bytes | None](), keyed.copy
    for value in values:
        if value is None:
            found.append(None)
            continue
        digest = begin()
        digest.update(value)
        found.append(digest.digest())
    return found
