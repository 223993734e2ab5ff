"""Refuse flags that can't go together."""

import errno
from pathlib import Path

from uploader.errors import ConfigError, InputError, SummaryInTheWayError
from uploader.run.options import Options
from uploader.source import descriptor


def refuse_double_use(options: Options) -> None:
    """Raise ConfigError when the flags of *options* can't go together, InputError for a SOURCE that leads nowhere."""
    if not (options.sources or options.newest or options.retries_of):
        raise ConfigError("No SOURCE is given. Name a file, or a pattern with --newest.")
    _refuse_loops(options)
    standard_inputs = [name for name in options.sources if descriptor(name) == 0]
    if len(standard_inputs) > 1:
        raise ConfigError(f"SOURCE '{standard_inputs[1]}' is given twice; standard input can be read once.")
    if options.retry_file is not None and len(options.sources) > 1:
        raise ConfigError("--retry-file goes with one SOURCE; with several, set output.retry_file to a template.")
    seen: set[Path] = set()
    for name in options.sources:
        try:
            path = Path(name).resolve()
        except PermissionError as error:
            raise InputError(f"{name} can't be read: {error.strerror}. Fix that, then run again.") from None
        if name != "-" and (path in seen or any(_is_same(path, other) for other in seen)):
            raise ConfigError(f"SOURCE '{name}' is given twice. Name it once.")
        seen.add(path)
    if options.summary is not None and options.summary.resolve() in {*seen, options.config.resolve()}:
        raise SummaryInTheWayError(
            f"--summary {options.summary} would replace a file that this run reads. Name another one."
        )


def summary_is_apart(options: Options) -> bool:
    """Whether the summary replaces no file that the command reads or keeps, also where its flags are wrong."""
    summary = options.summary
    if summary is None:
        return False
    others = [Path(name) for name in options.sources]
    others += [path for path in (options.config, options.retry_file) if path is not None]
    try:
        path = summary.resolve()
        return not any(path == other.resolve() or _is_same(path, other) for other in others)
    except (OSError, RuntimeError):
        # A link that leads back to itself, or a folder that can't be searched.
        return False


def _is_same(path: Path, other: Path) -> bool:
    """Whether two paths are names of one file (hard links, or a mount in another place)."""
    try:
        return path.is_file() and path.samefile(other)
    except OSError:
        return False


def _refuse_loops(options: Options) -> None:
    for name in options.sources:
        if _is_loop(Path(name)):
            raise InputError(f"{name} is a link that leads back to itself. Name a file.")
    for flag, path in (("summary", options.summary), ("retry-file", options.retry_file), ("config", options.config)):
        if path is not None and _is_loop(path):
            raise ConfigError(f"--{flag} {path} is a link that leads back to itself. Name another file.")


def _is_loop(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False
