"""Read the command line of `uploader changes`."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from uploader.changes import StoreSummary
from uploader.cli.check_messages import count
from uploader.cli.common_flags import config_flag, set_flag
from uploader.cli.standard_streams import say, show
from uploader.clock import real_clock  # noqa: TID251 — a command without a run
from uploader.config import load
from uploader.outputs.duration_text import spell_seconds
from uploader.run.open_change_detection import open_stores

_MEGABYTE = 1_000_000


@click.command("changes")
@config_flag("Read the configuration from FILE: its state_dir holds the digests.")
@set_flag()
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--forget", is_flag=True, help="Delete all digests: the next run sends every row once.")
def changes(*, config: Path, overrides: tuple[str, ...], as_json: bool, forget: bool) -> int:
    """Show what change detection stores for each service: of how many identity values, since when, and its size.

    Only digests are stored, no values.
    """
    settings = load(config, overrides=overrides, environ=os.environ, credentials=False)
    stores = open_stores(settings.state_dir, wall=real_clock().wall)
    if forget:
        say(f"The digests of {count(stores.forget(), 'service')} are deleted.")
        return 0
    summaries = list(stores.summaries())
    if as_json:
        show(json.dumps([asdict(one) for one in summaries], ensure_ascii=False, indent=2))
    else:
        lines = [line for one in summaries for line in _lines(one)]
        show("\n".join(lines) if lines else "No digests are stored.")
    return 0


def _lines(one: StoreSummary) -> Iterator[str]:
    yield f"{one.base_url}, service {one.service_id}"
    yield (
        f"  digests of {count(one.people, 'identity value')}, {one.size / _MEGABYTE:,.1f} MB, "
        f"created {spell_seconds(one.age)} ago, last used {spell_seconds(one.used)} ago"
    )
