"""Let a signal end a command in order and in time, and a second one at once."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from uploader.cli.output_thread import say_if_written
from uploader.errors import SignalledError

if TYPE_CHECKING:
    # It brings asyncio along, which the other commands do without.
    from uploader.stop import Stop

_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

_WAKE_SIGNAL: Final = signal.SIGURG
"""What one thread interrupts another one with; whoever sends it from outside is not heeded, as without us."""

_ORDERLY_SECONDS: Final = 9.5
"""How long the ending in order may take (contract: within 10 s)."""

_MOMENT_SECONDS: Final = 0.5
"""A signal that comes so soon after the first is the same one: `timeout` and service managers send theirs twice."""

_AGAIN_SECONDS: Final = 0.25
"""So long after a knock comes the next one: one that comes right before a wait may not interrupt it."""


class _SignalThread:
    """Hears the stop signals in a thread of its own, whatever the main thread is doing or waiting for.

    All threads block the signals, whose action is the default one, and this thread waits for them. When the first has
    come, it passes that on to the main thread and, a moment later, lets the next one through, which then ends the
    process at once, by the kernel's hand. If the process is still there when the time for an ending in order is over,
    it ends it itself.
    """

    def __init__(self) -> None:
        self.error: SignalledError | None = None
        self._pass_on: Callable[[SignalledError], None] | None = None
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
        self.error, self._pass_on = None, None
        self._may_raise = self._is_handed_over = self._is_delivered = False
        self._numbers, self._over = numbers, threading.Event()
        handlers = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
        handlers[_WAKE_SIGNAL] = signal.signal(_WAKE_SIGNAL, self._woken)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*numbers, _WAKE_SIGNAL})
        thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        try:
            with contextlib.suppress(RuntimeError):
                thread.start()
            # Where there is no thread left, a signal ends the process at once.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {_WAKE_SIGNAL} if thread.ident else {*numbers, _WAKE_SIGNAL})
            yield
        finally:
            self._over.set()
            if thread.ident:
                with contextlib.suppress(ProcessLookupError):
                    signal.pthread_kill(thread.ident, _WAKE_SIGNAL)
                thread.join()
            # In this order: what came in between ends the process.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _listen(self) -> None:
        while (number := signal.sigwait({*self._numbers, _WAKE_SIGNAL})) == _WAKE_SIGNAL:
            # Others may send it as well.
            if self._over.is_set():
                return
        error = self.error = SignalledError(f"Stopped by {_name(number)}. Run again to continue.", number)
        if self._pass_on is not None:
            self._pass_on(error)
            if self._ends_in_order():
                return
            say_if_written(
                sys.stderr, f"Stopped by {_name(number)}, before everything was in order. Run again to continue."
            )
        self._end_at_once(number)

    def _ends_in_order(self) -> bool:
        """Wait for the end as long as it may take, and knock until the main thread has heard."""
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
        """Whether the main thread is to raise the error, wherever it is."""
        return self._may_raise and not self._is_handed_over and not self._is_delivered

    @staticmethod
    def _wake(_: SignalledError | None = None) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, _WAKE_SIGNAL)

    def _woken(self, _: int, __: FrameType | None) -> None:
        if self._is_raised_here:
            self.raise_it()

    def raise_it(self) -> None:
        """Raise the SignalledError of the signal that came, if one came."""
        if self.error is not None:
            self._is_delivered = True
            raise self.error

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Interrupt the main thread with the error."""
        self._is_handed_over, self._pass_on = False, self._wake
        self._may_raise = True
        try:
            yield
        finally:
            self._may_raise, self._pass_on = False, None
        if not self._is_delivered:
            self.raise_it()

    def order(self, give: Callable[[SignalledError], object]) -> None:
        """Hand the error to *give* from now on, from another thread; if it raises RuntimeError, do as before."""
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
"""The one of this process."""


@contextlib.contextmanager
def handle_signals() -> Iterator[None]:
    """Listen for the stop signals: the first ends the process at once, or within 10 s where something is to be ended.

    A second one, half a second later or more, always ends it at once.
    """
    with _WATCH.listening():
        yield


def raise_on_signals() -> contextlib.AbstractContextManager[None]:
    """Turn the stop signals into `SignalledError` in the main thread, also in the middle of a wait."""
    return _WATCH.raising()


def signals_stop(stop: "Stop") -> None:
    """Make the stop signals give *stop* in the running loop; once that is closed, they are raised again."""
    _WATCH.order(stop.request_from_thread())


def call_on_signal(call: Callable[[], object]) -> None:
    """Make the stop signals *call*, from another thread."""
    _WATCH.order(lambda _: call())


def raise_if_signalled() -> None:
    """Raise the SignalledError of the signal that came, for whoever keeps the loop from hearing of it."""
    _WATCH.raise_it()


def end_by(number: int) -> NoReturn:
    """End this process by the signal *number*, so that whoever started it sees why it ended."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)


def _name(number: int) -> str:
    return signal.Signals(number).name


def _handled_signals() -> list[signal.Signals]:
    """Return the stop signals but those that whoever started us wants ignored (`nohup`, a background job)."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
