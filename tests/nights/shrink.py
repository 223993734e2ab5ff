"""Make a scenario that ends in a violation as short as it gets, so that its story can be read."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.nights.scenario import CALM, Repeat, Retry, Row, Run, Scenario, Step, Trouble, Write, is_fair


def shrunk(scenario: Scenario, fails: Callable[[Scenario], bool], *, tries: int = 400) -> Scenario:
    """Return the shortest scenario found that still *fails*, after *tries* tries at most."""
    left = tries
    goes_on = True
    while goes_on:
        goes_on = False
        for shorter in _shorter(scenario):
            if shorter == scenario or not is_fair(shorter):
                continue
            if not left:
                return scenario
            left -= 1
            if fails(shorter):
                scenario, goes_on = shorter, True
                break
    return scenario


def _shorter(scenario: Scenario) -> Iterator[Scenario]:
    """Yield scenarios that are a little shorter than *scenario*, those with the most taken away first."""
    yield from _with_fewer_steps(scenario)
    yield from _with_fewer_rows(scenario)
    yield from _with_less_trouble(scenario)
    yield from _with_fewer_keys(scenario)
    yield from _with_fewer_cells(scenario)


def _with_fewer_steps(scenario: Scenario) -> Iterator[Scenario]:
    steps = scenario.steps
    for size in (4, 2, 1):
        for start in range(0, len(steps) - size + 1, size):
            yield replace(scenario, steps=steps[:start] + steps[start + size :])
    for file in sorted({step.file for step in steps if isinstance(step, Write)}):
        yield replace(scenario, steps=tuple(_without_file(steps, file)))


def _with_fewer_keys(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.coalesce:
        yield replace(scenario, coalesce=False)
    if scenario.changed_only:
        yield replace(scenario, changed_only=False)
    if scenario.retry_last:
        yield replace(scenario, retry_last=False)
    if scenario.workers > 1:
        yield replace(scenario, workers=1)


def _with_fewer_rows(scenario: Scenario) -> Iterator[Scenario]:
    for person in range(len(scenario.kinds)):
        yield _with_rows(scenario, lambda row, person=person: None if row.person == person else row)  # type: ignore[misc]  # its own
    for tag in _tags(scenario):
        yield _with_rows(scenario, lambda row, tag=tag: None if row.tag == tag else row)  # type: ignore[misc]  # as above


def _with_fewer_cells(scenario: Scenario) -> Iterator[Scenario]:
    for tag in _tags(scenario):
        for place in range(4):
            yield _with_rows(scenario, lambda row, tag=tag, place=place: _without_cell(row, tag, place))  # type: ignore[misc]  # as above


def _without_cell(row: Row, tag: int, place: int) -> Row:
    if row.tag != tag or place >= len(row.cells) or len(row.cells) == 1 or row.cells[place][0] == row.bad:
        return row
    return replace(row, cells=row.cells[:place] + row.cells[place + 1 :])


def _tags(scenario: Scenario) -> list[int]:
    return [row.tag for step in scenario.steps if isinstance(step, Write) for row in step.rows]


def _with_rows(scenario: Scenario, changed: Callable[[Row], Row | None]) -> Scenario:
    """Return *scenario* with each row *changed*; a file without rows is not written."""
    steps: list[Step] = []
    for step in scenario.steps:
        if isinstance(step, Write):
            rows = tuple(row for row in map(changed, step.rows) if row is not None)
            steps += [replace(step, rows=rows)] if rows else []
        else:
            steps.append(step)
    return replace(scenario, steps=tuple(steps))


def _without_file(steps: tuple[Step, ...], file: str) -> Iterator[Step]:
    for step in steps:
        match step:
            case Write(file=name) if name == file:
                continue
            case Run():
                yield replace(step, files=tuple(name for name in step.files if name != file))
            case Retry(file=name) if name == file:
                yield replace(step, file="")
            case _:
                yield step


def _with_less_trouble(scenario: Scenario) -> Iterator[Scenario]:
    for place, step in enumerate(scenario.steps):
        if isinstance(step, Run | Repeat | Retry):
            for trouble in _less(step.trouble):
                steps = (*scenario.steps[:place], replace(step, trouble=trouble), *scenario.steps[place + 1 :])
                yield replace(scenario, steps=steps)
            if isinstance(step, Run) and step.flag:
                plain = replace(step, flag="")
                yield replace(scenario, steps=(*scenario.steps[:place], plain, *scenario.steps[place + 1 :]))


def _less(trouble: Trouble) -> Iterator[Trouble]:
    if trouble == CALM:
        return
    yield CALM
    for place in range(len(trouble.faults)):
        yield replace(trouble, faults=trouble.faults[:place] + trouble.faults[place + 1 :])
    if trouble.clock:
        yield replace(trouble, clock=0)
    if trouble.stop is not None:
        yield replace(trouble, stop=None)
