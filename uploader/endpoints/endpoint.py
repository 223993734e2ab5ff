"""Say what the rest of the program may ask of a call of the API."""

from collections.abc import Collection, Container, Mapping, Sequence
from typing import Protocol

from uploader.api import EndpointName
from uploader.mapping.body_format import BodyFormat


class Endpoint(BodyFormat, Protocol):
    """One call of the API: where it is, what it takes, and what its bodies mean. Nobody else knows how they look."""

    @property
    def name(self) -> EndpointName:
        """The name in `api.endpoint`."""
        ...

    @property
    def path(self) -> str:
        """The path below the base URL."""
        ...

    @property
    def identity_fields(self) -> Collection[str]:
        """The fields that an identity may have."""
        ...

    @property
    def needs_property(self) -> bool:
        """Whether a request without any property is refused."""
        ...

    @property
    def true_consents(self) -> Mapping[str, str]:
        """Each consent that a body may give, and the text that is in a body if and only if it is true there."""
        ...

    @property
    def any_true_consent(self) -> str:
        """The text that is in every body with a true consent, and in some others."""
        ...

    def meaning(self, body: bytes) -> bytes:
        """Return what *body* says but for its time: two bodies with the same meaning leave the same at the service.

        *body* may end anywhere after the key of its time.
        """
        ...

    def consents_given(self, body: bytes) -> Sequence[str]:
        """Return the consents that are true in *body*."""
        ...

    def property_names(self, body: bytes) -> Sequence[str]:
        """Return the names of the properties that *body* sets, in their order."""
        ...

    def without(self, body: bytes, names: Container[str]) -> bytes | None:
        """Return *body* without the properties in *names*; None if nothing is left to be sent."""
        ...
