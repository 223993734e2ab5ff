"""Let a signal end a run in order: requests in flight land, and the signal's own status is what remains."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Final, NoReturn

from uploader.errors import SignalledError
from uploader.halt import Halt

_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Turn the stop signals into `SignalledError` while nothing is being sent; a second one leaves at once."""
    before = {number: signal.signal(number, _raise) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def signals_halt(halt: Halt) -> None:
    """Make the stop signals give *halt* in the running loop; a second one leaves at once."""
    loop = asyncio.get_running_loop()
    for number in _heeded():
        loop.add_signal_handler(number, partial(_give, halt, number))


def end_by(number: int) -> NoReturn:
    """End this process by the signal *number*, so that whoever started it sees why it ended."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)


def _give(halt: Halt, number: int) -> None:
    loop = asyncio.get_running_loop()
    for other in _heeded():
        loop.remove_signal_handler(other)
        signal.signal(other, signal.SIG_DFL)
    halt.give(_signalled(number))


def _raise(number: int, _: FrameType | None) -> NoReturn:
    for other in _heeded():
        signal.signal(other, signal.SIG_DFL)
    raise _signalled(number)


def _signalled(number: int) -> SignalledError:
    return SignalledError(f"Stopped by {signal.Signals(number).name}. Run again to continue.", number)


def _heeded() -> list[signal.Signals]:
    """Return the stop signals but those that whoever started us wants ignored (`nohup`, a background job)."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
