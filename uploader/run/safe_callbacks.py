"""Keep messages apart from work: none that fails changes a run, and none is printed in the middle of a step."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

from uploader.errors import UploaderError
from uploader.run.environment import Environment

P = ParamSpec("P")


def with_safe_callbacks(environment: Environment) -> Environment:
    """Return *environment* with callbacks that never fail: a message that can't be printed is dropped."""
    return replace(
        environment,
        say=safe_callback(environment.say),
        on_problem=None if environment.on_problem is None else safe_callback(environment.on_problem),
        on_reason=None if environment.on_reason is None else safe_callback(environment.on_reason),
        on_checked=None if environment.on_checked is None else safe_callback(environment.on_checked),
        on_route=None if environment.on_route is None else safe_callback(environment.on_route),
        on_row_by_row=None if environment.on_row_by_row is None else safe_callback(environment.on_row_by_row),
    )


def safe_callback(tell: Callable[P, None]) -> Callable[P, None]:
    """Return *tell* so that it never fails, except with an UploaderError."""

    def try_to_tell(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except UploaderError:
            # A signal came while the message was printed; it ends the run.
            raise
        except Exception:  # noqa: BLE001, S110 — a message that can't be printed ends no run
            pass

    return try_to_tell


def between_steps(environment: Environment) -> Environment:
    """Return *environment* whose messages the running loop prints after the step that they come from."""
    loop = asyncio.get_running_loop()

    def say(line: str) -> None:
        loop.call_soon(environment.say, line)

    return replace(environment, say=say)
