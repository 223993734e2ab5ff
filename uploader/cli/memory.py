"""Read the command line of `uploader memory`."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from uploader.changes import StoreSummary
from uploader.cli.common_flags import config_flag, set_flag
from uploader.cli.standard_streams import say, show
from uploader.config import load
from uploader.outputs.duration_text import spell_seconds
from uploader.run.open_change_detection import open_stores

_MEGABYTE = 1_000_000


@click.command("memory")
@config_flag("Read the configuration from FILE: its state_dir holds the memory.")
@set_flag()
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--forget", is_flag=True, help="Forget everything: the next run sends every row once.")
def memory(*, config: Path, overrides: tuple[str, ...], as_json: bool, forget: bool) -> int:
    """Tell for each service how many people are remembered, since when, and what that takes on disk.

    Digests are remembered, no values.
    """
    settings = load(config, overrides=overrides, environ=os.environ, credentials=False)
    stores = open_stores(settings.state_dir)
    if forget:
        count = stores.forget()
        say(f"{count} {'memory' if count == 1 else 'memories'} forgotten.")
        return 0
    summaries = list(stores.summaries())
    if as_json:
        show(json.dumps([asdict(one) for one in summaries], ensure_ascii=False, indent=2))
    else:
        lines = [line for one in summaries for line in _lines(one)]
        show("\n".join(lines) if lines else "Nothing is remembered.")
    return 0


def _lines(one: StoreSummary) -> Iterator[str]:
    yield f"{one.base_url}, service {one.service_id}"
    yield (
        f"  {one.people:,} identity values remembered, {one.size / _MEGABYTE:,.1f} MB, "
        f"made {spell_seconds(one.age)} ago, last used {spell_seconds(one.used)} ago"
    )
