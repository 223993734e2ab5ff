"""Record the command of `make demo` in a terminal, as the picture of the README: python docs/scripts/recording.py.

The picture is an SVG of three parts: the command, the progress bar at some moments, and what stands there in the end.
Each moment is a group that its style shows in turn; the end stays.
"""

import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from docs.scripts import terminal

ROOT: Final = Path(__file__).parents[2]
PICTURE: Final = ROOT / "docs" / "recording.svg"
COMMAND: Final = "uploader run samples/profiles.csv --sandbox"
_COLUMNS: Final = 124
_MOMENTS: Final = 12
_SECONDS_EACH: Final = 0.5
# rich's own frame loads a font from another host; a system's own font will do.
_FRAME: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>A dry run of the sample file in a terminal</title>
<style>
.matrix {{ font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
{styles}
/* moments */
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="matrix" xml:space="preserve">
<!-- bars -->
<g class="end">
{matrix}
</g>
</g>
</g>
</svg>
"""


def picture(written: str) -> str:
    """Return the recording of a terminal to which this was *written*."""
    bars = _bars(written)
    before = [f"$ {COMMAND}", *terminal.screen(re.split(r"\r", written, maxsplit=1)[0])]
    end = _exported([f"$ {COMMAND}", *terminal.screen(written)], _FRAME)
    blank = [""] * len(before)
    groups = [
        f'<g class="bar b{number}">\n{_exported([*blank, bar], "{matrix}").strip()}\n</g>'
        for number, bar in enumerate(bars)
    ]
    style = _moments(len(bars), len(before))
    return end.replace("<!-- bars -->", "\n".join(groups)).replace("/* moments */", style)


def _exported(lines: Sequence[str], frame: str) -> str:
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text(line), soft_wrap=False, overflow="fold")
    drawn = console.export_svg(title="", code_format=frame, unique_id="t")
    # The ends of lines are drawn too, beyond the right edge.
    return re.sub(r"<text [^>]*>\n</text>", "\n", drawn)


def _bars(written: str) -> list[str]:
    """Return the progress bar at some moments, evenly chosen."""
    drawn = [bar.rstrip() for bar in re.findall(r"\r([^\r\n]*\d%\|[^\r\n]*)", written)]
    steps = max(1, len(drawn) // _MOMENTS)
    return drawn[::steps][:_MOMENTS]


def _moments(count: int, before: int) -> str:
    """Return the style that shows one bar after another, below so many lines *before*, then the end."""
    seconds = count * _SECONDS_EACH
    share = 100 / count
    rules = [
        f"@keyframes bar {{ 0% {{ visibility: visible; }} {share:.2f}%, 100% {{ visibility: hidden; }} }}",
        "@keyframes end { 0%, 99.99% { visibility: hidden; } 100% { visibility: visible; } }",
        ".bar { visibility: hidden; }",
        f".end :nth-child(n+{before + 1}) {{ animation: end {seconds}s step-end both; }}",
        *(f".b{number} {{ animation: bar {seconds}s step-end {number * _SECONDS_EACH}s; }}" for number in range(count)),
        "@media (prefers-reduced-motion) { .bar, .end * { animation: none !important; } }",
    ]
    return "\n".join(rules)


if __name__ == "__main__":
    environ = {**os.environ, "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
    PICTURE.write_text(picture(terminal.record(COMMAND, ROOT, environ, columns=_COLUMNS)), encoding="utf-8")
