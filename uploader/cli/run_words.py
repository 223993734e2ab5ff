"""Put what became of a run into words for people."""

import shlex
from collections.abc import Iterator, Sequence

from uploader.app.accounts import Account
from uploader.app.running import Result
from uploader.cli.words import count, problem_lines, repair_lines, spoken
from uploader.sinks.durations import spell_seconds


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
            yield f"{spoken(account.source)}: {count(left, 'row')} not accepted, see {account.retry_file}"


def _account_lines(account: Account) -> Iterator[str]:
    books, name = account.books, spoken(account.source)
    if not books.read:
        yield f"{name}: no rows, nothing to do."
        return
    if not _is_begun(account):
        yield f"{name}: {count(books.read, 'row')}, not attempted"
        return
    requests = count(account.traffic.requests, "request")
    yield f"{name}: {count(books.read, 'row')}, {requests} in {spell_seconds(account.seconds)}"
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
        yield f"  {count(account.maybe_sent_twice, 'row')} may have been sent twice: an answer was lost."
    yield from repair_lines(account.repairs)
    if books.rejected or books.failed:
        yield "Not accepted:"
        yield from problem_lines(account.problems)


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
