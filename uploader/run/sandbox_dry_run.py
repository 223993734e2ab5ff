"""Make a dry run: the sandbox takes the place of the service, and temporary folders that of real ones."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from uploader.config import Settings
from uploader.mapping.rules import MappingRules
from uploader.sandbox import Sandbox, SandboxRules


def sandbox_for(settings: Settings, *, typed: bool) -> Sandbox:
    """Return a sandbox that enforces the limit of *settings*, and knows the properties that are registered.

    Those are `registered` of the configuration: what the service would not store is refused. Without that section they
    are those that the mapping sends.

    *typed* is whether the sources have types of their own, so that a rule's short form sets no type.
    """
    rules, registered = settings.rules(), settings.registered
    if registered is None and rules.other_columns != "send":
        known: Mapping[str, str | None] | None = _registered(rules, typed=typed)
    else:
        known = registered
    return Sandbox(
        SandboxRules(
            limit=settings.rate.requests,
            per=settings.rate.per,
            token=settings.api.access_token,
            service_id=settings.api.service_id,
            registered=known,
            refuses_misfits=registered is not None,
        )
    )


@contextlib.contextmanager
def throwaway_folder() -> Iterator[Path]:
    """Yield a new folder, readable by this user only, for a dry run; only a retry file in it is kept."""
    folder = Path(tempfile.mkdtemp(prefix="uploader-dry-run-"))
    try:
        yield folder
    finally:
        shutil.rmtree(state_in(folder), ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def state_in(folder: Path) -> Path:
    """Return the state folder of a dry run in *folder*."""
    return folder / "state"


def _registered(rules: MappingRules, *, typed: bool) -> Mapping[str, str | None]:
    default = None if typed else "string"
    return {rule.key: rule.kind or (default if rule.column is not None else "string") for rule in rules.properties}
