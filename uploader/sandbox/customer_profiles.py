"""Store the profiles: one for each person, however many identity values the person has."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import orjson

from uploader.model import Json
from uploader.sandbox.request_body import PROPERTY_BYTES


@dataclass(frozen=True, slots=True)
class Profile:
    """One person as the service knows it: the newest value of each identity field, and the properties that are set."""

    identity: Mapping[str, str]
    properties: Mapping[str, Json]


SCHEMA = """
CREATE TABLE IF NOT EXISTS profiles (id INTEGER PRIMARY KEY, properties TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS identities (
    field TEXT NOT NULL, value TEXT NOT NULL, profile INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (field, value)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS identities_of_profile ON identities (profile);
"""


class Profiles:
    """The profiles in *database*; every value carries the number of the request that set it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Use *database*, which has the tables of SCHEMA."""
        self._run = database.execute

    def update(self, identity: Mapping[str, str], values: Mapping[str, Json], seq: int) -> bool:
        """Set *values* for the person whom *identity* names; null clears a property.

        Profiles that share a value of *identity* are merged, and the newest values win. Returns False, and changes
        nothing, where the person's properties would exceed PROPERTY_BYTES.
        """
        known = self._known(identity)
        # A cleared value stays as a null, so that it beats an older value when profiles merge.
        properties = self._properties(known) | {name: (seq, value) for name, value in values.items()}
        if len(orjson.dumps(_live(properties))) > PROPERTY_BYTES:
            return False
        self._keep(known, orjson.dumps(properties).decode(), identity, seq)
        return True

    def all(self) -> list[Profile]:
        """Return every profile, in the order of their first requests."""
        names: dict[int, dict[str, str]] = {}
        for profile, field, value in self._run("SELECT profile, field, value FROM identities ORDER BY seq"):
            names.setdefault(profile, {})[field] = value
        return [
            Profile(names[number], _live(orjson.loads(properties)))
            for number, properties in self._run("SELECT id, properties FROM profiles ORDER BY id")
        ]

    def _known(self, identity: Mapping[str, str]) -> list[int]:
        found = set[int]()
        for name in identity.items():
            found.update(chain.from_iterable(self._run(_FIND, name)))
        return sorted(found)

    def _properties(self, known: list[int]) -> dict[str, tuple[int, Json]]:
        merged: dict[str, tuple[int, Json]] = {}
        for number in known:
            for (text,) in self._run("SELECT properties FROM profiles WHERE id = ?", (number,)):
                for name, (seq, value) in orjson.loads(text).items():
                    if name not in merged or seq > merged[name][0]:
                        merged[name] = (seq, value)
        return merged

    def _keep(self, known: list[int], properties: str, identity: Mapping[str, str], seq: int) -> None:
        if known:
            kept, *others = known
            self._run("UPDATE profiles SET properties = ? WHERE id = ?", (properties, kept))
        else:
            cursor = self._run("INSERT INTO profiles (properties) VALUES (?)", (properties,))
            kept, others = cursor.lastrowid or 0, []
        for other in others:
            self._run("UPDATE identities SET profile = ? WHERE profile = ?", (kept, other))
            self._run("DELETE FROM profiles WHERE id = ?", (other,))
        for field, value in identity.items():
            self._run("INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?)", (field, value, kept, seq))


_FIND = "SELECT profile FROM identities WHERE field = ? AND value = ?"


def _live(properties: Mapping[str, tuple[int, Json]]) -> dict[str, Json]:
    return {name: value for name, (_, value) in properties.items() if value is not None}
