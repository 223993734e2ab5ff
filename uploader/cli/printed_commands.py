"""Print commands so that they can be typed as they are, in the same folder, with the same meaning."""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

USUAL: Final = Path("config.yaml")
"""The default configuration file."""

WITHHELD: Final = "…"
"""Stands for the value of a `--set` that may hold a secret."""

_NEWEST: Final = "--newest"
_COMMAND: Final = re.compile(r"`uploader (?P<name>[a-z]+)(?P<words>(?: [^`]*)?)`")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The flags that the next command needs as well, to use the same service, state and mapping."""

    sources: Sequence[str] = ()
    config: Path = USUAL
    overrides: Sequence[str] = ()
    changed_only: bool = False
    job: str = ""
    retries_of: str = ""
    """The job whose retry files `uploader retry` sends; "" where the command is another one."""
    others: Sequence[str] = ()
    """Further flags that only the same command gets again, each flag and value as a word of its own."""

    @classmethod
    def by(cls, words: Mapping[str, object]) -> Self:
        """Return the flags among *words*, which click parsed, by the names of their parameters."""
        sources, config = words.get("sources"), words.get("config")
        one, overrides = words.get("source"), words.get("overrides")
        return cls(
            sources=(one,) if isinstance(one, str) else sources if isinstance(sources, tuple) else (),
            config=config if isinstance(config, Path) else USUAL,
            overrides=overrides if isinstance(overrides, tuple) else (),
            changed_only=words.get("changed_only") is True,
            job=str(words.get("job") or "") if "newest" in words else "",
            retries_of=str(words.get("retries_of") or ""),
            # Only `run` has --accept. But for patterns, a flag of another command means something else.
            others=tuple(_others(words) if "accept" in words else _newest(words)),
        )


def command(name: str, sources: Sequence[str], given: CommandLine, *flags: str) -> str:
    """Return the command *name* for *sources* with its *flags* and those in *given*."""
    words = [*map(named, sources)]
    if given.config != USUAL:
        words += ["--config", named(str(given.config))]
    if name != "init":
        words += [word for override in given.overrides for word in ("--set", _safe(override, given.config))]
    if name in {"run", "check"} and given.job:
        words += ["--job", given.job]
    if name in {"run", "retry"} and given.changed_only:
        words.append("--changed-only")
    return " ".join(["uploader", name, *map(quoted, (*words, *flags))])


def run_again(given: CommandLine, *flags: str) -> str:
    """Return the command that was *given*, `run` or `retry`, with its *flags*."""
    if given.retries_of:
        return command("retry", [given.retries_of], given, *flags)
    return command("run", given.sources, given, *flags)


def completed(message: str, given: CommandLine) -> str:
    """Return *message*; each command in it (`uploader …`, in backquotes) gets the flags in *given*.

    `SOURCE` stands in it for the one source that was given, `SOURCE...` for all of them, patterns too. A command for
    another file gets only the flags that say with which service, state and mapping.
    """

    def complete(found: re.Match[str]) -> str:
        words = _words(found["words"])
        if found["name"] == "retry":
            return f"`{command('retry', words, given)}`"
        flags = [word for word in words if word not in {"SOURCE", "SOURCE..."}]
        sources = [word for word in words if word not in flags]
        if "SOURCE..." in words and (given.sources or _NEWEST in given.others):
            sources = [*given.sources]
        elif given.sources:
            sources = [*given.sources[: len(sources)]]
        is_for_another = bool(words) and not words[0].startswith(("-", "SOURCE"))
        others = given.others if found["name"] == "run" and not is_for_another else ()
        if found["name"] == "run" and sources and given.retries_of:
            return f"`{run_again(given, *others, *flags)}`"
        return f"`{command(found['name'], sources, given, *others, *flags)}`"

    return _COMMAND.sub(complete, message)


def _words(text: str) -> list[str]:
    """Return the words of a command as a shell has them; as they stand where no shell would take them."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def quoted(word: str) -> str:
    """Return *word* as a shell reads it.

    What can't be printed is escaped as bash, ksh and zsh read it (and the shells of POSIX 2024).
    """
    if word.isprintable() and _is_sayable(word):
        return shlex.quote(word)
    return "$'" + "".join(map(_spelled, word)) + "'"


def named(name: str) -> str:
    """Return the *name* of a file so that it is not taken for a flag."""
    return f"./{name}" if name.startswith("-") and name != "-" else name


def _spelled(one: str) -> str:
    if one.isprintable() and one not in "'\\" and _is_sayable(one):
        return one
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(one))


def _is_sayable(text: str) -> bool:
    """Whether *text* is printed as the bytes of a file's name."""
    # The type stubs don't know that it can be None.
    stream: object = sys.stderr
    try:
        return text.encode(getattr(stream, "encoding", None) or "utf-8") == os.fsencode(text)
    except UnicodeError:
        return False


def _safe(override: str, config: Path) -> str:
    """Return *override* (`key.path=value`), without its value if that may hold a secret."""
    from uploader.config.set_overrides import printable  # noqa: PLC0415 — slow to load, and most commands have no --set

    return printable(override, config.parent, os.environ, withheld=WITHHELD)


def _others(words: Mapping[str, object]) -> Iterator[str]:
    for flag in ("retry_file", "summary"):
        value = words.get(flag)
        if isinstance(value, Path):
            yield from (f"--{flag.replace('_', '-')}", named(str(value)))
    yield from _newest(words)
    for flag in ("until", "within"):
        deadline = words.get(flag)
        if deadline is not None:
            yield from str(getattr(deadline, "flag", "")).split(" ", 1)
    yield from (f"--{flag}" for flag in ("fresh", "full") if words.get(flag) is True)


def _newest(words: Mapping[str, object]) -> Iterator[str]:
    newest = words.get("newest")
    for pattern in newest if isinstance(newest, tuple) else ():
        yield from (_NEWEST, pattern)
