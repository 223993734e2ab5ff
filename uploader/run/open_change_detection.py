"""Open the change detection of a service, as the settings of a run want it."""

from collections.abc import Callable
from pathlib import Path

from uploader.changes import DigestStores
from uploader.changes.change_detection import ChangeDetection, DetectionSettings
from uploader.clock import Clock
from uploader.config import Settings
from uploader.endpoints import ENDPOINTS, USER_PROFILE
from uploader.model import UNKNOWN_RUN


def open_stores(
    state: Path, *, wall: Callable[[], float], raise_if_stopped: Callable[[], None] = lambda: None
) -> DigestStores:
    """Return the digest stores in the state folder *state*; *raise_if_stopped* ends the wait for a locked one."""
    return DigestStores(state, wall=wall, raise_if_stopped=raise_if_stopped)


def open_change_detection(  # noqa: PLR0913 — what finds and makes the store, each asked for by name
    stores: DigestStores,
    service: str,
    settings: Settings,
    *,
    clock: Clock,
    mapping: str,
    newest_ended_run: Callable[[], int] = lambda: UNKNOWN_RUN,
    read_only: bool = False,
) -> ChangeDetection:
    """Return the change detection of *service* (a digest) in *stores*, as *settings* want it; see `ChangeDetection`."""
    endpoint = ENDPOINTS[settings.api.endpoint]
    path = "" if endpoint is USER_PROFILE else endpoint.path
    return ChangeDetection(
        stores,
        DetectionSettings(
            service,
            # The digests of another endpoint are in a store of their own, which its address names.
            {"base_url": settings.api.base_url + path, "service_id": settings.api.service_id},
            mapping,
            settings.changed_only,
            settings.full_every,
            newest_ended_run,
            read_only,
            endpoint,
        ),
        clock=clock,
    )
