"""Explain one row of a source: its fields, its request, and the result of its last run."""

import json
import math
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from yarl import URL

from uploader.app.run_history import RunHistory
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings, proxy_to
from uploader.config.credentials import PLACEHOLDER
from uploader.endpoints import ENDPOINTS
from uploader.errors import ConfigError
from uploader.mapping import CleanedValue, Now
from uploader.model import UNKNOWN_RUN, Damaged, Reason, Record, Rejected, Request, Row, spoken_name
from uploader.run.environment import Environment
from uploader.run.fingerprints import key_of, reading_of
from uploader.run.job import Job
from uploader.run.options import Options
from uploader.run.preflight import opened, prepare, settings_of
from uploader.source import Source
from uploader.state import RunState, RunStore, StoredRun
from uploader.state.replay import Fate


@dataclass(frozen=True, slots=True)
class LastRun:
    """What became of the row in the last run that had it; *ended* is how that run ended, as in `uploader runs`.

    None means unknown. Of accepted rows, the journal keeps no *attempts*, and after the run only the number of those
    *maybe_sent_twice*. A run with `--limit` does not know whether the *file_changed*.
    """

    run_id: str
    started: str
    ended: str
    fate: Fate
    code: str
    reason: str
    attempts: int | None
    maybe_sent_twice: bool | None
    file_changed: bool | None
    mapping_changed: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known about one row.

    *service_known* is whether the configuration has a service id, *hash_key_known* whether it has the key of
    its hashes. *cleaned* is what the cleaning made of the row's values.
    """

    source: str
    is_retry: bool
    work: Request | Rejected
    curl: str | None
    warnings: tuple[Reason, ...]
    service_known: bool
    last_run: LastRun | None
    cleaned: tuple[CleanedValue, ...] = ()
    hash_key_known: bool = True

    @property
    def record(self) -> Record:
        """The record of the source."""
        return self.work.record if isinstance(self.work, Rejected) else self.work.row

    @property
    def body(self) -> Mapping[str, object] | None:
        """The body of the request; None for a row that the mapping rejects."""
        return None if isinstance(self.work, Rejected) else json.loads(self.work.body)

    def facts(self) -> Mapping[str, object]:
        """Return the explanation for JSON, with the values of the row."""
        record, work = self.record, self.work
        return {
            "source": self.source,
            "row": record.number,
            "line": record.line or None,
            "retry_file": self.is_retry,
            "fields": _spoken_fields(record) if isinstance(record, Row) else None,
            "text": record.text if isinstance(record, Damaged) else None,
            "cleaning": [_cleaning_facts(value) for value in self.cleaned],
            "body": self.body,
            "rejected": _spelled(work.reason) if isinstance(work, Rejected) else None,
            "warnings": [_spelled(reason) for reason in self.warnings],
            "curl": self.curl,
            "last_run": None if self.last_run is None else asdict(self.last_run),
        }


def explain(options: Options, number: int, environment: Environment) -> Explanation:
    """Explain the row *number* of the one source of *options*; nothing is sent, and no state is written.

    Raises:
        ConfigError: there is no such row, or an option or the configuration is wrong.
        InputError: the source can't be read up to the row, or lacks a mapped column.
    """
    settings = settings_of(options, environment, credentials=False)
    with opened(options.sources[0], settings, environment) as source:
        job = prepare(source, settings, limit=0, summary=CheckSummary(), today=environment.today())
        record = _record(source, number)
        work = job.plan.map_row(record, Now(time.time_ns)())
        sent = work if isinstance(work, Request) else None
        return Explanation(
            source=source.name,
            is_retry=source.is_retry,
            work=work,
            curl=None if sent is None else curl(settings, sent.body),
            warnings=() if sent is None else tuple(job.plan.suspect(sent)),
            service_known=_is_service_known(settings),
            last_run=_last_run(settings, job, number),
            cleaned=tuple(job.plan.trace(record)),
            hash_key_known=settings.rules().hash_key != PLACEHOLDER.encode(),
        )


def _spoken_fields(row: Row) -> object:
    return plain({spoken_name(column): value for column, value in row.fields.items()})


def curl(settings: Settings, body: bytes) -> str:
    """Return the curl command that sends *body* as a run does; the user's shell fills in the token."""
    url = URL(settings.api.base_url) / ENDPOINTS[settings.api.endpoint].path.lstrip("/")
    if _is_service_known(settings):
        address = shlex.quote(str(url.with_query(service_id=settings.api.service_id)))
    else:
        address = shlex.quote(str(url.with_query(service_id=""))) + '"$DFINERY_SERVICE_ID"'
    data = shlex.quote(visible(body.decode()))
    return (
        f"curl -X POST {address} {_curl_route(settings)}-H 'Content-Type: application/json' "
        f'-H "access_token: $DFINERY_ACCESS_TOKEN" -d {data}'
    )


