"""Put what became of a run into words for people."""

from collections.abc import Iterator, Sequence

from uploader.app.run import Result
from uploader.cli.check_messages import count, problem_lines, repair_lines, spoken
from uploader.cli.printed_commands import WITHHELD, Given, command
from uploader.outputs.duration_text import spell_seconds
from uploader.run.results import Account


def run_lines(result: Result, given: Given, *, rehearsal: bool, complete: bool) -> Iterator[str]:
    """Yield the summary of a run that was *given* so; *complete* is whether every source came to its end."""
    begun = complete or any(_is_begun(account) for account in result.accounts)
    for account in result.accounts if begun else ():
        yield from _account_lines(account)
    kept = [account for account in result.accounts if account.retry_file is not None]
    if rehearsal:
        yield from _rehearsed_lines(kept)
    else:
        yield from _retry_lines(kept, given) if complete else _unfinished_lines(kept)
    if result.sandbox is not None:
        yield "The sandbox's report:"
        yield from (f"  {line}" for line in result.sandbox.lines())
    if rehearsal and complete:
        yield "This was a rehearsal: nothing left this machine."


def quiet_lines(result: Result) -> Iterator[str]:
    """Yield only which rows were not accepted."""
    for account in result.accounts:
        left = account.counts.not_accepted
        if left and account.retry_file is not None:
            yield f"{spoken(account.source)}: {count(left, 'row')} not accepted, see {account.retry_file}"


def _account_lines(account: Account) -> Iterator[str]:
    counts, name = account.counts, spoken(account.source)
    if not counts.read:
        yield f"{name}: no rows, nothing to do."
        return
    if not _is_begun(account):
        yield f"{name}: {count(counts.read, 'row')}, not attempted"
        return
    requests = count(account.traffic.requests, "request")
    yield f"{name}: {count(counts.read, 'row')}, {requests} in {spell_seconds(account.seconds)}"
    yield f"  accepted       {counts.sent:>9,}"
    for kind, number in counts.not_sent().items():
        yield f"  {kind:<14} {number:>9,}"
    yield f"  rejected       {counts.rejected:>9,}"
    yield f"  failed         {counts.failed:>9,}"
    if counts.not_attempted:
        yield f"  not attempted  {counts.not_attempted:>9,}"
    if account.traffic.limited:
        yield f"  The limit was met: sending paused for {spell_seconds(account.limited_seconds)}."
    if account.maybe_sent_twice:
        yield f"  {count(account.maybe_sent_twice, 'row')} may have been sent twice: an answer was lost."
    yield from repair_lines(account.repairs)
    if counts.not_accepted:
        yield "Not accepted:"
        yield from problem_lines(account.problems)


def _retry_lines(accounts: Sequence[Account], given: Given) -> Iterator[str]:
    if not accounts:
        return
    mend = any(account.counts.rejected for account in accounts)
    then = "Mend the rejected ones, then type:" if mend else "To send them, type:"
    yield f"The rows to send again are in {_names(accounts)}, each with its reason. {then}"
    # All in one command, in their order: a row of a later file may have to follow one of an earlier file.
    typed = command("run", [str(account.retry_file) for account in accounts], given)
    yield f"  {typed}"
    if WITHHELD in typed:
        yield f"(In the place of {WITHHELD} goes what you gave with that --set: it may hold a secret.)"


def _unfinished_lines(accounts: Sequence[Account]) -> Iterator[str]:
    # The run that continues this one makes the retry file anew: what was fixed in it would be lost.
    if accounts:
        yield f"The rows not accepted so far are in {_names(accounts)}, each with its reason."
        yield "Fix them when the run has come to its end, not before: it writes the file anew when it is continued."


def _rehearsed_lines(accounts: Sequence[Account]) -> Iterator[str]:
    if accounts:
        yield f"The rows that would have to be sent again are in {_names(accounts)}, each with its reason."


def _names(accounts: Sequence[Account]) -> str:
    paths = [str(account.retry_file) for account in accounts]
    return " and ".join([", ".join(paths[:-1]), paths[-1]] if len(paths) > 1 else paths)


def _is_begun(account: Account) -> bool:
    """Whether anything became of the rows of *account*."""
    return account.traffic.requests > 0 or account.counts.not_attempted < account.counts.read
