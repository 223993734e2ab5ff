"""Put the time and the run ID before each line that goes to no terminal, or make it a JSON object."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, TypeAlias

LineLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
"""How much a line matters, for programs."""

LineStyle: TypeAlias = Literal["text", "json", "plain"]
"""After its time and run ID, as a JSON object, or alone."""

_WARNING: Final = "Warning: "


class LineFormat:
    """How the lines of this process look.

    States: plain, until `use` and after `reset`; and one of the styles.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:  # noqa: TID251 — the time of a line is that of its printing
        """Leave lines as they are."""
        self._clock = clock
        self._style: LineStyle = "plain"
        self._run_id = ""

    @property
    def is_plain(self) -> bool:
        """Whether lines stay as they are."""
        return self._style == "plain"

    def reset(self) -> None:
        """Leave lines as they are again, as at the start of a command."""
        self._style, self._run_id = "plain", ""

    def use(self, style: LineStyle) -> None:
        """Format lines in this *style* from now on."""
        self._style = style

    def set_run(self, run_id: str) -> None:
        """Put *run_id* into the lines from now on."""
        self._run_id = run_id

    def line(self, line: str, level: LineLevel = "info") -> str:
        """Return *line* as it is printed."""
        if self._style == "plain":
            return line
        moment = datetime.fromtimestamp(self._clock()).astimezone()
        if self._style == "text":
            return " ".join(filter(None, (moment.isoformat(timespec="seconds"), self._run_id, line)))
        if level == "info" and line.startswith(_WARNING):
            level = "warning"
        facts = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": level,
            "run_id": self._run_id or None,
            "message": line.removeprefix(_WARNING) if level == "warning" else line,
        }
        return json.dumps(facts, ensure_ascii=False)


LINES: Final = LineFormat()
"""The format of this process."""
