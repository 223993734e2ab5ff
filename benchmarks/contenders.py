"""Name who sends the file: the uploader and its peers, each with its version and its command."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.measuring import ROOT, measure
from benchmarks.peers.body import bodies
from benchmarks.people import write_people

CONCURRENCY: Final = 64
PEERS: Final = ROOT / "benchmarks" / "peers"
_LOADERS_SECONDS: Final = 6

Command: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One that posts people to a server.

    *command* makes the words of a call from the file of people and the address. *base* makes those of the calls that
    take what it does before its first request; *surplus* those of what they take twice. *share* is what part of the
    rows it is given, because it is slow. *reads* is whether it sends each row of the file, *counts* whether it says how
    many were accepted, *tells* whether it writes a summary.
    """

    name: str
    version: str
    command: Callable[[Path, str], Command]
    base: Callable[[Path, str], tuple[Command, ...]] = lambda _, __: ()
    surplus: Callable[[Path, str], tuple[Command, ...]] = lambda _, __: ()
    share: float = 1.0
    reads: bool = True
    counts: bool = True
    tells: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absent:
    """A peer that can't be measured here, and *why*."""

    name: str
    why: str


def ours(config: Path, *, label: str = "uploader run") -> Contender:
    """Return the uploader with the configuration *config*.

    What it does before its first request: the start of a run, and a check of the file less the start of a check.
    """
    options = ("-q", "--config", str(config))

    def run(people: Path, _: str = "") -> Command:
        words = ("run", str(people), *options, "--fresh", "--summary", "summary.json")
        return (sys.executable, "-m", "uploader", *words)

    def check(people: Path) -> Command:
        return (sys.executable, "-m", "uploader", "check", str(people), *options)

    return Contender(
        name=label,
        version=f"aiohttp {version('aiohttp')}, uvloop {version('uvloop')}",
        command=run,
        base=lambda people, _: (run(_one(people)), check(people)),
        surplus=lambda people, _: (check(_one(people)),),
        counts=False,
        tells=True,
    )


def bare() -> Contender:
    """Return the loop that does nothing but the POSTs."""
    return _posts_alone("bare", "bare loop")


def lean() -> Contender:
    """Return the loop that does nothing but the POSTs, and does without all that aiohttp lets it do without."""
    return _posts_alone("lean", "lean loop")


def _posts_alone(module: str, name: str) -> Contender:
    return Contender(
        name=name,
        version=f"aiohttp {version('aiohttp')}, uvloop {version('uvloop')}",
        command=partial(_module, module),
        base=lambda people, _: (_module(module, people, "")[:-1],),
    )


def tuned() -> Contender:
    """Return the loop that reads, builds and posts."""
    return _python("tuned", "tuned loop", f"aiohttp {version('aiohttp')}, uvloop {version('uvloop')}")


def obvious() -> Contender:
    """Return the script that most would write."""
    return _python("obvious", "obvious script", f"aiohttp {version('aiohttp')}, asyncio")


def others(folder: Path) -> Iterator[Contender | Absent]:
    """Yield the peers that are not of this project; what they need is installed into *folder*, or named as absent."""
    yield from _from_the_package_index(folder)
    yield _curl(folder)
    yield _undici(folder)
    yield from _loaders(folder)


def _one(people: Path) -> Path:
    """Return a file like *people* of one row: what takes it takes as long as its start."""
    return write_people(people.with_stem("one"), 1)


def _none(people: Path) -> Path:
    """Return a file like *people* of no row."""
    return write_people(people.with_stem("none"), 0)


def _module(name: str, people: Path, address: str, *, python: str = sys.executable) -> Command:
    return (python, "-m", f"benchmarks.peers.{name}", str(people), address)


def _python(module: str, name: str, output: str, *, python: str = sys.executable, share: float = 1.0) -> Contender:
    return Contender(
        name=name,
        version=output,
        command=partial(_module, module, python=python),
        base=lambda people, address: (_module(module, _none(people), address, python=python),),
        share=share,
    )


