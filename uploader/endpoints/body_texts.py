"""Spell what the bodies of all endpoints have in common: the identity first, the time last."""

from typing import Final

import orjson

from uploader.api import TIME_KEY
from uploader.model import Reason

IDENTITY_KEY: Final = "identity"
IDENTITY_BEGIN: Final = f'{{"{IDENTITY_KEY}":{{'
"""What is before the members of the identity."""

TIME_BEGIN: Final = f'}},"{TIME_KEY}":"'
"""What is between the last member of the last part and the time, with the quote that begins it."""

NOT_UNICODE: Final = Reason("not_unicode", "a value holds half of a surrogate pair, which is no text")
"""Why parts that orjson can't encode are no body."""

_TIME_MEMBER: Final = b',"%s":' % TIME_KEY.encode()
_END: Final = b'"}'


class BodyTexts:
    """The answers about a body that are the same at every endpoint; see `BodyFormat` and `Endpoint`."""

    @staticmethod
    def complete(begin: bytes, time: str) -> bytes:
        """Return the whole body of its *begin* at *time*."""
        return begin + time.encode() + _END

    @staticmethod
    def member_begin(key: str) -> str:
        """Return what is right before the value of *key*: in a text, the quotes would be escaped."""
        return orjson.dumps(key).decode() + ":"

    @staticmethod
    def text_begin(first: str) -> bytes:
        """Return what every text begins with whose first characters are *first*."""
        return b'"' + first.encode()

    @staticmethod
    def meaning(body: bytes) -> bytes:
        """Return *body* up to its time, which is the last member; no value can contain the key with its quotes."""
        return body.rpartition(_TIME_MEMBER)[0]
