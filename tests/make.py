"""Build what flows through a run, what lasts of it on disk, and the files it reads: say only what a test is about."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol, TypeAlias

import trustme

from uploader.config import Settings
from uploader.mapping.rules import IdentityRule
from uploader.model import Failed, Reason, Rejected, Request, Row, Sent, Unpacking, Unsettled, Work
from uploader.run.options import Options
from uploader.source import Source, open_source
from uploader.state import CheckedRows, Destination, Journal, RunBasis, RunHeader, RunState, StoredRun, read_run
from uploader.state.line_checksums import link
from uploader.state.replay import replay

REASON: Final = Reason("50000", "the service had a fault of its own")
NO_VALUE: Final = Reason("identity", "no value in any of the columns '이름', \"e\nmail\"")

# Rows, requests, and what became of them


def request(
    number: int = 1,
    *person: str,
    fields: Mapping[str, object] | None = None,
    body: bytes | None = None,
    line: int = 0,
    text: str = "",
) -> Request:
    """Return the request of row *number*: a body of its own, and its number as the `id` of the source."""
    row = Row(number, {"id": str(number)} if fields is None else fields, line, text)
    return Request(row, person, b'{"n":%d}' % number if body is None else body)


def requests(count: int) -> list[Work]:
    """Return the requests of rows 1 to *count*, each of a person of its own."""
    return [request(number, f"id={number}") for number in range(1, count + 1)]


def sent(work: Request | int, attempts: int = 1, *, unsure: bool = False) -> Sent:
    """Return the acceptance of a request, or of the one of a row's number."""
    return Sent(_request_of(work), attempts, unsure)


def failed(work: Request | int, attempts: int = 1, *, unsure: bool = False, taker: int = 0) -> Failed:
    """Return the failure of a request, or of the one of a row's number, for REASON."""
    return Failed(_request_of(work), REASON, attempts, unsure, taker)


def rejected(number: int, *person: str, reason: Reason = NO_VALUE, attempts: int = 0) -> Rejected:
    """Return the rejection of row *number*, by the check unless there were *attempts*."""
    return Rejected(Row(number, {"id": ""}), person, reason, attempts)


def unsettled(work: Request | int, attempts: int = 1, *, unsure: bool = False) -> Unsettled:
    """Return that the run stopped before a request, or the one of a row's number, had an outcome."""
    return Unsettled(_request_of(work), attempts, unsure)


def body(identity: Mapping[str, str], properties: Mapping[str, object], moment: str = "2026-01-01T00:00:00Z") -> bytes:
    """Return a body as the API wants it."""
    content = {"identity": identity, "user_properties": properties, "request_datetime": moment}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _request_of(work: Request | int) -> Request:
    return request(work) if isinstance(work, int) else work


# Journals

BEGUN: Final = RunHeader(
    run_id="20260101T000000Z-abc123",
    key="0123456789ab",
    source="people.csv",
    started="2026-01-01T00:00:00+00:00",
    destination=Destination("https://api.example", "svc"),
    basis=RunBasis("content", "mapping"),
    rows=CheckedRows(100, 0, None),
    version="1.0",
)


def begun_with(header: RunHeader = BEGUN, **facts: object) -> RunHeader:
    """Return *header* with other *facts*, named as in the journal."""
    return RunHeader.from_facts({**header.facts(), **facts})


def chained(payloads: Iterable[bytes]) -> bytes:
    """Return the bytes of a journal whose lines carry *payloads*."""
    content, checksum = b"", 0
    for payload in payloads:
        line, checksum = link(payload, checksum)
        content += line
    return content


def folded(content: bytes) -> RunState:
    """Return what the bytes of a journal say."""
    return replay(BytesIO(content))


def settled(ledger: RunState, most: int = 200) -> list[int]:
    """Return the settled rows of *ledger* among the first *most*."""
    return [number for number in range(most) if number in ledger.settled]


