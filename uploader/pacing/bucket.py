"""Share one bucket among all who have its clock: the generic cell rate algorithm, in one number."""


def reserve(due: float, *, now: float, rate: float, burst: int) -> tuple[float, float]:
    """Reserve the next place in a bucket that is *due* then; return when it is due afterwards, and how long to wait.

    *due* is when the bucket will be empty again, were nothing to come any more (ITU-T I.371: the theoretical arrival
    time). It lets *burst* go at once and *rate* a second after that; whoever reserved earlier goes earlier, so that
    several processes share it evenly. Times are seconds of any one clock.
    """
    interval = 1 / rate
    goes = max(now, due - (burst - 1) * interval)
    return max(now, due) + interval, goes - now
