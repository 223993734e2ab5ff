"""Run the examples of the pages, and write down what they print: python docs/scripts/examples.py.

A page is a script for one empty folder, from its top to its end:

- a block with a title, such as ```csv title="customers.csv"```, is a file of that name
- a block of `console` has commands behind `$ `, each with the lines that it prints in a terminal below it
- `<!-- example: service OPTION … -->` lets `config.yaml` name a sandbox with these options in the place of the service
- `<!-- example: samples -->` puts `samples/` and their `config.yaml` of this repository into the folder
- `<!-- run: COMMAND -->` runs a command that the page does not show

What differs from run to run (times, run ids, temporary folders) is compared without its digits.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docs.scripts import terminal

ROOT: Final = Path(__file__).parents[2]
_BLOCK: Final = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$"
    r"|^<!-- (?P<what>example|run): (?P<order>.*?) -->$",
    re.DOTALL | re.MULTILINE,
)
_VARYING: Final = (
    (re.compile(r"/\S*uploader-dry-run-\w+"), "/tmp/uploader-dry-run-…"),
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+"), "RUN"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.]*(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"(?<=TIME) +\d+ s\b"), " SECONDS"),
    (re.compile(r"\(\d{4}-\d\d-\d\d\)"), "(DATE)"),
    (re.compile(r"\bin [\d.]+ (ms|s|min)\b"), "in SECONDS"),
    (re.compile(r"\br(\d+)-[0-9a-f]{8}\b"), r"r\1-STATE"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
)
_WINDOW: Final = re.compile(r"^ *window ")


@dataclass(frozen=True, slots=True)
class Example:
    """One command of a page, what the page says that it prints, and what it printed."""

    page: str
    command: str
    shown: list[str]
    printed: list[str]

    @property
    def holds(self) -> bool:
        """Whether the command printed what the page shows."""
        return steady(self.shown) == steady(self.printed)


def pages() -> list[Path]:
    """Return the pages that have examples to run."""
    found = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    return [page for page in found if "\n```console\n" in page.read_text(encoding="utf-8")]


def examples(page: Path) -> Iterator[Example]:
    """Run the commands of *page*, one after another, in a folder of their own."""
    with ExitStack() as things:
        folder = Path(things.enter_context(tempfile.TemporaryDirectory()))
        environ = surroundings(folder)
        service = ""
        for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            if match["what"] == "run":
                terminal.run(match["order"], folder, environ)
            elif match["order"] == "samples":
                shutil.copytree(ROOT / "samples", folder / "samples")
                shutil.copy(ROOT / "config.yaml", folder)
            elif match["what"] == "example":
                service = things.enter_context(_sandbox(shlex.split(match["order"])[1:], folder, environ))
            elif match["title"]:
                (folder / match["title"]).write_text(match["text"], encoding="utf-8")
            elif match["language"] == "console":
                _point(folder / "config.yaml", service)
                for command, shown in _commands(match["text"]):
                    printed = terminal.run(command, folder, environ)
                    at_home = [line.replace(environ["TMPDIR"], "/tmp") for line in printed]
                    yield Example(page.name, command, shown, at_home)
                    _point(folder / "config.yaml", service)


def rewritten(page: Path) -> str:
    """Return the text of *page* with what its examples print now, in the place of what they do not print any more."""
    text, done = page.read_text(encoding="utf-8"), 0
    for example in examples(page):
        before = _spelled(example.command, example.shown)
        at = text.index(before, done)
        after = before if example.holds else _spelled(example.command, example.printed)
        if before != after:
            print(f"{example.page}: $ {example.command}")
        text, done = text[:at] + after + text[at + len(before) :], at + len(after)
    return text


def _commands(block: str) -> Iterator[tuple[str, list[str]]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, shown


def _spelled(command: str, lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in (f"$ {command}", *lines))


def steady(lines: Sequence[str]) -> list[str]:
    """Return *lines* without what differs from run to run; requests may come in two windows where a minute ends."""
    kept = [line for line in lines if not _WINDOW.match(line)]
    for pattern, word in _VARYING:
        kept = [pattern.sub(word, line) for line in kept]
    return kept


def surroundings(folder: Path) -> Mapping[str, str]:
    """Return an environment that is the same everywhere, with its temporary files in *folder*."""
    temporary = folder / ".tmp"
    temporary.mkdir()
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "DFINERY_SERVICE_ID": "my-service",
        "DFINERY_ACCESS_TOKEN": "canary",
    }


@contextmanager
def _sandbox(options: list[str], folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Run a sandbox with these *options*, and return its address."""
    words = [sys.executable, "-m", "uploader", "sandbox", "--port", "0", *options]
    with subprocess.Popen(words, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            first = process.stderr.readline() if process.stderr else ""
            yield first.split(" serves ")[1].split()[0]
        finally:
            process.terminate()
            process.communicate()


def _point(config: Path, service: str) -> None:
    """Let *config* name *service* in the place of the real one."""
    text = config.read_text(encoding="utf-8") if config.exists() else ""
    if service and text and "base_url" not in text:
        config.write_text(text.replace("api:\n", f"api:\n  base_url: {service}\n", 1), encoding="utf-8")


if __name__ == "__main__":
    for each in pages():
        each.write_text(rewritten(each), encoding="utf-8")