def totals(ledger: RunState) -> dict[str, object]:
    """Return all that *ledger* says but which accepted rows it knows, and where the next line goes."""
    facts = asdict(replace(ledger, settled=None))  # type: ignore[arg-type]  # it is left out
    left_out = ("settled", "unsure", "sessions", "written")
    return {
        **{name: value for name, value in facts.items() if name not in left_out},
        **facts["sessions"],
        "held_seconds": round(ledger.sessions.held_seconds, 6),
        "seconds": round(ledger.sessions.seconds, 6),
        "maybe_sent_twice": ledger.maybe_sent_twice,
    }


def begin(path: Path, begun: RunHeader = BEGUN) -> StoredRun:
    """Return a new journal at *path* that says how its run began."""
    with Journal(path, RunState()) as journal:
        journal.append(begun.spell())
        journal.sync()
    return read_run(path)


# Files, configurations, and the flags of a command

CONFIG: Final = """\
api: {service_id: svc, access_token: canary}
mapping:
  identity: {external_id: id}
  properties: {df_name: name, age: {column: age, type: long}}
"""
"""Maps the files of `people`."""

ENVIRON: Final = {"DFINERY_SERVICE_ID": "svc-1", "DFINERY_ACCESS_TOKEN": "linnet-4711"}


def jsonl(*records: Mapping[str, object]) -> str:
    """Return a JSONL of *records*."""
    return "".join(json.dumps(record) + "\n" for record in records)


FormatChoice: TypeAlias = Literal["auto", "csv", "jsonl", "parquet"]


class Load(Protocol):
    """Loads *text*, which stands in the `config.yaml` of the working directory (the fixture `loaded`)."""

    def __call__(
        self,
        text: str,
        *overrides: str,
        environ: Mapping[str, str] = ENVIRON,
        credentials: bool = True,
    ) -> Settings: ...


def config(folder: Path, text: str = CONFIG) -> Path:
    """Write the `config.yaml` of *folder*, for its owner's eyes only."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def people(path: Path, rows: Sequence[str]) -> Path:
    """Write a CSV of id, name and age to *path*."""
    path.write_text("\n".join(("id,name,age", *rows, "")), encoding="utf-8")
    return path


def opened(  # noqa: PLR0913 — the keys of `source:`, and what a test may want to be different
    name: Path | str,
    choice: FormatChoice = "auto",
    *,
    encoding: str = "auto",
    delimiter: str = ",",
    skip_lines: int = 0,
    stdin: BinaryIO | None = None,
    spool_dir: Path | None = None,
    unpacking: Unpacking | None = None,
) -> Source:
    """Return the source *name* as a configuration opens it that says nothing of it."""
    return open_source(
        str(name),
        format=choice,
        encoding=encoding,
        delimiter=delimiter,
        skip_lines=skip_lines,
        stdin=stdin,
        spool_dir=spool_dir,
        unpacking=unpacking or Unpacking(),
    )


def options(*sources: str, **more: object) -> Options:
    """Return the flags of a command about *sources*, with the configuration of the working directory."""
    return Options(sources=sources, config=Path("config.yaml"), **more)  # type: ignore[arg-type]  # the fields of Options


@dataclass(frozen=True)
class Authority:
    """A certificate authority that no system knows: its own certificate, and one with its key for each of *names*."""

    file: Path
    certificate: Path


def authority(folder: Path, *names: str) -> Authority:
    """Make a certificate authority in *folder* that vouches for *names*."""
    ca = trustme.CA()
    made = Authority(folder / "company.pem", folder / "server.pem")
    ca.cert_pem.write_to_path(made.file)
    ca.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(made.certificate)
    return made


def identity_rules(columns: Mapping[str, str]) -> tuple[IdentityRule, ...]:
    """Return the rules of identity fields whose values are sent as they stand: field → column."""
    return tuple(IdentityRule(name, column) for name, column in columns.items())


def repairs(**counts: int) -> dict[str, object]:
    """Return the key `repairs` of a summary: the *counts* of the steps, zero for the others, and nothing omitted."""
    names = ("trimmed", "strip", "case", "values", "phone", "thousands", "decimal", "hash")
    return {**dict.fromkeys(names, 0), **counts, "omitted": []}
