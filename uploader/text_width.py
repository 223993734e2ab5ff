"""Say how wide a text is on a terminal."""

import unicodedata


def width(text: str) -> int:
    """Return how many columns of a terminal *text* takes: a wide letter, such as a Korean one, takes two."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
