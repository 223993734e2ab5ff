"""Store every request and every profile in SQLite."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from uploader.errors import StorageError
from uploader.model import Json
from uploader.sandbox import customer_profiles
from uploader.sandbox.calls import USER_PROFILE
from uploader.sandbox.customer_profiles import Profile, Profiles
from uploader.sandbox.report import Report, WindowCount, reply_name


@dataclass(frozen=True, slots=True)
class RequestWindow:
    """The window that counted a request: its *number* and *start*; and whether the request was *over* the limit."""

    number: int
    start: float
    over: bool


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request and its reply: the order and the time of its arrival, the window that counted it, its result.

    *arrived* is seconds since 1970, *monotonic* the same moment on the monotonic clock. *status* 0 is no reply.
    *applied* is whether the profile was changed, *fault* the fault that happened ("": none), *call* what it was for.

    It has no states.
    """

    seq: int
    arrived: float
    monotonic: float
    window: RequestWindow
    status: int = 0
    code: str = ""
    identity: Mapping[str, Json] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    applied: bool = False
    fault: str = ""
    token_ok: bool = False
    call: str = USER_PROFILE.name


@dataclass(frozen=True, slots=True)
class Stray:
    """A request to another path or with another method; *token* is whether it carried one."""

    method: str
    path: str
    token: bool


_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, arrived REAL, monotonic REAL, window INTEGER, window_start REAL, over INTEGER,
    status INTEGER, code TEXT, identity TEXT, body BLOB, applied INTEGER, fault TEXT, token_ok INTEGER,
    call TEXT
);
CREATE TABLE IF NOT EXISTS strays (method TEXT, path TEXT, token INTEGER);
CREATE TABLE IF NOT EXISTS not_stored (what TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
"""
_INSERT = "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_BATCH = 1000


class SandboxStore:
    """The requests and profiles of a sandbox, in a file or (*path* None) in memory.

    Writes are committed in batches: call `flush` to make them visible to other readers. Use one thread at a time.
    """

    def __init__(self, path: Path | None) -> None:
        """Open or create the store; raises StorageError where that fails."""
        try:
            if path is not None:
                path.touch(mode=0o600)
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(_unusable(path)) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise StorageError(_unusable(path)) from error
        self._pending = 0
        self._profiles = Profiles(self._database)

    def last_seq(self) -> int:
        """Return the number of the newest request; 0 where there is none."""
        return self._count("SELECT COALESCE(MAX(seq), 0) FROM requests")

    def apply(self, identity: Mapping[str, str], values: Mapping[str, Json], seq: int) -> bool:
        """Update a profile as `Profiles.update` does."""
        self._writing()
        return self._profiles.update(identity, values, seq)

    def add_request(self, record: RequestRecord) -> None:
        """Add one request."""
        self._writing()
        self._database.execute(
            _INSERT,
            (
                record.seq,
                record.arrived,
                record.monotonic,
                record.window.number,
                record.window.start,
                record.window.over,
                record.status,
                record.code,
                orjson.dumps(_spoken(record.identity)).decode(),
                record.body,
                record.applied,
                record.fault,
                record.token_ok,
                record.call,
            ),
        )

    def add_stray(self, stray: Stray) -> None:
        """Add one stray request."""
        self._writing()
        self._database.execute("INSERT INTO strays VALUES (?, ?, ?)", (stray.method, stray.path, stray.token))

    def not_stored(self, what: str) -> None:
        """Count one value that was not stored, though the reply says it was."""
        self._writing()
        self._database.execute(
            "INSERT INTO not_stored VALUES (?, 1) ON CONFLICT (what) DO UPDATE SET times = times + 1", (what,)
        )

    def profiles(self) -> list[Profile]:
        """Return every profile."""
        return self._profiles.all()

    def requests(self) -> list[RequestRecord]:
        """Return every request, in the order of arrival."""
        return [_record(row) for row in self._database.execute("SELECT * FROM requests ORDER BY seq")]

    def strays(self) -> list[Stray]:
        """Return every stray request."""
        return [
            Stray(method, path, bool(token)) for method, path, token in self._database.execute("SELECT * FROM strays")
        ]

    def report(self) -> Report:
        """Return the counts of everything stored."""
        run = self._database.execute
        windows = tuple(
            WindowCount(*counts)
            for counts in run(
                "SELECT window_start, COUNT(*), SUM(applied), SUM(over), call FROM requests "
                "GROUP BY window_start, call ORDER BY window_start, call DESC"
            )
        )
        codes: dict[str, int] = {}
        for status, code, times in run("SELECT status, code, COUNT(*) FROM requests GROUP BY status, code"):
            name = reply_name(status, code)
            codes[name] = codes.get(name, 0) + times
        return Report(
            requests=sum(window.received for window in windows),
            applied=sum(window.accepted for window in windows),
            profiles=self._count("SELECT COUNT(*) FROM profiles"),
            windows=windows,
            over_limit=sum(window.over for window in windows),
            not_stored=dict(run("SELECT what, times FROM not_stored")),
            codes=codes,
            strays=self._count("SELECT COUNT(*) FROM strays"),
        )

    def flush(self) -> None:
        """Commit the pending writes."""
        if self._pending:
            self._database.execute("COMMIT")
            self._pending = 0

    def close(self) -> None:
        """Commit the pending writes and close; may be called twice."""
        self.flush()
        self._database.close()

    def _prepare(self) -> None:
        # Speed matters here; what a crash of the machine loses does not.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(_SCHEMA + customer_profiles.SCHEMA)
        columns = [name for _, name, *_ in self._database.execute("PRAGMA table_info(requests)")]
        if "call" not in columns:
            # A store that was made when there was one call.
            self._database.execute(f"ALTER TABLE requests ADD COLUMN call TEXT DEFAULT '{USER_PROFILE.name}'")

    def _count(self, query: str) -> int:
        count: int = self._database.execute(query).fetchone()[0]
        return count

    def _writing(self) -> None:
        if self._pending >= _BATCH:
            self.flush()
        if not self._pending:
            self._database.execute("BEGIN")
        self._pending += 1


def _record(row: tuple[Any, ...]) -> RequestRecord:
    seq, arrived, monotonic, window, start, over, status, code, identity, body, applied, fault, token_ok, call = row
    return RequestRecord(
        seq,
        arrived,
        monotonic,
        RequestWindow(window, start, bool(over)),
        status,
        code,
        orjson.loads(identity),
        body,
        applied=bool(applied),
        fault=fault,
        token_ok=bool(token_ok),
        call=call,
    )


def _spoken(identity: Mapping[str, Json]) -> dict[str, Json]:
    # orjson can't write an integer beyond 64 bits, which is no identity anyway: keep only the names of the fields.
    try:
        orjson.dumps(identity)
    except TypeError:
        return dict.fromkeys(identity)
    return dict(identity)


def _unusable(path: Path | None) -> str:
    return f"The sandbox can't keep its store in {path or 'memory'}; name a new file in a folder that can be written."
