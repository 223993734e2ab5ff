"""Name the properties in the body of a request, or leave some of them out."""

from collections.abc import Container
from dataclasses import replace

import orjson

from uploader.model import Request


def property_names(request: Request) -> list[str]:
    """Return the names of the properties that *request* sets, in their order."""
    return list(orjson.loads(request.body)["user_properties"])


def without(request: Request, names: Container[str]) -> Request | None:
    """Return *request* without the properties in *names*; None if it has no others."""
    # orjson reads back exactly what it wrote, to the last digit.
    body = orjson.loads(request.body)
    properties = body["user_properties"]
    left = {name: value for name, value in properties.items() if name not in names}
    if len(left) == len(properties):
        return request
    return replace(request, body=orjson.dumps({**body, "user_properties": left})) if left else None
