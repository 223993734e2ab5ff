"""Deal the faults: decide which of them, if any, a request meets."""

import random

from uploader.sandbox.faults import Fault
from uploader.sandbox.request_body import Heard


class Deck:
    """The faults of one sandbox and how often each was met; the same seed and requests deal the same faults."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        """Deal *faults* with the dice of *seed*."""
        self._cards = tuple(_Card(fault, f"{seed}:{place}") for place, fault in enumerate(faults))

    def deal(self, heard: Heard, *, elapsed: float = 0.0) -> Fault | None:
        """Return the fault that this request meets: the first that plays, though each counts the request.

        *elapsed* is how many seconds after the first request it came.
        """
        met = [card for card in self._cards if card.counts(heard) and card.lasts(elapsed)]
        return next((card.fault for card in met if card.plays()), None)


class _Card:
    def __init__(self, fault: Fault, seed: str) -> None:
        self.fault = fault
        self._dice = random.Random(seed)  # noqa: S311 - dice of a rehearsal, which must fall alike every time
        self._met = 0
        self._played = 0

    def counts(self, heard: Heard) -> bool:
        """Count a request that the fault is meant for; tell whether its turn has come."""
        if self.fault.field and not heard.says(self.fault.field, self.fault.value):
            return False
        self._met += 1
        return self._met > self.fault.after

    def lasts(self, elapsed: float) -> bool:
        """Tell whether it is the fault's time."""
        return self.fault.begins <= elapsed < self.fault.ends

    def plays(self) -> bool:
        """Tell whether the fault plays now, and note it."""
        if self.fault.times is not None and self._played >= self.fault.times:
            return False
        # random() < 1 always holds, and 1.0 is the share of a fault without one.
        if self._dice.random() >= self.fault.share:
            return False
        self._played += 1
        return True
