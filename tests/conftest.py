"""Lend the tests a sandbox, a clock that leaps and a folder with a configuration; make every search find the same."""

import asyncio
import os
import pkgutil
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import uploader
from tests import make
from tests.fakes import Leap, LeapingLoop
from tests.watching import Lines
from uploader.config import Settings, load
from uploader.run.environment import Environment
from uploader.sandbox import RunningSandbox, SandboxRules, running

# What a busy machine does more slowly is neither an error nor a finding.
_UNHURRIED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], database=None, print_blob=True
)
hypothesis.settings.register_profile("same", _UNHURRIED, derandomize=True)
hypothesis.settings.register_profile("fuzz", _UNHURRIED, derandomize=False)
hypothesis.settings.load_profile("same")

# Hypothesis tries the constants of the modules that are loaded. Which ones a test has loaded before depends on the
# order in which several workers take the tests, so that all are loaded here.
for module in pkgutil.walk_packages(uploader.__path__, f"{uploader.__name__}."):
    import_module(module.name)


# Tests read what people read: each line alone, as on a terminal, without its time and run ID. Those of the log's format
# set another.
os.environ["UPLOADER_LOG_FORMAT"] = "plain"


# Whoever starts the tests by nohup, or in the background of a script, lets them ignore these; the processes that tests
# start and stop would inherit that.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure no coverage where it would double a long time, or slow down what a test measures.

    What the long and slow tests, searches and simulations go through, the other tests go through as well.
    """
    for item in items:
        searches = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if searches or any(item.get_closest_marker(name) is not None for name in ("long", "slow", "seeded")):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture
def sandbox() -> Iterator[Callable[..., RunningSandbox]]:
    """Start sandboxes, each in a thread of its own: `sandbox(SandboxRules(...))`; all stop at the test's end."""
    with ExitStack() as stack:

        def start(rules: SandboxRules | None = None, store: Path | None = None) -> RunningSandbox:
            return stack.enter_context(running(rules or SandboxRules(), store))

        yield start


@pytest.fixture
def leap() -> Leap:
    """Run a story in leaping time: `asyncio.sleep` and the loop's clock agree, and no real time passes."""

    def run(story: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            runner.run(story)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with a `config.yaml` in it (`make.CONFIG`)."""
    monkeypatch.chdir(tmp_path)
    make.config(tmp_path)
    return tmp_path


@pytest.fixture
def settings(folder: Path) -> Callable[..., Settings]:
    """Load the configuration of the working directory, with the given lines laid over it."""

    def loaded(*overrides: str) -> Settings:
        assert folder.is_dir()
        return load(Path("config.yaml"), overrides=overrides, environ={})

    return loaded


@pytest.fixture
def said() -> list[str]:
    """Collect what people are told."""
    return []


@pytest.fixture
def world(said: list[str]) -> Environment:
    """Return the world as it looks from there: no environment, an empty standard input."""
    return Environment(environ={}, stdin=BytesIO(b""), events=Lines(said))
