"""Lend the tests a sandbox that answers over real sockets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from uploader.sandbox import Rules, Running, running


@pytest.fixture
def sandbox() -> Iterator[Callable[..., Running]]:
    """Start sandboxes, each in a thread of its own: `sandbox(Rules(...))`; all stop at the test's end."""
    with ExitStack() as stack:

        def start(rules: Rules | None = None, store: Path | None = None) -> Running:
            return stack.enter_context(running(rules or Rules(), store))

        yield start
