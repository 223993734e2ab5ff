"""Read the command line of `uploader schema`."""

import json

import click

from uploader.cli.standard_streams import show
from uploader.config.schema import json_schema


@click.command("schema")
def schema() -> int:
    """Print the JSON Schema of the configuration: its keys, what each means, and how its value is written.

    An editor that knows it completes and checks a configuration. `uploader schema > config.schema.json` puts it beside
    config.yaml, whose first line names it.
    """
    show(json.dumps(json_schema(), ensure_ascii=False, indent=2))
    return 0
