"""Play a scenario with the real command against a real sandbox, and hold what the service has against the model.

What counts is what the sandbox stored. The uploader is asked for what its users see: exit statuses, summaries, and the
retry files, which are sources like others. They tell what is still to be sent, never whether all is well.
"""

import csv
import json
import random
import shlex
import shutil
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any, Final, TypeAlias, assert_never

from tests.nights.fork_server import ForkServer, Job
from tests.nights.model import Model, Origin, Value
from tests.nights.scenario import (
    BAD,
    CALM,
    CONSENTS,
    PROPERTIES,
    Handle,
    Purge,
    Repeat,
    Retry,
    Row,
    Run,
    Scenario,
    Step,
    Trouble,
    Write,
)
from tests.nights.service import Heard, Service, settle

_FINISHED: Final = frozenset({0, 3})
_TO_CONTINUE: Final = frozenset({5, 6, 10, 143, -9, -15})
_IN_ORDER: Final = frozenset({5, 6, 10, 143, -15})
_ROUNDS: Final = 6
_COLUMNS: Final = ("id", "mail", *PROPERTIES, "at")
_BALANCED: Final = ("sent", "unchanged", "superseded", "rejected", "failed", "not_attempted")
_EVER: Final = 500 * 86_400
_KEPT: Final = 30 * 86_400
"""So many seconds old may a run be before its journal is deleted."""

_CONFIG: Final = """\
api:
  base_url: {url}
  service_id: shop
  access_token: token
  timeout: 20s
rate: {{requests: 100000, per: 200ms, burst: 16, concurrency: {workers}}}
retry: {{attempts: 2, base: 1ms, cap: 2ms, outage_timeout: 150ms}}
coalesce: {coalesce}
changed_only: {changed_only}
retry_last_failures: {retry_last}
mapping:
  identity: {{external_id: id, kakao_user_id: mail}}
  properties:
    df_name: name
    city: city
    df_push_optin: push
    df_sms_ads_optin: sms
  request_datetime: {{column: at}}
"""


class Violation(Exception):  # noqa: N818 — it is what the tests search, not what goes wrong in them
    """The service has, or a command did, what must not be; *story* is what led to it, as commands."""

    story: Sequence[str] = ()


@dataclass(slots=True)
class _Open:
    """A run of a file that was broken off: the *rows* of the file, and which numbers the run may have.

    *has_begun* and *is_unfinished* are whether that is certain.
    """

    rows: tuple[Row, ...]
    numbers: list[int]
    has_begun: bool
    is_unfinished: bool


@dataclass(slots=True)
class _Unit:
    """A command that was broken off; *accepted* are rows that need not be sent again when it is repeated."""

    sources: tuple[str, ...]
    is_unfinished: bool
    accepted: set[int]


@dataclass(slots=True)
class _Left:
    """A retry file that was not sent yet: where it is, where its rows may be from, and which command made it."""

    path: str
    origins: dict[int, tuple[Origin, ...]]
    unit: tuple[str, ...]
    home: str = ""


@dataclass(slots=True)
class _Part:
    """One source of a command: its rows, each with where it may be from; *is_new* is whether a run certainly begins."""

    path: str
    rows: tuple[Row, ...]
    origins: dict[int, tuple[Origin, ...]]
    numbers: list[int] = field(default_factory=list)
    is_retry: bool = False
    is_new: bool = False
    content: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """What every scenario is played with: processes, the service, and a folder for all of it."""

    forks: ForkServer
    service: Service
    folder: Path


def play(scenario: Scenario, stage: Stage, variant: str = "") -> list[str]:
    """Play *scenario* and return its story, as commands; raises Violation. *variant* is one of `variants.py`."""
    player = _Player(scenario, stage, variant)
    try:
        player.play()
    except Violation as violation:
        violation.story = player.story
        raise
    return player.story


Accounts: TypeAlias = Sequence[Mapping[str, Any]]


