"""Keep observers apart from work: none that fails changes a run, and none is called in the middle of a step."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from uploader.errors import SignalledError
from uploader.run.environment import Environment
from uploader.run.events import Events

EventName: TypeAlias = Literal["reason_found", "progressed", "settled"]
"""The events that are made only if somebody wants them: they are about single rows, or come again and again."""

_NAMES: Final = tuple(name for name in vars(Events) if not name.startswith("_"))

_AT_ONCE: Final = frozenset({"stoppable", "settled", "reason_found"})
"""Events that are reported in the step in which they happen: to stop in time, and as there are many of the others."""

Hear: TypeAlias = Callable[[Any], object]
"""A method of an observer; what it takes depends on its name."""


class Observers(Events):
    """Several observers as one: each gets the events whose methods it overrides, and none that raises changes the run.

    Only a signal passes, which is raised wherever the main thread happens to be; it ends the run.
    """

    def __init__(self, observers: Sequence[Events], later: Callable[[Hear, object], object] | None = None) -> None:
        """Pass events to *observers*, in their order; *later* calls a method when the current step is over."""
        for name in _NAMES:
            hearing: list[Hear] = [getattr(observer, name) for observer in observers if _overrides(observer, name)]
            if not hearing:
                continue
            report: Hear = partial(_report, hearing)
            if later is not None and name not in _AT_ONCE:
                report = partial(later, report)
            # The instance's own method takes the place of the one that does nothing.
            setattr(self, name, report)


def _report(hearing: Sequence[Hear], event: object) -> None:
    for hear in hearing:
        try:
            hear(event)
        except SignalledError:
            raise
        except Exception:  # noqa: BLE001, S110 — what an observer does changes no run
            pass


def _overrides(observer: Events, name: str) -> bool:
    return getattr(getattr(observer, name), "__func__", None) is not getattr(Events, name)


def wants(events: Events, name: EventName) -> bool:
    """Whether somebody wants the events called *name*; else they need not be made."""
    return _overrides(events, name)


def with_observers(environment: Environment) -> Environment:
    """Return *environment*, whose observers change no run."""
    return replace(environment, events=Observers([environment.events]))


def between_steps(events: Events) -> Events:
    """Return *events*, which the running loop reports after the step in which they happen."""
    loop = asyncio.get_running_loop()
    return Observers([events], loop.call_soon)
