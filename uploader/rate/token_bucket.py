"""Share one token bucket among all processes with one clock: the generic cell rate algorithm, in one number."""


def reserve(due: float, *, now: float, rate: float, burst: int, most: int = 1) -> tuple[float, float, int]:
    """Reserve places in a bucket that is *due* then; return when it is due afterwards, how long to wait, and how many.

    *due* is when the bucket will be empty again if nothing more comes (ITU-T I.371: the theoretical arrival time). The
    bucket lets *burst* go at once, and *rate* a second after that. Places come in the order of their reservation, so
    that several processes share it evenly. Up to *most* places are reserved if as many are free now, else one. Times
    are seconds of any one clock.
    """
    interval = 1 / rate
    grant_at = max(now, due - (burst - 1) * interval)
    begins = max(now, due)
    places = max(1, min(most, int(burst - (begins - now) * rate))) if most > 1 else 1
    return begins + places * interval, grant_at - now, places