class _Player:
    def __init__(self, scenario: Scenario, stage: Stage, variant: str) -> None:
        self.story: list[str] = []
        self._scenario = scenario
        self._stage = stage
        self._variant = variant
        self._service = stage.service
        self._folder = stage.folder / "desk"
        self._said = stage.folder / "said"
        self._model = Model()
        self._contents: dict[str, tuple[Row, ...]] = {}
        self._number = 0
        self._moved = 0
        self._open: dict[str, _Open] = {}
        self._units: list[_Unit] = []
        self._open_retries: set[str] = set()
        self._left: list[_Left] = []
        self._known: dict[str, tuple[int, int]] = {}
        self._rows_before: dict[str, tuple[_Left, list[Row]]] = {}
        self._gave_up = False
        self._going_on: list[_Unit] = []
        self._runs: set[str] = set()
        self._rows: dict[int, Row] = {}

    def play(self) -> None:
        scenario = self._scenario
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        config = _CONFIG.format(
            url=self._service.url,
            workers=scenario.workers,
            coalesce=str(scenario.coalesce).lower(),
            changed_only=str(scenario.changed_only).lower(),
            retry_last=str(scenario.retry_last).lower(),
        )
        (self._folder / "config.yaml").write_text(config)
        (self._folder / "config.yaml").chmod(0o600)
        self._service.forget()
        for person, kind in enumerate(scenario.kinds):
            # Of names that a row of the file joins, the service has always known.
            if kind in {"loose", "family"}:
                self._service.tie({"external_id": f"e{person}", "kakao_user_id": f"m{person}"})
            if kind == "family":
                self._service.tie({"external_id": f"f{person}", "kakao_user_id": f"m{person}"})
        for step in scenario.steps:
            self._step(step)
        self._end_well()

    def _step(self, step: Step) -> None:
        match step:
            case Write():
                self._write(step.file, step.rows)
            case Run():
                files = tuple(file for file in step.files if file in self._contents)
                if files and self._may_send(files, step):
                    self._send(files, trouble=step.trouble, limit=step.limit, flag=step.flag)
            case Repeat():
                if self._units:
                    self._send(self._units[-1].sources, trouble=step.trouble)
            case Retry():
                self._retry(step)
            case Handle():
                self._handle(step)
            case Purge():
                self._purge()
            case _ as never:
                assert_never(never)

    def _may_send(self, files: tuple[str, ...], step: Run) -> bool:
        """Whether the order of what would be sent is clear: a command of several files is broken off as one."""
        for unit in self._units:
            if unit.sources != files and set(unit.sources) & set(files) and len(unit.sources) > 1 and not step.limit:
                return False
        return True

    # What people do

    def _write(self, file: str, rows: tuple[Row, ...]) -> None:
        text = _csv_of(rows) if file.endswith(".csv") else _jsonl_of(rows)
        (self._folder / file).write_text(text)
        for unit in [unit for unit in self._units if file in unit.sources and len(unit.sources) > 1]:
            # Of a command that is one unit, one file is new: whether the others go on is anybody's guess.
            for path in unit.sources:
                if path in self._open:
                    self._open[path].has_begun = False
            self._units.remove(unit)
        self._contents[file] = rows
        self._rows |= {row.tag: row for row in rows}
        self.story.append(f"cat > {file} <<'.'\n{text}.")

    def _retry(self, step: Retry) -> None:
        there = self._touchable()
        if not there:
            return
        picked = list(dict.fromkeys(there[pick % len(there)].path for pick in step.picks))
        if step.file and step.file in self._contents and self._may_send((step.file,), Run((step.file,))):
            picked.append(step.file)
        self._send(tuple(picked), trouble=step.trouble)

    def _handle(self, step: Handle) -> None:
        if step.what == "back":
            self._put_back(step.pick)
            return
        there = self._touchable()
        if not there:
            return
        left = there[step.pick % len(there)]
        match step.what:
            case "rename":
                self._moved += 1
                self._move(left, f"late{self._moved}{Path(left.path).suffix}")
            case "away":
                self._moved += 1
                left.home = left.path
                (self._folder / "away").mkdir(exist_ok=True)
                self._move(left, f"away/{self._moved}{Path(left.path).suffix}")
            case "mend":
                self._rewrite(left, self._mended(self._read(left.path)))
            case "drop" | "delete":
                self._drop(left, whole=step.what == "delete")
            case _ as never:
                assert_never(never)

    def _put_back(self, pick: int) -> None:
        away = [left for left in self._left if left.home]
        if away:
            left = away[pick % len(away)]
            home, left.home = left.home, ""
            if (self._folder / home).exists():
                if self._is_needed(home):
                    self._moved += 1
                    home = f"late{self._moved}{Path(home).suffix}"
                else:
                    (self._folder / home).unlink()
                    self.story.append(f"rm {home}  # it was sent")
            self._move(left, home)

    def _is_needed(self, path: str) -> bool:
        """Whether the retry file at *path* is still to be sent."""
        going_on = {source for unit in self._units for source in unit.sources} | self._open_retries
        return path in going_on or any(left.path == path for left in self._left)

    def _move(self, left: _Left, path: str) -> None:
        (self._folder / left.path).rename(self._folder / path)
        self._known.pop(left.path, None)
        self.story.append(f"mv {left.path} {path}")
        left.path = path
        self._known[path] = self._look(path)

    def _drop(self, left: _Left, *, whole: bool) -> None:
        """Delete all rows of one person, or of all, from the retry files that one command has left."""
        rows = self._read(left.path)
        people = {row.person for row, _ in rows}
        dropped = people if whole else set(sorted(people)[:1])
        for other in [other for other in self._touchable() if other.unit == left.unit]:
            rows = self._read(other.path)
            for row, kind in rows:
                if row.person in dropped and kind != "again":
                    self._model.doubt(other.origins.get(row.tag, ()), row.person, row.values)
            self._rewrite(other, [(row, kind) for row, kind in rows if row.person not in dropped])

    def _decide(self) -> None:
        """Delete the rows of which the program does not know whether they are the newest, as somebody may who looks."""
        for left in self._touchable():
            self._decide_of(left)

    def _decide_of(self, left: _Left) -> None:
        unknown = {_tag_of(record["at"]) for record in self._records(left.path) if record["_code"] == "order_unknown"}
        if not unknown:
            return
        if not self._gave_up:
            raise Violation(f"{left.path}: no run was given up, and the order of its rows is not known")
        rows = self._read(left.path)
        for row, _ in rows:
            if row.tag in unknown:
                self._model.doubt(left.origins.get(row.tag, ()), row.person, row.values)
        self._rewrite(left, [(row, kind) for row, kind in rows if row.tag not in unknown])

    def _mended(self, rows: Sequence[tuple[Row, str]]) -> list[tuple[Row, str]]:
        return [(replace(row, bad="") if row.bad else row, kind) for row, kind in rows]

    def _rewrite(self, left: _Left, kept: Sequence[tuple[Row, str]]) -> None:
        path = self._folder / left.path
        before = path.read_text()
        if not kept:
            path.unlink()
            self._known.pop(left.path, None)
            self._left.remove(left)
            self.story.append(f"rm {left.path}")
            return
        rows = {row.tag: row for row, _ in kept}
        text = _rewritten_csv(before, rows) if left.path.endswith(".csv") else _rewritten_jsonl(before, rows)
        path.write_text(text)
        self._known[left.path] = self._look(left.path)
        if text != before:
            self.story.append(f"cat > {left.path} <<'.'\n{text}.")

    def _purge(self) -> None:
        if self._open_retries:
            return
        self._type(("runs", "--purge", "1"), CALM, clock=_EVER)
        self._gave_up = True
        for path in list(self._open):
            self._abandon(path)
        self._units.clear()

    # What is typed

    def _send(
        self, sources: tuple[str, ...], *, trouble: Trouble, limit: int = 0, flag: str = "", patient: bool = False
    ) -> int:
        parts = [self._part(path, limit=limit, flag=flag) for path in sources]
        self._rows_before = {left.path: (left, [row for row, _ in self._read(left.path)]) for left in self._left}
        words = ["run", *sources, "--summary", "summary.json"]
        words += ["--limit", str(limit)] if limit else []
        words += [flag] if flag else []
        if trouble.stop is not None and trouble.stop.where == "for":
            words += ["--for", f"{trouble.stop.nth}ms"]
        if trouble.lost:
            words += ["--set", "api.timeout=300ms"]
        if patient:
            words += ["--set", "retry.outage_timeout=30s"]
        summary = self._folder / "summary.json"
        summary.unlink(missing_ok=True)
        self._going_on = [unit for unit in self._units if unit.sources == sources and len(sources) > 1]
        status = self._type(words, trouble)
        if limit and status not in _FINISHED:
            # A run with a limit is not resumed: what its requests in flight have set is not known.
            self._gave_up = True
        heard = list(self._service.heard)
        if status not in _FINISHED | _TO_CONTINUE:
            raise Violation(f"`uploader {shlex.join(words)}` ended with {status}: {self._said.read_text()}")
        accounts = _accounts(summary)
        self._judge_counts(parts, accounts, heard, status, trouble)
        self._judge_settled(sources, heard, limit=limit, flag=flag)
        self._take(parts, sources, heard, status, trouble=trouble, limit=limit)
        # What came late may have come behind what this command has sent.
        for names, values in self._service.came_late:
            for person in {int(name.rpartition("=")[2][1:]) for name in names}:
                self._model.come_late(person, values)
        made = self._find_left(parts, sources, limit=limit)
        self._take_taken_in(parts, accounts, status, {tag for left in made for tag in left.origins})
        self._judge()
        return status

    def _type(self, words: Sequence[str], trouble: Trouble, *, clock: int = 0) -> int:
        if abs(trouble.clock) > _KEPT:
            # By this clock, or by the next one, runs are old enough to be deleted: what they set is not known then.
            self._gave_up = True
        stop = trouble.stop
        job = Job(
            words,
            str(self._folder),
            str(self._said),
            {},
            clock=clock or trouble.clock,
            writes=stop.nth if stop is not None and stop.where == "file" else 0,
            renames=stop.nth if stop is not None and stop.where == "rename" else 0,
            most_rows=self._scenario.most_rows,
            variant=self._variant,
        )
        if words[0] == "run":
            self._service.begin(trouble, self._scenario.seed)
        status = self._stage.forks.run(job, self._service.watch)
        if words[0] == "run":
            settle()
            self._service.end()
        self.story.append(f"uploader {shlex.join(words)}  # {_words_of(trouble, clock)}exit status {status}")
        return status

    def _part(self, path: str, *, limit: int, flag: str) -> _Part:
        self._number += 1
        for left in self._left:
            if left.path == path:
                return _Part(path, tuple(row for row, _ in self._read(path)), left.origins, is_retry=True)
        content = self._contents[path]
        rows = content[:limit] if limit else content
        old, numbers, is_new = self._open.get(path), [self._number], True
        if old is not None and old.rows == content and flag != "--fresh":
            is_certain = old.has_begun and (old.is_unfinished if limit else self._is_unfinished(path))
            numbers = [*old.numbers, *([] if is_certain and flag != "--full" else numbers)]
            is_new = False
        elif old is not None and not limit:
            self._abandon(path)
        origins = {
            row.tag: tuple(Origin(number, place) for number in numbers) for place, row in enumerate(rows, start=1)
        }
        return _Part(path, rows, origins, numbers, is_new=is_new, content=content)

    def _is_unfinished(self, path: str) -> bool:
        """Whether the broken-off command with the run of *path* certainly goes on when it is repeated."""
        return any(unit.is_unfinished for unit in self._units if path in unit.sources)

    def _abandon(self, path: str) -> None:
        """Take it that the run of *path* is not continued: what of it was sent, nobody knows."""
        old = self._open.pop(path, None)
        if old is not None:
            self._gave_up = True
            for place, row in enumerate(old.rows, start=1):
                if not row.bad:
                    origins = [Origin(number, place) for number in old.numbers]
                    self._model.say(origins, row.person, row.values, sure=False)
        self._units = [unit for unit in self._units if unit.sources != (path,)]

    # What came of it

    def _take(  # noqa: PLR0913 — all that is known of a command that is over
        self,
        parts: Sequence[_Part],
        sources: tuple[str, ...],
        heard: Sequence[Heard],
        status: int,
        *,
        trouble: Trouble,
        limit: int,
    ) -> None:
        """Let the model know what was said by a command that ended with *status*."""
        finished = status in _FINISHED
        asked = {one.tag for one in heard}
        for part in parts:
            if part.is_retry:
                (self._open_retries.discard if finished else self._open_retries.add)(part.path)
            elif limit and not finished:
                self._say(part, part.rows, sure=False)
            elif finished:
                self._say(part, part.rows, sure=True)
                if not limit:
                    self._open.pop(part.path, None)
            else:
                self._leave_open(part, asked)
        if limit:
            return
        before = next((unit for unit in self._units if unit.sources == sources), None)
        over = set(sources) if finished else set[str]()
        self._units = [unit for unit in self._units if unit.sources != sources and not over.issuperset(unit.sources)]
        if not finished:
            is_unfinished = before is None and any(
                self._open[part.path].is_unfinished for part in parts if not part.is_retry
            )
            is_known = status in _IN_ORDER and is_unfinished and not trouble.lost
            accepted = {one.tag for one in heard if one.plain} if is_known else set[int]()
            self._units.append(_Unit(sources, is_unfinished, accepted))

    def _say(self, part: _Part, rows: Iterable[Row], *, sure: bool) -> None:
        for row in rows:
            if not row.bad:
                self._model.say(part.origins[row.tag], row.person, row.values, sure=sure)
                if sure and part.is_new:
                    self._model.renew(row.person, row.values)

    def _leave_open(self, part: _Part, asked: set[int]) -> None:
        old = self._open.get(part.path)
        goes_on = old is not None and old.rows == part.content and not part.is_new
        begun = any(row.tag in asked for row in part.rows)
        # Every row that is not unchanged and not merged has a request of its own.
        is_plain = not (self._scenario.coalesce or self._scenario.changed_only)
        left = is_plain and any(row.tag not in asked for row in part.rows if not row.bad)
        if goes_on and old is not None:
            self._open[part.path] = _Open(part.content, part.numbers, old.has_begun, is_unfinished=False)
        else:
            self._open[part.path] = _Open(part.content, part.numbers, begun, begun and left)

    def _find_left(self, parts: Sequence[_Part], sources: tuple[str, ...], *, limit: int) -> list[_Left]:
        """Find the retry files that a command has made, or made anew."""
        found_now: list[_Left] = []
        origins: dict[int, set[Origin]] = {}
        mine = {part.path for part in parts if part.is_retry}
        for part in parts:
            for tag, found in part.origins.items():
                origins.setdefault(tag, set()).update(found)
        for left in self._left:
            if self._scenario.retry_last and not limit and left.path not in mine and not left.home:
                for tag, found in left.origins.items():
                    origins.setdefault(tag, set()).update(found)
        for file in sorted(self._folder.glob("[!.]*.retry*")):
            path, look = file.name, self._look(file.name)
            if self._known.get(path) == look or path in mine:
                continue
            self._known[path] = look
            made = {row.tag: tuple(sorted(origins.get(row.tag, ()))) for row, _ in self._read(path)}
            self._left = [left for left in self._left if left.path != path]
            # One that was killed may leave a file without a row.
            if made:
                found_now.append(_Left(path, made, (f"{path} of the first rows",) if limit else sources))
                self._left.append(found_now[-1])
        there = {left.path for left in self._left if (self._folder / left.path).exists()}
        self._left = [left for left in self._left if left.path in there]
        return found_now

    def _take_taken_in(
        self, parts: Sequence[_Part], accounts: Accounts | None, status: int, again: Container[int]
    ) -> None:
        """Let the model know of the retry files that were sent, named or not; rows *again* may be owed once more."""
        named = {part.path for part in parts if part.is_retry}
        sent = sorted(named) if status in _FINISHED else []
        if accounts is not None:
            sent += [one["source"] for one in accounts if one["exit_status"] in _FINISHED]
        elif self._scenario.retry_last:
            sent += self._sent_since()
        names = {str(Path(path).relative_to(self._folder)) if Path(path).is_absolute() else path for path in sent}
        # A command that was broken off is repeated with all that it names.
        names -= named if status not in _FINISHED else set()
        taken = [left for left in self._left if left.path in names]
        there = {left.path for left in taken}
        # What was sent is removed when its command is over.
        taken += [left for path, (left, _) in self._rows_before.items() if path in names and path not in there]
        for left in taken:
            rows = [row for row, _ in self._read(left.path)] if left.path in there else self._rows_before[left.path][1]
            for row in rows:
                if not row.bad:
                    sure = row.tag not in again
                    self._model.say(left.origins.get(row.tag, ()), row.person, row.values, sure=sure)
        self._left = [left for left in self._left if left.path not in there]
        # A command that was interrupted over such files alone is over with them.
        over = {left.path for left in taken}
        self._units = [unit for unit in self._units if not over.issuperset(unit.sources)]
        self._open_retries -= over

    def _sent_since(self) -> list[str]:
        """Return the sources of the runs that were finished since this was asked last."""
        self._type(("runs", "--json"), CALM)
        self.story.pop()
        runs = json.loads(self._said.read_text())
        new = [run for run in runs if run["run_id"] not in self._runs and run["ended"] == "finished"]
        self._runs |= {run["run_id"] for run in new}
        return [run["source"] for run in new]

    def _touchable(self) -> list[_Left]:
        """Return the retry files with which people may do something: their runs are over."""
        going_on = {path for unit in self._units for path in unit.sources}
        units = {unit.sources for unit in self._units}
        return [
            left
            for left in self._left
            if not left.home
            and left.unit not in units
            and left.path not in going_on
            and left.path not in self._open_retries
        ]

    # What must be

    def _judge(self, *, strict: bool = False) -> None:
        """Hold the service against the model, but for people of whom something is still to be sent."""
        excused = set[int]()
        if not strict:
            excused = {row.person for open_ in self._open.values() for row in open_.rows}
            excused |= {row.person for left in self._left for row, _ in self._read(left.path)}
        for profile in self._service.profiles():
            person = int(next(iter(profile.identity.values()))[1:])
            for name in PROPERTIES.values():
                value = profile.properties.get(name)
                allowed = self._model.allowed(person, name)
                if person not in excused and value not in allowed:
                    raise Violation(f"person {person} has {name} = {value!r}, and not {_or(allowed)}")
        known = {int(next(iter(profile.identity.values()))[1:]) for profile in self._service.profiles()}
        for person in set(range(len(self._scenario.kinds))) - known - excused:
            for name in PROPERTIES.values():
                if None not in self._model.allowed(person, name):
                    raise Violation(
                        f"person {person} is not there, and {name} is to be {_or(self._model.allowed(person, name))}"
                    )

    def _judge_counts(
        self, parts: Sequence[_Part], accounts: Accounts | None, heard: Sequence[Heard], status: int, trouble: Trouble
    ) -> None:
        for account in accounts or ():
            if account["read"] != sum(account[name] for name in _BALANCED):
                raise Violation(f"the counts of {account['source']} do not add up: {dict(account)}")
            if account["unchanged"] and not self._scenario.changed_only:
                raise Violation(f"{account['source']}: {account['unchanged']} rows unchanged, without changed_only")
            for part in parts:
                if part.path == account["source"] and status in _FINISHED:
                    self._judge_part(part, account, heard, trouble)

    def _judge_part(self, part: _Part, account: Mapping[str, Any], heard: Sequence[Heard], trouble: Trouble) -> None:
        if account["read"] != len(part.rows):
            raise Violation(f"{part.path} has {len(part.rows)} rows, and {account['read']} were read")
        if account["exit_status"] == 0 and (account["rejected"] or account["failed"] or account["not_attempted"]):
            raise Violation(f"exit status 0: {dict(account)}")
        if not part.is_new:
            return
        tags = {row.tag for row in part.rows}
        if any(part.path in unit.sources for unit in self._going_on) and not any(one.tag in tags for one in heard):
            # It was finished on its own since its command was broken off, and is passed over.
            return
        most = len({one.tag for one in heard if one.applied and one.tag in tags})
        if self._scenario.coalesce:
            # Of what was merged into an accepted request that must follow, each row counts as sent.
            most = account["read"]
        least = len({one.tag for one in heard if one.plain and one.tag in tags})
        if not (0 if trouble.lost or self._scenario.retry_last else least) <= account["sent"] <= most:
            raise Violation(f"{part.path}: {account['sent']} rows sent, and {least} to {most} were accepted")
        bad = sum(bool(row.bad) for row in part.rows)
        if account["rejected"] < bad:
            raise Violation(f"{part.path}: {account['rejected']} rows rejected, and {bad} can't be sent")

    def _judge_settled(self, sources: tuple[str, ...], heard: Sequence[Heard], *, limit: int, flag: str) -> None:
        """See that no row is sent again that was accepted before the command was broken off in order."""
        unit = next((unit for unit in self._units if unit.sources == sources), None)
        if unit is None or limit or flag:
            return
        again = unit.accepted & {one.tag for one in heard if not one.late}
        if again:
            raise Violation(f"rows {sorted(again)} were accepted before the command was broken off, and sent again")

    # The end

    def _end_well(self) -> None:
        """Continue what was broken off, send what is left, and then every file once more."""
        dice = random.Random(self._scenario.shuffle)  # noqa: S311 — an order that falls alike every time
        for _ in range(_ROUNDS):
            for pick in range(len(self._left)):
                self._put_back(pick)
            for unit in list(self._units):
                if unit in self._units:
                    self._send(unit.sources, trouble=CALM, patient=True)
            self._decide()
            there = [left.path for left in self._touchable()]
            dice.shuffle(there)
            for group in [tuple(there)] if self._scenario.together and there else [(path,) for path in there]:
                if all(any(left.path == path for left in self._left) for path in group):
                    self._send(group, trouble=CALM, patient=True)
            if not self._units and all(self._waits_for_people(left) for left in self._left):
                break
        else:
            left = [f"{left.path}:\n{(self._folder / left.path).read_text()}" for left in self._left]
            raise Violation(f"after {_ROUNDS} nights without trouble there is still something to send: {left}")
        self._judge(strict=True)
        for _ in range(2 if self._scenario.changed_only else 1):
            if self._contents:
                self._send(tuple(self._contents), trouble=CALM, patient=True)
            self._judge(strict=True)

    def _waits_for_people(self, left: _Left) -> bool:
        """Whether all rows of a retry file that was not accepted wait for somebody to mend them."""
        return all(row.bad for row, kind in self._read(left.path) if kind != "again")

    # Files

    def _look(self, path: str) -> tuple[int, int]:
        found = (self._folder / path).stat()
        return found.st_ino, found.st_mtime_ns

    def _read(self, path: str) -> list[tuple[Row, str]]:
        """Return the rows of a retry file as they stand in it, each with its kind."""
        return [(self._row_of(record), record["_kind"]) for record in self._records(path)]

    def _records(self, path: str) -> list[dict[str, Any]]:
        text = (self._folder / path).read_text()
        if path.endswith(".csv"):
            return list(csv.DictReader(StringIO(text)))
        return [json.loads(line) for line in text.splitlines()]

    def _row_of(self, record: Mapping[str, Any]) -> Row:
        row = self._rows[_tag_of(record["at"])]
        if row.bad and record[row.bad] != BAD:
            return replace(row, bad="")
        return row


