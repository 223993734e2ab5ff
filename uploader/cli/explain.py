"""Read the command line of `uploader explain`, and word what is known of one row."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, assert_never

import click

from uploader.app.explain import Explanation, LastRun, explain, plain, visible
from uploader.cli.check_messages import place
from uploader.cli.common_flags import config_flag, set_flag
from uploader.cli.observers import Remarks
from uploader.cli.signals import raise_on_signals
from uploader.cli.standard_streams import say, show, standard_input
from uploader.model import Damaged, Rejected, spoken_name
from uploader.outputs.shown_values import phrase_with_values
from uploader.run.environment import Environment
from uploader.run.options import Options

_SHOWN: Final = 2_000
"""How many characters of one value are printed; `--json` has all."""


@click.command("explain")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--row",
    "number",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="The row's number, as `check` counts.",
)
@config_flag()
@set_flag()
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output instead.")
def explain_command(*, source: str, number: int, config: Path, overrides: tuple[str, ...], as_json: bool) -> int:
    """Show one row of SOURCE: its fields, the body that the mapping makes of them, the request, and its last outcome.

    The request is a curl command that takes the token from the environment. Nothing is sent.
    """
    environment = Environment(environ=os.environ, stdin=standard_input(), events=Remarks())
    with raise_on_signals():
        explanation = explain(Options((source,), config, overrides), number, environment)
    if as_json:
        show(visible(json.dumps(explanation.facts(), ensure_ascii=False, indent=2)))
        return 0
    for line in _lines(explanation):
        say(visible(line))
    return 0


def _lines(explanation: Explanation) -> Iterator[str]:
    record = explanation.record
    name = "standard input" if explanation.source == "-" else explanation.source
    yield f"{name}: {place(record.number, record.line)}"
    if isinstance(record, Damaged):
        yield "Its text, which can't be split into fields:"
        yield f"  {_value(record.text)}"
    else:
        yield "Its fields:"
        yield from (f"  {_value(spoken_name(column))}: {_value(value)}" for column, value in record.fields.items())
    yield from _cleaning_lines(explanation)
    if isinstance(explanation.work, Rejected):
        yield f"It can't be sent: {phrase_with_values(record, explanation.work.reason)}."
    else:
        yield "Its body:"
        body = json.dumps(explanation.body, ensure_ascii=False, indent=2)
        yield from (f"  {line}" for line in body.split("\n"))
        warnings = (phrase_with_values(record, reason) for reason in explanation.warnings)
        yield from (f"It is sent as it stands, with a warning: {warning}." for warning in warnings)
        yield "Its request, to be pasted into a shell that has the token:"
        yield explanation.curl or ""
    yield from _run_lines(explanation)


def _cleaning_lines(explanation: Explanation) -> Iterator[str]:
    """Yield each value that is cleaned, with what each step makes of it, or why it is omitted."""
    if explanation.cleaned:
        yield "What its values are cleaned to:"
    for value in explanation.cleaned:
        where = f"column '{value.column}'" if value.column == value.key else f"column '{value.column}' → {value.key}"
        if value.steps:
            steps = "".join(f" → {change.step} → {_value(change.after)}" for change in value.steps)
            yield f"  {where}: {_value(value.steps[0].before)}{steps}"
        if value.reason is not None and value.omitted:
            yield f"  omitted: {phrase_with_values(explanation.record, value.reason)}"
    hashed = any(change.step == "hash" for value in explanation.cleaned for change in value.steps)
    if hashed and not explanation.hash_key_known:
        yield "  The hash is made with a placeholder, since the variable of mapping.hash_key is not set."


def _run_lines(explanation: Explanation) -> Iterator[str]:
    run = explanation.last_run
    if run is None and not explanation.service_known:
        yield "Past runs can't be looked up without the service ID: set DFINERY_SERVICE_ID."
    elif run is None:
        yield "No stored run had this row."
    else:
        yield f"Run {run.run_id} of {run.started} ({run.ended}): {_fate(run)}."
        if run.maybe_sent_twice:
            yield "  It may have been sent twice: a reply was lost."
        if run.file_changed:
            yield "  The file has changed since: it may have been another row."
        if run.file_changed is None:
            yield "  It was a run with --limit: whether the file has changed since is unknown."
        if run.mapping_changed:
            yield "  The mapping has changed since: what was sent may differ."


def _fate(run: LastRun) -> str:
    match run.fate:
        case "accepted" | "accepted or unchanged" | "not attempted":
            return run.fate
        case "superseded":
            return "superseded: another row of the same person replaced it"
        case "again":
            return "accepted, but to be sent again after an earlier row of the same person that was not"
        case "failed" | "rejected":
            tries = f"after {run.attempts} {'attempt' if run.attempts == 1 else 'attempts'}"
            return f"{run.fate} {tries if run.attempts else 'by the check'}: {run.reason}"
        case _ as never:
            assert_never(never)


def _value(value: object) -> str:
    """Return *value* as JSON, so that it differs from values that look alike; only the beginning of a long one."""
    text = json.dumps(plain(value), ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"
