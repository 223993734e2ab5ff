"""Format a duration for people."""


def spell_seconds(seconds: float) -> str:
    """Return *seconds* as text: `41 s`, `12 min`, `8 h 20 min`."""
    if seconds < 100:  # noqa: PLR2004 — beyond this, seconds do not matter
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 — minutes of an hour
