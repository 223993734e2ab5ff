"""Distinguish a truncated JSON object from an invalid one."""

import json
import re

_UNTERMINATED = "Unterminated string"
_BEGUN = re.compile(r"\s*|-|t|tr|tru|f|fa|fal|fals|n|nu|nul")
_NUMBER_BEGUN = re.compile(r"\.|[eE][+-]?")
_ESCAPE_BEGUN = re.compile(r"(?<!\\)(?:\\\\)*\\u[0-9a-fA-F]{0,4}\Z")


def breaks_off(text: str) -> bool:
    """Return whether *text* is a JSON object that lacks only its end."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return _is_at_end(text, error)
    except (ValueError, RecursionError):
        pass
    return False


def _is_at_end(text: str, error: json.JSONDecodeError) -> bool:
    rest = text[error.pos :]
    if error.msg.startswith(_UNTERMINATED) or _BEGUN.fullmatch(rest):
        return True
    if _NUMBER_BEGUN.fullmatch(rest):
        return text[error.pos - 1].isdecimal()
    return len(rest) < len("\\u0000") and _ESCAPE_BEGUN.search(text) is not None
