"""Read the command line of `uploader notify`."""

import os
from pathlib import Path

import click

from uploader.app.notify import send_trials
from uploader.cli.common_flags import config_flag, set_flag
from uploader.cli.signals import raise_on_signals
from uploader.cli.standard_streams import say
from uploader.config import load

_ALL_ACCEPTED = 0
_SOME_NOT = 3


@click.command("notify")
@config_flag("Read the configuration from FILE: its notify.url and notify.ping are the endpoints.")
@set_flag()
@click.option("--test", is_flag=True, help="Send a test to each endpoint, and print how it answered.")
def notify(*, config: Path, overrides: tuple[str, ...], test: bool) -> int:
    """Try whether the notifications of runs arrive where they should.

    Ends with 0 if every endpoint accepted its test, and with 3 if one did not. The test of a ping is a `/log`, which
    changes the state of no check.
    """
    if not test:
        raise click.UsageError("Say what to do: --test sends a test to each endpoint.")
    settings = load(config, overrides=overrides, environ=os.environ, credentials=False)
    with raise_on_signals():
        replies = send_trials(settings, os.environ)
    for reply in replies:
        say(f"{reply.endpoint.name} {reply.words}.")
    return _ALL_ACCEPTED if all(reply.is_success for reply in replies) else _SOME_NOT
