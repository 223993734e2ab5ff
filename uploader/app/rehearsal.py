"""Rehearse: put the sandbox in the place of the service, and throwaway places in the place of real ones."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from uploader.config import Settings
from uploader.rules import MappingRules
from uploader.sandbox import Rules, Sandbox


def sandbox_for(settings: Settings, *, typed: bool) -> Sandbox:
    """Return a sandbox that enforces the limit of *settings*, and knows the properties that their mapping sends.

    *typed* is whether the sources bring types of their own, so that the short form says nothing of the type.
    """
    rules = settings.rules()
    return Sandbox(
        Rules(
            limit=settings.rate.requests,
            per=settings.rate.per,
            token=settings.api.access_token.get_secret_value(),
            service_id=settings.api.service_id,
            registered=None if rules.other_columns == "send" else _registered(rules, typed=typed),
        )
    )


def throwaway_folder() -> Path:
    """Return a new folder for what a rehearsal leaves behind, readable by this user only."""
    return Path(tempfile.mkdtemp(prefix="uploader-rehearsal-"))


def _registered(rules: MappingRules, *, typed: bool) -> Mapping[str, str | None]:
    untold = None if typed else "string"
    return {rule.key: rule.kind or (untold if rule.column is not None else "string") for rule in rules.properties}
