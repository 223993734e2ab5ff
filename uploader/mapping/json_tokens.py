"""Read the JSON of one value as the reader of JSONL does, where that is certain."""

import json
from typing import Final, NoReturn

from uploader.model import LEAST_NORMAL, WHOLE_DOUBLES


class UncertainTokenError(ValueError):
    """The value is one about which only the reader of whole lines can decide."""


def value_of(token: str) -> object:
    """Return the value of *token*, valid JSON; raises ValueError where only the whole line can be read.

    Objects are never read: no type of the API takes one. Neither are numbers of which a double may lose digits.
    """
    return _DECODER.decode(token)


def _certain_float(digits: str) -> float:
    number = float(digits)
    if LEAST_NORMAL <= abs(number) < WHOLE_DOUBLES or not digits.strip("-0."):
        return number
    raise UncertainTokenError


def _refused(_: object) -> NoReturn:
    raise UncertainTokenError


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_refused, parse_float=_certain_float, parse_constant=_refused)
