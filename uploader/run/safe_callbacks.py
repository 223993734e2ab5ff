"""Keep words apart from work: none that fails changes a run, and none is spoken in the middle of a step."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

from uploader.errors import UploaderError
from uploader.run.environment import World

P = ParamSpec("P")


def dropping(world: World) -> World:
    """Return *world* with callbacks for people that never fail: what can't be said is dropped."""
    return replace(
        world,
        say=dropped(world.say),
        on_problem=None if world.on_problem is None else dropped(world.on_problem),
        on_checked=None if world.on_checked is None else dropped(world.on_checked),
        on_route=None if world.on_route is None else dropped(world.on_route),
    )


def dropped(tell: Callable[P, None]) -> Callable[P, None]:
    """Return *tell* as it is, but that it never fails."""

    def try_to_tell(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except UploaderError:
            # A signal came while it was spoken, and ends the run.
            raise
        except Exception:  # noqa: BLE001, S110 — whatever keeps words from being said is no trouble of the run
            pass

    return try_to_tell


def between_steps(world: World) -> World:
    """Return *world* whose words are spoken by the running loop, after the step that has them has come to its end."""
    loop = asyncio.get_running_loop()

    def say(line: str) -> None:
        loop.call_soon(world.say, line)

    return replace(world, say=say)
