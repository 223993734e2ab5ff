"""Let a first signal end a command in order and in time, and a second one end it at once."""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from uploader.cli.line_format import LINES
from uploader.cli.output_thread import say_if_written
from uploader.errors import SignalledError

if TYPE_CHECKING:
    # It imports asyncio, which the other commands do not need.
    from uploader.stop import Stop

_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

_WAKE_SIGNAL: Final = signal.SIGURG
"""The signal with which one thread interrupts another; sent from outside it has no effect, as by default."""

_ORDERLY_SECONDS: Final = 9.5
"""Seconds that ending in order may take (contract: within 10 s)."""

_LAST_LINES_SECONDS: Final = 1.5
"""Seconds of them that are kept for the last lines, which a slow reader may delay."""

_MOMENT_SECONDS: Final = 0.5
"""Seconds after the first signal in which another counts as the same: `timeout` and service managers send two."""

_AGAIN_SECONDS: Final = 0.25
"""Seconds between two wake signals: one that comes right before a wait may not interrupt it."""


class _SignalThread:
    """Waits for the stop signals in a thread of its own, whatever the main thread does or waits for.

    All threads block the signals, which keep their default action. After the first signal, this thread notifies the
    main thread. A moment later it unblocks the signals, so that the kernel ends the process at the next one. If the
    process has not ended in order by then, this thread ends it after `_ORDERLY_SECONDS`.
    """

    def __init__(self) -> None:
        self.error: SignalledError | None = None
        self.received_at: float | None = None
        self._pass_on: Callable[[SignalledError], None] | None = None
        self._resumed_by: Callable[[], str] | None = None
        self._may_raise = False
        self._is_handed_over = False
        self._is_delivered = False
        self._over = threading.Event()
        self._numbers: list[signal.Signals] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        numbers = _handled_signals()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.error, self.received_at, self._pass_on = None, None, None
        self._may_raise = self._is_handed_over = self._is_delivered = False
        self._numbers, self._over = numbers, threading.Event()
        handlers = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
        handlers[_WAKE_SIGNAL] = signal.signal(_WAKE_SIGNAL, self._woken)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*numbers, _WAKE_SIGNAL})
        thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        try:
            with contextlib.suppress(RuntimeError):
                thread.start()
            # Without the thread, a signal ends the process at once.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {_WAKE_SIGNAL} if thread.ident else {*numbers, _WAKE_SIGNAL})
            yield
        finally:
            self._over.set()
            if thread.ident:
                with contextlib.suppress(ProcessLookupError):
                    signal.pthread_kill(thread.ident, _WAKE_SIGNAL)
                thread.join()
            # In this order, so that a signal that came in between ends the process.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _listen(self) -> None:
        while (number := signal.sigwait({*self._numbers, _WAKE_SIGNAL})) == _WAKE_SIGNAL:
            # Another process may send it as well.
            if self._over.is_set():
                return
        self.received_at = time.monotonic()
        resumed_by = self._resumed_by
        then = "Run again." if resumed_by is None else "Run again to resume."
        error = self.error = SignalledError(f"Stopped by {_name(number)}. {then}", number)
        if self._pass_on is not None:
            self._pass_on(error)
            if self._ends_in_order():
                return
            if resumed_by is not None:
                then = f"Run again to resume: {resumed_by()}"
            line = f"Stopped by {_name(number)}, before everything was saved. {then}"
            say_if_written(sys.stderr, LINES.line(line, "error"))
        self._end_at_once(number)

    def _ends_in_order(self) -> bool:
        """Wait until the process ends in order, and wake the main thread until it takes notice; whether it ended."""
        begin = time.monotonic()
        lets_through = False
        while (elapsed := time.monotonic() - begin) < _ORDERLY_SECONDS:
            is_over = self._over.wait(min(_ORDERLY_SECONDS - elapsed, _AGAIN_SECONDS))
            if not lets_through and (is_over or elapsed + _AGAIN_SECONDS >= _MOMENT_SECONDS):
                lets_through = True
                while signal.sigtimedwait(self._numbers, 0) is not None:
                    pass
                signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)
            if is_over:
                return True
            if self._is_raised_here:
                self._wake()
        return False

    def _end_at_once(self, number: int) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._numbers)
        os.kill(os.getpid(), number)

    @property
    def _is_raised_here(self) -> bool:
        """Whether the main thread must raise the error, at whatever point it is."""
        return self._may_raise and not self._is_handed_over and not self._is_delivered

    @staticmethod
    def _wake(_: SignalledError | None = None) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, _WAKE_SIGNAL)

    def _woken(self, _: int, __: FrameType | None) -> None:
        if self._is_raised_here:
            self.raise_it()

    def raise_it(self) -> None:
        """Raise the SignalledError of the received signal, if any."""
        if self.error is not None:
            self._is_delivered = True
            raise self.error

    @contextlib.contextmanager
    def raising(self, resumed_by: Callable[[], str] | None) -> Iterator[None]:
        """Interrupt the main thread with the error."""
        self._resumed_by = resumed_by
        self._is_handed_over, self._pass_on = False, self._wake
        self._may_raise = True
        try:
            yield
        finally:
            self._may_raise, self._pass_on = False, None
        if not self._is_delivered:
            self.raise_it()

    def order(self, give: Callable[[SignalledError], object]) -> None:
        """Pass the error to *give* from now on, in another thread; if it raises RuntimeError, do as before."""
        is_raised = self._may_raise

        def pass_on(error: SignalledError) -> None:
            try:
                give(error)
                self._is_delivered = True
            except RuntimeError:
                self._is_handed_over = False
                if not is_raised:
                    self._end_at_once(error.number)
                self._wake()

        self._is_handed_over, self._pass_on = True, pass_on
        if self.error is not None and not self._is_delivered:
            pass_on(self.error)


_WATCH: Final = _SignalThread()
"""The thread of this process."""


@contextlib.contextmanager
def handle_signals() -> Iterator[None]:
    """Handle the stop signals: the first ends the process at once, or within 10 s where a command must end in order.

    A second one, at least half a second later, ends it at once.
    """
    with _WATCH.listening():
        yield


def raise_on_signals(resumed_by: Callable[[], str] | None = None) -> contextlib.AbstractContextManager[None]:
    """Raise the stop signals as `SignalledError` in the main thread, also during a wait.

    *resumed_by* returns the command that resumes what they stop; None: nothing is resumed.
    """
    return _WATCH.raising(resumed_by)


def signals_stop(stop: "Stop") -> None:
    """Make the stop signals request *stop* in the running loop; once that is closed, they are raised again."""
    _WATCH.order(stop.request_from_thread())


def call_on_signal(call: Callable[[], object]) -> None:
    """Make the stop signals call *call*, in another thread."""
    _WATCH.order(lambda _: call())


def raise_if_signalled() -> None:
    """Raise the SignalledError of the received signal, if any, in code that blocks the loop."""
    _WATCH.raise_it()


def seconds_left() -> float:
    """Return how long this process may still take before it prints its last lines; no limit before a signal came."""
    if _WATCH.received_at is None:
        return math.inf
    return max(0.0, _WATCH.received_at + _ORDERLY_SECONDS - _LAST_LINES_SECONDS - time.monotonic())


def end_by(number: int) -> NoReturn:
    """End this process by the signal *number*, so that its parent sees why it ended."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)


def _name(number: int) -> str:
    return signal.Signals(number).name


def _handled_signals() -> list[signal.Signals]:
    """Return the stop signals without those that the parent has ignored (`nohup`, a background job)."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
