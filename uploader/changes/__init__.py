"""Detect changes: store what the service accepted last for each person, and find retries that are stale."""

from uploader.changes.digest_store import DigestStore
from uploader.changes.digests import Digests, private_key
from uploader.changes.stores_by_service import DigestStores, StoreSummary

__all__ = ["DigestStore", "DigestStores", "Digests", "StoreSummary", "private_key"]