def _accounts(summary: Path) -> Accounts | None:
    if not summary.exists():
        return None
    found: Accounts = json.loads(summary.read_text())["sources"]
    return found


def _or(values: set[Value]) -> str:
    return " or ".join(sorted(map(repr, values)))


def _words_of(trouble: Trouble, clock: int) -> str:
    words = [*trouble.faults]
    if trouble.stop is not None:
        words.append(f"stop: {trouble.stop.where} {trouble.stop.nth}")
        if trouble.stop.where == "hold":
            words.append(f"applied late: {trouble.late}")
    if trouble.lost:
        words.append(f"request {trouble.lost} gets no reply, and is applied late: {trouble.late}")
    if clock or trouble.clock:
        words.append(f"the clock is {(clock or trouble.clock) / 86_400:+.2f} days off")
    return "".join(f"{word}; " for word in words)


def _at(tag: int) -> str:
    return f"2024-01-01T{tag // 3600:02}:{tag // 60 % 60:02}:{tag % 60:02}Z"


def _tag_of(at: str) -> int:
    hours, minutes, seconds = map(int, at[11:19].split(":"))
    return hours * 3600 + minutes * 60 + seconds


def _cells_of(row: Row) -> dict[str, Value]:
    return {
        **dict(row.identity),
        **{name: BAD if name == row.bad else value for name, value in row.cells},
        "at": _at(row.tag),
    }


