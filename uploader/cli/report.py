"""Read the command line of `uploader report`."""

import os
from pathlib import Path
from typing import Final, get_args

import click

from uploader.app.report import report_of
from uploader.cli.common_flags import config_flag, set_flag
from uploader.cli.standard_streams import say, show
from uploader.config import load
from uploader.outputs.report_words import Language, language_of

_STANDARD_OUTPUT: Final = "-"


@click.command("report")
@click.argument("run_id", required=False, metavar="[ID|last]")
@config_flag("Read the configuration from FILE: its state_dir holds the runs.")
@set_flag()
@click.option(
    "--output",
    metavar="FILE",
    help="Write the report to FILE; - is standard output.  [default: report-ID.html in this folder]",
)
@click.option(
    "--language",
    type=click.Choice(get_args(Language)),
    help="Write it in English or in Korean.  [default: the locale's language, if it is Korean, or else English]",
)
def report(
    *, run_id: str | None, config: Path, overrides: tuple[str, ...], output: str | None, language: Language | None
) -> int:
    """Write a report of a run to look at: one HTML file that needs no network and prints well.

    It shows the counts, the throughput beside the limit, the use of the quota, the latency, throttling and outages,
    the reasons, and the last runs of the same job. ID is the beginning of an ID in `uploader runs`, or of that of one
    SOURCE's run; without it, the newest run that has a journal is shown. An earlier report in FILE is replaced, any
    other file is not.
    """
    found = report_of(load(config, overrides=overrides, environ=os.environ, credentials=False).state_dir, run_id)
    # They take a while to load: leather draws the charts.
    from uploader.outputs.report_file import write_report  # noqa: PLC0415 — see above
    from uploader.outputs.report_page import report_page  # noqa: PLC0415 — see above

    page = report_page(found, language or language_of(os.environ))
    if output == _STANDARD_OUTPUT:
        show(page.removesuffix("\n"))
        return 0
    path = Path(output or f"report-{found.run.listed_id}.html")
    write_report(path, page)
    of = f"job {found.run.job} ({found.run.source})" if found.run.job else found.run.source
    say(f"{path}: the report of run {found.run.listed_id} of {of}. Open it in a browser.")
    if not found.run.is_only_source:
        say(f"Its start had other SOURCEs too: `uploader runs {found.run.latest.start_id}` shows the ID of each.")
    return 0
