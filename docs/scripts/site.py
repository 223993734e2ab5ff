"""What MkDocs calls for each page that it builds."""

import re
from typing import Final

from mkdocs.exceptions import PluginError

_FOREIGN: Final = re.compile(r"(?:\bsrc=|<link[^>]* href=|url\()[\"']?https?://[^\s\"'>)]+")
_CELL: Final = re.compile(r"<td[ >].*?</td>", re.DOTALL)


def on_page_content(html: str, **_: object) -> str:
    r"""Show the `\|` of a table as `|`, as GitHub does; Python-Markdown keeps the backslash within code."""
    return _CELL.sub(lambda cell: cell[0].replace(r"\|", "|"), html)


def on_post_page(output: str, **_: object) -> str:
    """Refuse a page that would load anything from another host."""
    if found := _FOREIGN.search(output):
        raise PluginError(f"a page loads something from another host: {found[0]}")
    return output
