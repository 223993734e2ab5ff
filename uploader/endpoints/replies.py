"""Read what a reply of the API says: its code, and its words."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import orjson

from uploader.api import DOCUMENTED_MESSAGES, SUCCESS

_LONGEST_MESSAGE: Final = 1_000
"""How many characters of the service's own message are kept."""


@lru_cache(maxsize=16)
def code_and_message(text: bytes | None) -> tuple[str, str]:
    """Return the code in a reply of the API (`docs/api.md`, Replies), and what its words say beyond the code.

    Each is "" if there is none. The words are those of the message, and of the data where it is a text.
    """
    reply = _unambiguous(text) if text else {}
    found = (reply.get("message"), reply.get("data"))
    words = [word for word in found if isinstance(word, str) and word and word not in DOCUMENTED_MESSAGES]
    return _code(reply), ": ".join(dict.fromkeys(words))[:_LONGEST_MESSAGE]


def _code(reply: Mapping[str, object]) -> str:
    """Return the code of *reply*, text or number; "" if it is not the API's."""
    code = reply.get("code")
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    # A code is a short number: anything else comes from another server, and could hold anything.
    if not (isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= 6):  # noqa: PLR2004 — the documented codes have five digits
        return ""
    # A code of success with a status of failure is neither.
    return "" if code == SUCCESS and reply.get("status", True) is not True else code


def _unambiguous(text: bytes) -> dict[str, object]:
    """Return the JSON object in *text*; an empty one if there is none, or if "code" or "status" occurs twice."""
    try:
        reply = orjson.loads(text)
        if not isinstance(reply, dict):
            return {}
        # orjson keeps only the last of equal keys; this list has all.
        keys = [key for key, _ in json.loads(text, object_pairs_hook=tuple)]
    except (ValueError, RecursionError):
        return {}
    return {} if any(keys.count(key) > 1 for key in ("code", "status")) else reply