def _spelled(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else value or ""


def _csv_of(rows: Sequence[Row]) -> str:
    lines = StringIO()
    out = csv.writer(lines, lineterminator="\n")
    out.writerow(_COLUMNS)
    for row in rows:
        cells = _cells_of(row)
        out.writerow([_spelled(cells.get(name)) for name in _COLUMNS])
    return lines.getvalue()


def _jsonl_of(rows: Sequence[Row]) -> str:
    """Return JSON lines; a column that is mapped has to be in one of them."""
    empty = dict.fromkeys(_COLUMNS, "")
    return "".join(f"{json.dumps((empty if not place else {}) | _cells_of(row))}\n" for place, row in enumerate(rows))


def _rewritten_csv(text: str, rows: Mapping[int, Row]) -> str:
    """Return the retry file *text* with only *rows* in it, the mended ones mended."""
    reader, lines = csv.DictReader(StringIO(text)), StringIO()
    out = csv.DictWriter(lines, reader.fieldnames or (), lineterminator="\r\n")
    out.writeheader()
    for record in reader:
        row = rows.get(_tag_of(record["at"]))
        if row is not None:
            cells = {name: _spelled(value) for name, value in row.cells if name in CONSENTS}
            out.writerow(record | ({} if row.bad else cells))
    return lines.getvalue()


def _rewritten_jsonl(text: str, rows: Mapping[int, Row]) -> str:
    """Return the retry file *text* with only *rows* in it, the mended ones mended."""
    lines: list[str] = []
    for line in text.splitlines():
        record = dict.fromkeys(_COLUMNS, "") | json.loads(line)
        row = rows.get(_tag_of(record["at"]))
        if row is not None:
            cells = {name: value for name, value in row.cells if name in CONSENTS}
            lines.append(f"{json.dumps(record | ({} if row.bad else cells))}\n")
    return "".join(lines)
