"""Record and report each start of a command, also one whose options are wrong, as far as they can be read."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from uploader.app.run import record_refused
from uploader.cli.observers import Remarks
from uploader.cli.signals import raise_on_signals, seconds_left
from uploader.errors import ConfigError
from uploader.run.environment import Environment
from uploader.run.observers import Observers
from uploader.run.options import Options


class RecordedCommand(click.Command):
    """A command that records and reports a start with a wrong option, before its error is raised."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 — click's own
    ) -> click.Context:
        """Read *args*; raises UsageError where they are wrong."""
        words = [*args]
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            _record(error, self._readable(words))
            raise

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 — as there
        """Run the command; raises UsageError where its options can't go together."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            _record(error, ctx.params)
            raise

    def _readable(self, words: Sequence[str]) -> Mapping[str, Any] | None:
        """Return those options in *words* that can be read; None where another configuration may be meant."""
        context = click.Context(self, resilient_parsing=True, ignore_unknown_options=True)
        self.parse_args(context, [*words])
        names_config = any(word.partition("=")[0] == "--config" for word in words)
        if names_config and context.get_parameter_source("config") is not ParameterSource.COMMANDLINE:
            return None
        # What follows an unknown option may be its value, and a secret: only a file is a SOURCE here.
        sources = tuple(word for word in context.params.get("sources") or () if _is_file(word))
        found = {**context.params, "sources": sources}
        if context.get_parameter_source("sources") is not ParameterSource.COMMANDLINE:
            # Not all words could be read: the summary might replace a SOURCE.
            found["summary"] = None
        return found


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except OSError:
        return False


def _record(error: click.UsageError, found: Mapping[str, Any] | None) -> None:
    """Record and report that *error* ended the start with the options *found*, if that is known of any job."""
    if found is None:
        return
    options = Options(
        sources=found.get("sources", ()),
        config=found["config"],
        overrides=found["overrides"],
        job=found.get("job") or found.get("retries_of") or "",
        summary=found["summary"],
        retry_file=found["retry_file"],
        sandbox=found["sandbox"],
    )
    environment = Environment(
        environ=os.environ, stdin=None, events=Observers([Remarks(quiet=True)]), seconds_left=seconds_left
    )
    with raise_on_signals():
        record_refused(options, environment, ConfigError(error.format_message()))
