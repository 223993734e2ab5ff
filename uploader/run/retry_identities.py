"""Hold the rows of a retry file against the identities that the run had which wrote it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

from uploader.changes import private_key
from uploader.config import Settings
from uploader.mapping import Plan
from uploader.model import Outcome, Reason, Record, Rejected, Row, record_of
from uploader.outputs.retry_format import origin_of
from uploader.source import Source
from uploader.state import RunStore, spell_retry_identity
from uploader.state.state_folder import IDENTITY_KEY

_ORIGIN_BYTES: Final = 6
_IDENTITY_BYTES: Final = 8
_NO_IDENTITY: Final = bytes(_IDENTITY_BYTES)
_CODE: Final = "identity_changed"


@dataclass(slots=True)
class RetryIdentities:
    """Keyed digests of the identities of one source's rows, as they are written there, and as they are sent.

    Where the mapping cleans no identity, only those as written are kept, as earlier versions did for all.
    *key* returns the secret of the state folder, which is made when it is first needed. *earlier* are the digests that
    earlier runs have noted, by that of a row's origin. *run* is the run of rows that name none.
    """

    plan: Plan
    key: Callable[[], bytes]
    earlier: Mapping[bytes, set[bytes]] = field(default_factory=dict)
    run: str = ""

    def refuse(self, row: Row) -> Reason | None:
        """Return why *row* is not sent: it names another person than it did. One that was rejected may have been fixed.

        What was refused for this stays refused in the next retry file, until its identity is as it was.
        """
        fields = row.fields
        may_be_fixed = fields.get("_kind") == "rejected" and fields.get("_code") != _CODE
        return None if may_be_fixed or not self.is_changed(row) else self._reason("expected them as they were")

    def warning(self, record: Record) -> Reason | None:
        """Return what to tell of a rejected row that was fixed, and names another person now; None if it does not."""
        return self._reason("it is sent as the other person") if self.is_changed(record) else None

    def is_changed(self, record: Record) -> bool:
        """Whether *record* had an identity when a run wrote it to a retry file, and has another one now."""
        if not isinstance(record, Row) or record.retry_of is None or not record.retry_of.run:
            return False
        known = self.earlier.get(self._origin(record), ())
        return bool(known) and _NO_IDENTITY not in known and not any(one in known for one in self._identities(record))

    def payloads(self, outcome: Outcome) -> list[bytes]:
        """Return the lines of the journal that keep the identity of the row of *outcome*, which must be sent again."""
        record = record_of(outcome)
        if not isinstance(record, Row):
            return []
        origin = self._origin(record)
        if isinstance(outcome, Rejected) and outcome.reason.code == _CODE:
            return [spell_retry_identity(origin, identity) for identity in sorted(self.earlier.get(origin, ()))]
        return [spell_retry_identity(origin, identity) for identity in self._identities(record)]

    def _reason(self, then: str) -> Reason:
        columns = ", ".join(dict.fromkeys(f"'{column}'" for column in self.plan.identity_columns.values()))
        return Reason(_CODE, f"identity ({columns}) is not the one that the retry file was written with; {then}")

    def _origin(self, row: Row) -> bytes:
        # Under other identity columns nothing can be compared.
        origin, columns = origin_of(row, self.run), sorted(set(self.plan.identity_columns.values()))
        return self._digest(_ORIGIN_BYTES, b"origin", [origin.run, str(origin.row), *columns])

    def _identities(self, row: Row) -> Iterator[bytes]:
        """Yield the digests of the identity of *row*: it is the same person if one of them is the same."""
        written = self.plan.written_identity(row)
        yield self._digest(_IDENTITY_BYTES, b"identity", written) if written else _NO_IDENTITY
        if self.plan.cleans_identity and (person := self.plan.person(row)):
            yield self._digest(_IDENTITY_BYTES, b"cleaned", list(person))

    def _digest(self, size: int, person: bytes, parts: list[str]) -> bytes:
        # With its length before it, no part can be taken for two.
        text = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
        return blake2b(text, key=self.key(), digest_size=size, person=person).digest()


def earlier_identities(source: Source, plan: Plan, settings: Settings) -> RetryIdentities | None:
    """Return what earlier runs have noted of the rows of *source*, a retry file; None where nothing can be known.

    Nothing is written. Raises StorageError.
    """
    state = settings.state_dir
    if not source.is_retry or not (state / IDENTITY_KEY).exists() or not (state / "runs").exists():
        return None
    run_store = RunStore(state)
    maker = None if source.path is None else run_store.maker_of(source.path)
    earlier: dict[bytes, set[bytes]] = {}
    # A file that was saved under another name may be of any run.
    for stored_run in run_store.runs() if maker is None else [maker]:
        for origin, identities in stored_run.state.retry_identities.items():
            earlier.setdefault(origin, set()).update(identities)
    return RetryIdentities(plan, _key_in(state), earlier) if earlier else None


def noted_identities(state: Path, plan: Plan, run: str, earlier: RetryIdentities | None) -> RetryIdentities:
    """Return what notes the rows that a run must send again in the state folder *state*; *run* is what `_run` says.

    *earlier* is what is known of its rows from earlier runs.
    """
    known = {} if earlier is None else earlier.earlier
    return RetryIdentities(plan, _key_in(state), known, run)


def _key_in(state: Path) -> Callable[[], bytes]:
    return cache(lambda: private_key(state / IDENTITY_KEY))