def _from_the_package_index(folder: Path) -> Iterator[Contender | Absent]:
    """Yield httpx and requests, from an environment of their own: they are no dependencies of the project."""
    venv = folder / "venv"
    python = str(venv / "bin" / "python")
    names = {"httpx": 0.1, "requests": 0.25}
    made = _works(sys.executable, "-m", "venv", str(venv)) and _works(
        python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "orjson", "tzdata", *names
    )
    for name, share in names.items():
        if made:
            output = f"import importlib.metadata as found; print(found.version({name!r}))"
            shown = measure((python, "-c", output), folder=folder).said.strip()
            kind = "asyncio" if name == "httpx" else f"{CONCURRENCY} threads"
            yield _python(f"with_{name}", name, f"{shown}, {kind}", python=python, share=share)
        else:
            yield Absent(name, "pip could not install it")


def _curl(folder: Path) -> Contender | Absent:
    if shutil.which("curl") is None:
        return Absent("curl --parallel", "no curl on this machine")
    options = ("--parallel", "--parallel-immediate", "--parallel-max", str(CONCURRENCY), "--silent", "--disable")

    def command(people: Path, address: str) -> Command:
        config = folder / f"{people.stem}.curl"
        measure((sys.executable, "-m", "benchmarks.peers.curl", str(people), address, str(config)), folder=folder)
        return ("curl", *options, "--config", str(config))

    return Contender(name="curl --parallel", version=_word_of("curl", "--version", 1), command=command, counts=False)


def _undici(folder: Path) -> Contender | Absent:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return Absent("undici", "no Node with npm on this machine")
    running = _word_of("node", "--version", 0)
    wanted = "undici@6" if int(running.lstrip("v").partition(".")[0]) < 20 else "undici@7"  # noqa: PLR2004 — 7 needs Node 20
    if not _works(npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), wanted):
        return Absent("undici", "npm could not install it")
    script = folder / "undici.mjs"
    shutil.copyfile(PEERS / "undici.mjs", script)
    shown = measure((node, "-p", "require('undici/package.json').version"), folder=folder).said.strip()
    return Contender(
        name="undici",
        version=f"{shown}, Node {running.lstrip('v')}",
        command=lambda people, address: (node, str(script), str(people), address),
        base=lambda people, address: ((node, str(script), str(_none(people)), address),),
    )


def _loaders(folder: Path) -> Iterator[Contender | Absent]:
    """Yield hey and wrk, which read no file and post one body over and over."""
    body = folder / "body.json"

    def hey(people: Path, address: str) -> Command:
        rows = _write_body(people, body)
        words = ("-n", str(max(rows, CONCURRENCY)), "-c", str(CONCURRENCY), "-m", "POST", "-T", "application/json")
        return ("hey", *words, "-H", "access_token: bench", "-D", str(body), address)

    def wrk(people: Path, address: str) -> Command:
        _write_body(people, body)
        words = ("-t", "1", "-c", str(CONCURRENCY), "-d", f"{_LOADERS_SECONDS}s", "-s", str(PEERS / "post.lua"))
        return ("wrk", *words, address)

    for name, call, environ in (("hey", hey, {}), ("wrk", wrk, {"BODY": str(body)})):
        title = {"hey": "Go net/http (hey), one body", "wrk": "wrk, one body"}[name]
        if shutil.which(name) is None:
            yield Absent(title, f"no {name} on this machine")
        else:
            yield Contender(name=title, version=_debian(name), command=call, reads=False, counts=False, environ=environ)


def _write_body(people: Path, body: Path) -> int:
    """Write the body of the first of *people* to *body*, and return how many there are."""
    made = bodies(people)
    body.write_bytes(next(made))
    return 1 + sum(1 for _ in made)


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _word_of(program: str, flag: str, word: int) -> str:
    output = subprocess.run([program, flag], capture_output=True, text=True, check=False).stdout.split()
    return output[word] if len(output) > word else "unknown"


def _debian(package: str) -> str:
    output = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", package],  # noqa: S607 — Debian's own
        capture_output=True,
        text=True,
        check=False,
    )
    return output.stdout.strip() or "unknown"
