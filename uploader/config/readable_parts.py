"""Read what can be read of a configuration that is wrong, so that a failed start can still be recorded and reported."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from uploader.config.environment_variables import filled
from uploader.config.error_messages import UnfitValueError
from uploader.config.relative_paths import resolved
from uploader.config.set_overrides import overridden
from uploader.config.yaml_document import Document, Tree, parse, read
from uploader.errors import ConfigError

_STATE_DIR: Final = ".uploader"
_MOST_BYTES: Final = 1 << 20


def readable_parts(path: Path, *, overrides: Sequence[str] = (), environ: Mapping[str, str]) -> Mapping[str, Tree]:
    """Return what can be read of the configuration at *path*: its values as text, with *overrides* and variables.

    Nothing is checked: a key may be misspelt, and a value of any kind. A variable that is not set gives None. Where the
    file is no YAML, those of its sections are read that are. Nothing is raised.
    """
    document = Document(path, {}, {}, 0)
    # A pipe can be read only once, and is empty by now.
    if path.is_file():
        try:
            document = read(path)
        except ConfigError:
            document = Document(path, dict(_sections(path)), {}, 0)
    for override in overrides:
        with suppress(ConfigError):
            document = overridden(document, [override])
    return filled(document.tree, environ).tree


def readable_state_dir(parts: Mapping[str, Tree], path: Path) -> Path | None:
    """Return the absolute state folder that *parts* of the configuration at *path* name; None if that is no path."""
    try:
        return resolved(parts.get("state_dir", _STATE_DIR), path.parent.absolute())
    except UnfitValueError:
        return None


def readable_job(parts: Mapping[str, Tree]) -> str:
    """Return the name of the job in *parts*; "" where there is none."""
    source = parts.get("source")
    name = source.get("name") if isinstance(source, dict) else None
    return name if isinstance(name, str) else ""


def _sections(path: Path) -> Iterator[tuple[str, Tree]]:
    """Yield the sections of the file at *path* that are YAML by themselves: each begins at the left margin."""
    try:
        text = path.read_bytes()[:_MOST_BYTES].decode("utf-8-sig", "replace")
    except OSError:
        return
    section: list[str] = []
    for line in [*text.splitlines(), "end:"]:
        if line[:1].strip() and not line.startswith(("#", "-", "}", "]")):
            yield from _parsed("\n".join(section), path)
            section = []
        section.append(line)


def _parsed(section: str, path: Path) -> Iterator[tuple[str, Tree]]:
    with suppress(ConfigError):
        tree = parse(section, str(path))
        if isinstance(tree, dict):
            yield from tree.items()
