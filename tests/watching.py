"""Watch a run or a check as a test wants it: its lines, and what a check returns or raises."""

from dataclasses import replace

from uploader.app import check as checking
from uploader.run.environment import Environment
from uploader.run.events import Events, Remark
from uploader.run.options import Options


class Lines(Events):
    """Keeps what a run remarks for people who ask for no details."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def remark(self, remark: Remark) -> None:
        if remark.level != "detail":
            self._said.append(remark.text)


def check(options: Options, world: Environment, heard: Events | None = None) -> int:
    """Return the exit status of a check whose events *heard* gets; raises what ended it."""
    result = checking.check(options, world if heard is None else replace(world, events=heard))
    if result.error is not None:
        raise result.error
    return result.exit_status
