"""Say how long something takes."""


def spell_seconds(seconds: float) -> str:
    """Return *seconds* as a person says them: `41 s`, `12 min`, `8 h 20 min`."""
    if seconds < 100:  # noqa: PLR2004 — up to here the seconds still mean something
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 — minutes of an hour
