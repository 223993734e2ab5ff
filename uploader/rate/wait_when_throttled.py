"""Decide how long all runs pause after a throttled reply."""

from typing import Final

from uploader.model import WindowState

_LEAST_PAUSE: Final = 1.0
"""Seconds to pause when the reset that a server names is just past: its clock shows whole seconds only."""


_LONGEST_PAUSE: Final = 31 * 86_400.0
"""Seconds to pause at most: a value of more than a month is no number of seconds."""


def pause_after_throttling(window: WindowState, *, per: float, now: float) -> float:
    """Return how many seconds all runs must pause after a throttled reply (`api.md`, Request limits).

    A `Retry-After` is obeyed. Otherwise the pause lasts from the reply's own date to the reset it names, so that a
    wrong local clock does no harm; *now* (seconds since 1970) is used where the reply has no date. If the reset makes
    no sense, the pause is one whole window: the one the reply names, or *per* seconds.
    """
    if window.retry_after is not None and window.retry_after >= 0:
        return min(max(window.retry_after, _LEAST_PAUSE), _LONGEST_PAUSE)
    period = min(window.period or per, _LONGEST_PAUSE)
    if window.reset is None:
        return period
    left = window.reset - (now if window.date is None else window.date)
    if -_LEAST_PAUSE < left <= 0:
        return _LEAST_PAUSE
    return left if 0 < left <= period + 1 else period
