"""Hold the project's own files to what it promises of them."""

import os
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, requires
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-docs.lock")

# Each name is put together here, so that this file passes its own test.
REGISTRY_HOSTS = tuple(
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("debian", "org"),
    )
)
HOMES = tuple(f"/{name}/" for name in ("home", "Users", "root", "work", "workspace"))

REQUIREMENT = re.compile(r"^[a-z0-9-]+(?P<extras>\[[a-z0-9,-]+\])?==[^ ]+( ;[^\\]+)? \\$")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_names_versions_hashes_and_nothing_else(lock: str) -> None:
    shapes = (REQUIREMENT, re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$"), re.compile(r"^ *#"))

    other = [line for line in _lines(lock) if not any(shape.match(line) for shape in shapes)]

    assert other == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_no_folder(lock: str) -> None:
    named = [line for line in _lines(lock) if re.search(r"://|file:|--index|--extra-index|--find-links|(^|\s)/", line)]

    assert named == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    lines = _lines(lock)

    bare = [
        line
        for line, following in pairwise(lines)
        if REQUIREMENT.match(line) and not following.startswith("    --hash=")
    ]

    assert bare == []


def test_the_runtime_lock_holds_all_that_the_program_and_its_build_need() -> None:
    project = _pyproject()

    assert _names(project["dependencies"]) | _names(project["build"]) <= set(_locked("requirements.lock"))


def test_the_development_lock_holds_the_tools_as_well() -> None:
    assert _names(_pyproject()["dev"]) <= set(_locked("requirements-dev.lock"))


def test_the_development_lock_names_the_extras_that_its_packages_ask_for() -> None:
    # Before 23.3, pip holds `coverage[toml]` to be another package than the locked `coverage`, takes its newest
    # version, and refuses that one, as it has no hash.
    locked = [match for line in _lines("requirements-dev.lock") if (match := REQUIREMENT.match(line))]
    extras = {match[0].partition("==")[0].partition("[")[0]: match["extras"] or "" for match in locked}
    asked = {
        (found["name"].lower(), found["extras"])
        for name in extras
        for requirement in _requirements(name)
        if (found := re.match(r"(?P<name>[\w.-]+)(?P<extras>\[[\w,-]+\])(?!.*extra ==)", requirement))
    }

    missing = {(name, asked_extras) for name, asked_extras in asked if asked_extras != extras.get(name)}

    assert asked
    assert missing == set()


def test_the_lock_of_the_documentation_holds_its_tools_as_well() -> None:
    assert _names(_pyproject()["docs"]) <= set(_locked("requirements-docs.lock"))


@pytest.mark.parametrize("lock", ["requirements-dev.lock", "requirements-docs.lock"])
def test_the_locks_agree_on_every_version(lock: str) -> None:
    assert _locked("requirements.lock").items() <= _locked(lock).items()


def test_the_tools_of_tests_and_of_documentation_can_stand_side_by_side() -> None:
    tests, documentation = _locked("requirements-dev.lock"), _locked("requirements-docs.lock")

    assert {name: tests[name] for name in tests.keys() & documentation.keys()}.items() <= documentation.items()


def test_no_file_names_a_package_registry() -> None:
    found = [(name, host) for name, text in _texts() for host in REGISTRY_HOSTS if host in text]

    assert found == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    # A path shorter than two folders could stand in a text by chance.
    folders = (*HOMES, f"{ROOT}/") if len(ROOT.parts) > 2 else HOMES
    alone = re.compile(rf"(?<![\w.*}}/-])({'|'.join(map(re.escape, folders))})")

    found = [(name, match[0]) for name, text in _texts() if (match := alone.search(text))]

    assert found == []


def test_the_makefile_has_the_targets_that_the_readme_names() -> None:
    targets = {line.partition(":")[0] for line in _lines("Makefile") if re.match(r"^[a-z-]+:", line)}
    names = ["README.md", *(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]
    pages = [line for name in names for line in _lines(name)]
    named = {target for line in pages for target in re.findall(r"(?:^|`)make ([a-z-]+)", line)}

    assert (
        {"install", "demo", "test", "check", "lock", "docs", "examples", "bench", "profile", "fuzz"} <= named <= targets
    )


def test_the_readme_begins_with_the_demo_and_the_tests() -> None:
    blocks = re.findall(
        r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )

    commands = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]

    assert commands[:2] == ["make demo", "make test"]


def test_the_gate_can_be_started() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_no_test_imports_from_a_conftest_or_from_another_test() -> None:
    borrowed = re.compile(r"^from tests\.(?:\w+\.)*(?:conftest|test_\w+) import", re.MULTILINE)

    found = [name for name, text in _texts() if name.startswith("tests/") and borrowed.search(text)]

    assert found == []


def test_what_is_silenced_or_skipped_says_why() -> None:
    mute = re.compile(
        r"# (?:noqa|type: ignore)(?:: [A-Z0-9, ]+|\[[a-z, -]+\])?$|\bskip\(\)|mark\.(?:skip|xfail)$", re.MULTILINE
    )

    found = [f"{name}: {one}" for name, text in _texts() if name.endswith(".py") for one in mute.findall(text)]

    assert found == []


def test_the_folders_that_the_gate_searches_for_paced_tests_have_all_of_them() -> None:
    (searched,) = (line.partition(":=")[2].split() for line in _lines("Makefile") if line.startswith("PACED :="))
    marked = re.compile(r"^(?:@|pytestmark\b.*)pytest\.mark\.paced", re.MULTILINE)

    paced = [name for name, text in _texts() if name.endswith(".py") and marked.search(text)]

    assert paced != []
    assert [name for name in paced if not name.startswith(tuple(f"{folder}/" for folder in searched))] == []


def _pyproject() -> dict[str, list[str]]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        "dependencies": cast("list[str]", document["project"]["dependencies"]),
        "dev": cast("list[str]", document["project"]["optional-dependencies"]["dev"]),
        "docs": cast("list[str]", document["project"]["optional-dependencies"]["docs"]),
        "build": cast("list[str]", document["build-system"]["requires"]),
    }


def _names(requirements: list[str]) -> set[str]:
    """Return the names alone, as a lock writes them."""
    return {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace(".", "-") for requirement in requirements}


def _requirements(package: str) -> list[str]:
    """Return what *package* requires, or nothing where it is not installed (as those for other systems)."""
    try:
        return requires(package) or []
    except PackageNotFoundError:
        return []


def _locked(lock: str) -> dict[str, str]:
    """Return name → version of every package in *lock*."""
    pairs = (line.split(" ")[0].partition("==") for line in _lines(lock) if REQUIREMENT.match(line))
    return {name.partition("[")[0]: version for name, _, version in pairs}


def _lines(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def _texts() -> Iterator[tuple[str, str]]:
    """Yield each file that belongs to the project, by its path, with what can be read in it."""
    left_out = [".git", *(line.rstrip("/") for line in _lines(".gitignore"))]
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in left_out)]
        for name in names:
            if not any(fnmatch(name, pattern) for pattern in left_out):
                path = Path(folder, name)
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace")
