"""Open what is known of the people of a service, as the settings of a run want it."""

import time
from collections.abc import Callable
from pathlib import Path

from uploader.changes import DigestStores
from uploader.changes.change_detection import ChangeDetection
from uploader.config import Settings


def open_stores(state: Path, raise_if_stopped: Callable[[], None] = lambda: None) -> DigestStores:
    """Return the memories in the state folder *state*; *raise_if_stopped* ends the waiting for who keeps one locked."""
    return DigestStores(state, wall=time.time, raise_if_stopped=raise_if_stopped)


def open_change_detection(
    stores: DigestStores, service: str, settings: Settings, *, mapping: str, read_only: bool = False
) -> ChangeDetection:
    """Return the memory of *service* (a digest) in *stores*, as *settings* want it; see `ChangeDetection`."""
    return ChangeDetection(
        stores,
        service,
        facts={"base_url": settings.api.base_url, "service_id": settings.api.service_id},
        mapping=mapping,
        changed_only=settings.changed_only,
        full_every=settings.full_every,
        wall=time.time,
        read_only=read_only,
    )
