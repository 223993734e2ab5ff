"""Read the command line of `uploader schema`."""

import click

from uploader.cli.standard_streams import show
from uploader.config.schema import schema_text


@click.command("schema")
def schema() -> int:
    """Print the JSON Schema of the configuration: its keys, what each means, and how its value is written.

    An editor that knows it completes and checks a configuration. `uploader init` puts it beside config.yaml, whose
    first line names it; `uploader schema > config.schema.json` replaces that of another version.
    """
    show(schema_text().removesuffix("\n"))
    return 0