def _curl_route(settings: Settings) -> str:
    """Return curl's options for the proxy and the CA file; curl itself reads a proxy of the environment."""
    api = settings.api
    proxy = proxy_to(api.base_url, api.proxy, {})
    options = [] if proxy is None else ["--proxy", shlex.quote(proxy.url)]
    if proxy is not None and proxy.authorization is not None:
        options += ["--proxy-user", '"$PROXY_USER:$PROXY_PASSWORD"']
    if api.ca_file is not None:
        options += ["--cacert", shlex.quote(str(api.ca_file))]
    return "".join(f"{option} " for option in options)


def visible(text: str) -> str:
    """Return *text*, which is JSON, with its unprintable characters as JSON escapes.

    The meaning stays the same: outside strings, JSON has no such characters but line ends, which are kept.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def plain(value: object) -> object:
    """Return *value* as a JSON value; one without a JSON type becomes text."""
    match value:
        case None | str() | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return {str(name): plain(inner) for name, inner in value.items()}
        case list():
            return [plain(inner) for inner in value]
        case _:
            return str(value)


def _record(source: Source, number: int) -> Record:
    found = 0
    with source.read() as reading:
        for found, record in enumerate(reading, 1):
            if found == number:
                return record
    rows = f"only {found:,} {'row' if found == 1 else 'rows'}" if found else "no rows"
    raise ConfigError(f"{source.name} has {rows}; there is no row {number:,}. Name another one with --row.")


def _last_run(settings: Settings, job: Job, number: int) -> LastRun | None:
    """Return the result of row *number* in the newest run of the source that had this row."""
    # A `RunStore` would create the folder.
    if not _is_service_known(settings) or not settings.state_dir.is_dir():
        return None
    key = key_of(settings, job.source)
    stored_run = _newest(RunStore(settings.state_dir), key, number)
    if stored_run is None or stored_run.state.header is None:
        return None
    before, row = stored_run.state.header, stored_run.state.to_resend.get(number)
    return LastRun(
        run_id=before.run_id,
        started=before.started,
        ended=RunHistory(settings.state_dir).run(before.run_id).ended,
        fate=stored_run.state.fate(number),
        code="" if row is None else row.reason.code,
        reason="" if row is None else row.reason.phrase,
        attempts=None if row is None else row.attempts,
        maybe_sent_twice=_maybe_sent_twice(stored_run.state, number),
        file_changed=before.basis.content != job.source.digest() if before.basis.content else None,
        mapping_changed=before.basis.mapping != reading_of(settings),
    )


def _newest(run_store: RunStore, key: str, number: int) -> StoredRun | None:
    """Return the newest run with *key* that had a row *number*."""

    def when(stored_run: StoredRun) -> tuple[int, int]:
        # Runs of an earlier version may have started in the same second; then the files' times decide.
        order = UNKNOWN_RUN if stored_run.state.header is None else stored_run.state.header.order
        return order, stored_run.path.stat().st_mtime_ns

    found = ((stored_run, stored_run.state.header) for stored_run in run_store.runs())
    had = (
        stored_run
        for stored_run, before in found
        if before is not None and before.key == key and before.rows.total >= number
    )
    return max(had, key=when, default=None)


def _maybe_sent_twice(run_state: RunState, number: int) -> bool | None:
    if number in run_state.unsure.rows or number in run_state.to_resend or not run_state.unsure.dropped:
        return number in run_state.unsure.rows
    return None


def _is_service_known(settings: Settings) -> bool:
    return settings.api.service_id != PLACEHOLDER


def _cleaning_facts(value: CleanedValue) -> Mapping[str, object]:
    return {
        "key": value.key,
        "column": value.column,
        "steps": [
            {"step": change.step, "before": plain(change.before), "after": plain(change.after)}
            for change in value.steps
        ],
        "omitted": _spelled(value.reason) if value.reason is not None and value.omitted else None,
    }


def _spelled(reason: Reason) -> Mapping[str, str]:
    return {"code": reason.code, "reason": reason.phrase}
