"""Word the outcome of a run, for people."""

from collections.abc import Iterator, Sequence

from uploader.cli.check_messages import count, problem_lines, repair_lines
from uploader.cli.found_values import FoundValues, ShownValues, no_values
from uploader.cli.printed_commands import WITHHELD, CommandLine, command, run_again
from uploader.outputs.duration_text import spell_seconds
from uploader.run.remarks import display_name
from uploader.run.results import RunResult, SourceResult
from uploader.run_record import not_tolerated


def run_lines(
    result: RunResult, given: CommandLine, *, dry_run: bool, found: FoundValues | None = None
) -> Iterator[str]:
    """Yield the summary of a run with the flags in *given*; the values in *found* are shown."""
    complete = result.error is None
    for source_result in result.sources if complete or result.has_started else ():
        yield from _source_lines(source_result, no_values if found is None else found.in_source(source_result.source))
    kept = [source_result for source_result in result.sources if source_result.retry_file is not None]
    if dry_run:
        yield from _dry_run_lines(kept)
    else:
        yield from _retry_lines(kept, given) if complete else _unfinished_lines(kept)
    if result.sandbox is not None:
        yield "The sandbox's report:"
        yield from (f"  {line}" for line in result.sandbox.lines())
    if dry_run and complete:
        yield "This was a dry run: nothing left this machine."


def quiet_lines(result: RunResult) -> Iterator[str]:
    """Yield only which rows were not accepted."""
    for source_result in result.sources:
        left = source_result.counts.not_accepted
        if left and source_result.retry_file is not None:
            name = display_name(source_result.source)
            yield f"{name}: {count(left, 'row')} not accepted, see {source_result.retry_file}"
            yield from (f"{name}: {line}" for line in _tolerance_lines(source_result))


def _source_lines(source_result: SourceResult, values: ShownValues) -> Iterator[str]:
    counts, name = source_result.counts, display_name(source_result.source)
    if not counts.read:
        yield f"{name}: no rows, nothing to do."
        return
    if not source_result.has_started:
        yield f"{name}: {count(counts.read, 'row')}, not attempted"
        return
    requests = count(source_result.traffic.requests, "request")
    yield f"{name}: {count(counts.read, 'row')}, {requests} in {spell_seconds(source_result.times.total)}"
    yield f"  accepted       {counts.sent:>9,}"
    for kind, number in counts.not_sent().items():
        yield f"  {kind:<14} {number:>9,}"
    yield f"  rejected       {counts.rejected:>9,}"
    yield f"  failed         {counts.failed:>9,}"
    if counts.not_attempted:
        yield f"  not attempted  {counts.not_attempted:>9,}"
    if source_result.traffic.limited:
        yield f"  Throttled: sending paused for {spell_seconds(source_result.times.limited)}."
    if source_result.maybe_sent_twice:
        yield f"  {count(source_result.maybe_sent_twice, 'row')} may have been sent twice: a reply was lost."
    yield from repair_lines(source_result.findings.repairs, values)
    if counts.not_accepted:
        yield "Not accepted:"
        yield from problem_lines(source_result.problems, values=values)
    yield from _tolerance_lines(source_result)


def _tolerance_lines(source_result: SourceResult) -> Iterator[str]:
    """Yield why the rows that are left are not tolerated, where only consents are the reason."""
    if source_result.ending is not None and source_result.ending.consents_left:
        yield not_tolerated(source_result.ending.consents_left)


def _retry_lines(source_results: Sequence[SourceResult], given: CommandLine) -> Iterator[str]:
    if not source_results:
        return
    fix = any(source_result.counts.rejected for source_result in source_results)
    then = "Fix the rejected ones, then type:" if fix else "To send them, type:"
    yield f"The rows to send again are in {_names(source_results)}, each with its reason. {then}"
    # One command, in this order: a row of a later file may have to follow one of an earlier file.
    files = [str(source_result.retry_file) for source_result in source_results]
    typed = run_again(given) if given.retries_of else command("run", files, given)
    yield f"  {typed}"
    if WITHHELD in typed:
        yield f"(Replace {WITHHELD} by what you gave with that --set: it may hold a secret.)"


def _unfinished_lines(source_results: Sequence[SourceResult]) -> Iterator[str]:
    # To fix them comes later: a fix in the file would be lost.
    if source_results:
        yield (
            f"The rows not accepted so far are in {_names(source_results)}, each with its reason: "
            "for later, when the run has finished."
        )


def _dry_run_lines(source_results: Sequence[SourceResult]) -> Iterator[str]:
    if source_results:
        yield f"The rows that would have to be sent again are in {_names(source_results)}, each with its reason."


def _names(source_results: Sequence[SourceResult]) -> str:
    paths = [str(source_result.retry_file) for source_result in source_results]
    return " and ".join([", ".join(paths[:-1]), paths[-1]] if len(paths) > 1 else paths)
