"""Decide which fault, if any, a request meets."""

import random

from uploader.sandbox.faults import Fault
from uploader.sandbox.request_body import ParsedBody


class FaultSchedule:
    """The faults of one sandbox, with their counts; the same seed and requests give the same faults."""

    def __init__(self, faults: tuple[Fault, ...], seed: int) -> None:
        """Schedule *faults*; *seed* is the random seed."""
        self._faults = tuple(_ScheduledFault(fault, f"{seed}:{place}") for place, fault in enumerate(faults))

    def next_fault(self, parsed: ParsedBody, *, elapsed: float = 0.0) -> Fault | None:
        """Return the first fault that happens to this request; every fault counts the request.

        *elapsed* is how many seconds after the first request it arrived.
        """
        if not self._faults:
            return None
        due = [fault for fault in self._faults if fault.is_due(parsed) and fault.is_in_time(elapsed)]
        return next((fault.fault for fault in due if fault.happens()), None)


class _ScheduledFault:
    def __init__(self, fault: Fault, seed: str) -> None:
        self.fault = fault
        self._random = random.Random(seed)  # noqa: S311 - faults must be the same in every run with this seed
        self._met = 0
        self._happened = 0

    def is_due(self, parsed: ParsedBody) -> bool:
        """Count a request that the fault is meant for; return whether the first *after* of them have passed."""
        if self.fault.field and not parsed.has_value(self.fault.field, self.fault.value):
            return False
        self._met += 1
        return self._met > self.fault.after

    def is_in_time(self, elapsed: float) -> bool:
        """Return whether the fault is active at *elapsed* seconds."""
        return self.fault.begins <= elapsed < self.fault.ends

    def happens(self) -> bool:
        """Return whether the fault happens now, and count it."""
        if self.fault.times is not None and self._happened >= self.fault.times:
            return False
        # random() < 1 always holds, and 1.0 is the share of a fault without one.
        if self._random.random() >= self.fault.share:
            return False
        self._happened += 1
        return True
