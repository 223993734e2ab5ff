"""Put what a run found into words for people."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from uploader.app.accounts import Account
from uploader.app.checking import Job
from uploader.app.running import Result
from uploader.mapper import Repairs
from uploader.pacing import Pace
from uploader.sinks.progress import spell_seconds
from uploader.survey import Survey
from uploader.tally import Problem, Problems

_SHOWN: Final = 12
"""How many different problems a summary lists."""

_FIRST: Final = 3
"""How many different problems, and warnings, a run tells of before it sends."""


def check_lines(job: Job, pace: Pace) -> Iterator[str]:
    """Yield what the check of one source found."""
    survey, name = job.survey, _spoken(job.source.name)
    if not survey.read:
        yield f"{name}: no rows, nothing to do."
        return
    can = f"{survey.sendable:,} can be sent, {survey.rejected:,} can't" if survey.rejected else "all can be sent"
    yield f"{name}: {_count(survey.read, 'row')}, {can}."
    if job.source.blank_lines:
        skipped = "is skipped" if job.source.blank_lines == 1 else "are skipped"
        yield f"  {_count(job.source.blank_lines, 'blank line')} {skipped}."
    yield from problem_lines(survey.problems, shown=None)
    yield from repeat_lines(survey)
    yield from _repair_lines(survey.repairs)
    yield from _warning_lines(survey.warnings, shown=None)
    if survey.changed is not None:
        yield f"  About {survey.to_send:,} changed since the service accepted them last; the others need no request."
    if survey.to_send:
        seconds = survey.to_send / pace.rate
        takes = "less than a second" if seconds < 1 else f"about {spell_seconds(seconds)}"
        yield f"  At {pace.rate * 60:,.0f} requests a minute, sending takes {takes}."


def first_lines(name: str, survey: Survey) -> Iterator[str]:
    """Yield the first problems and warnings that the check of a run found in the source called *name*."""
    if survey.rejected:
        yield f"{_spoken(name)}: {survey.rejected:,} of {_count(survey.read, 'row')} can't be sent."
        yield from problem_lines(survey.problems, shown=_FIRST)
    elif survey.warnings:
        yield f"{_spoken(name)}: {_count(survey.read, 'row')}, all can be sent."
    yield from _warning_lines(survey.warnings, shown=_FIRST)


def run_lines(result: Result, *, rehearsal: bool, complete: bool) -> Iterator[str]:
    """Yield the summary of a run; *complete* is whether every source came to its end."""
    begun = complete or any(_is_begun(account) for account in result.accounts)
    for account in result.accounts if begun else ():
        yield from _account_lines(account)
    yield from _retry_lines([account for account in result.accounts if account.retry_file is not None], rehearsal)
    if result.sandbox is not None:
        yield "The sandbox's report:"
        yield from (f"  {line}" for line in result.sandbox.lines())
    if rehearsal and complete:
        yield "This was a rehearsal: nothing left this machine."


def quiet_lines(result: Result) -> Iterator[str]:
    """Yield only which rows were not accepted."""
    for account in result.accounts:
        left = account.books.rejected + account.books.failed
        if left and account.retry_file is not None:
            yield f"{_spoken(account.source)}: {_count(left, 'row')} not accepted, see {account.retry_file}"


def problem_lines(problems: Problems, shown: int | None = _SHOWN) -> Iterator[str]:
    """Yield each problem with how many rows have it and the first of them, the most frequent first.

    So many as *shown* are told, all if it is None.
    """
    found = problems.most_frequent()
    shown = len(found) if shown is None else shown
    for reason, problem in found[:shown]:
        yield f"  {reason.phrase}{_rows(problem)}"
    if len(found) > shown:
        yield f"  … and {_count(len(found) - shown, 'other problem')}"


def repeat_lines(survey: Survey) -> Iterator[str]:
    """Yield how many identity values repeat, if any do; "about" where that is an estimate."""
    if survey.repeated:
        about = "" if survey.repeated_exactly else "About "
        stand = "stands" if survey.repeated == 1 else "stand"
        yield f"  {about}{_count(survey.repeated, 'identity value')} {stand} in more than one row."


def place(number: int, line: int) -> str:
    """Return how people find a row: its number, and its line where the file has lines."""
    return f"row {number:,} (line {line:,})" if line else f"row {number:,}"


def _account_lines(account: Account) -> Iterator[str]:
    books, name = account.books, _spoken(account.source)
    if not books.read:
        yield f"{name}: no rows, nothing to do."
        return
    if not _is_begun(account):
        yield f"{name}: {_count(books.read, 'row')}, not attempted"
        return
    requests = _count(account.traffic.requests, "request")
    yield f"{name}: {_count(books.read, 'row')}, {requests} in {spell_seconds(account.seconds)}"
    yield f"  accepted       {books.sent:>9,}"
    if books.unchanged:
        yield f"  unchanged      {books.unchanged:>9,}"
    if books.superseded:
        yield f"  superseded     {books.superseded:>9,}"
    yield f"  rejected       {books.rejected:>9,}"
    yield f"  failed         {books.failed:>9,}"
    if books.not_attempted:
        yield f"  not attempted  {books.not_attempted:>9,}"
    if account.traffic.limited:
        yield f"  The limit was met: sending paused for {spell_seconds(account.limited_seconds)}."
    if account.maybe_sent_twice:
        yield f"  {_count(account.maybe_sent_twice, 'row')} may have been sent twice: an answer was lost."
    yield from _repair_lines(account.repairs)
    if books.rejected or books.failed:
        yield "Not accepted:"
        yield from problem_lines(account.problems)


def _repair_lines(repairs: Repairs) -> Iterator[str]:
    for number, done in (
        (repairs.trimmed, "trimmed (trim: true)"),
        (repairs.thousands, "freed of separators (thousands)"),
    ):
        if number:
            yield f"  {_count(number, 'value')} {'was' if number == 1 else 'were'} {done}."


def _warning_lines(warnings: Problems, *, shown: int | None) -> Iterator[str]:
    if warnings:
        yield "  What a spreadsheet may have damaged, and is sent as it stands:"
        yield from (f"  {line}" for line in problem_lines(warnings, shown))


def _retry_lines(accounts: Sequence[Account], rehearsal: bool) -> Iterator[str]:  # noqa: FBT001 — a private question of one word
    paths = [str(account.retry_file) for account in accounts]
    if not paths:
        return
    named = " and ".join([", ".join(paths[:-1]), paths[-1]] if len(paths) > 1 else paths)
    if rehearsal:
        yield f"The rows that would have to be sent again are in {named}, each with its reason."
        return
    mend = any(account.books.rejected for account in accounts)
    then = "Mend the rejected ones, then type:" if mend else "To send them, type:"
    yield f"The rows to send again are in {named}, each with its reason. {then}"
    # All in one command, in their order: a row of a later file may have to follow one of an earlier file.
    # A name that begins with a dash would be taken for a flag.
    typed = [shlex.quote(f"./{path}" if path.startswith("-") else path) for path in paths]
    yield f"  uploader run {' '.join(typed)}"


def _is_begun(account: Account) -> bool:
    """Whether anything became of the rows of *account*."""
    return account.traffic.requests > 0 or account.books.not_attempted < account.books.read


def _rows(problem: Problem) -> str:
    places = ", ".join(place(number, line) for number, line in problem.places)
    if problem.count == len(problem.places):
        return f": {places}"
    return f" ({problem.count:,} rows): {places}, …"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _spoken(source: str) -> str:
    return "standard input" if source == "-" else source
