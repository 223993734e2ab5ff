"""Choose whether a source is read in batches."""

from uploader.check.batch_observers import MapBatch
from uploader.config import Settings
from uploader.mapping import Plan
from uploader.run.environment import Environment
from uploader.run.preflight import BatchReader
from uploader.source import Source


def batch_reader(source: Source, settings: Settings, environment: Environment) -> BatchReader | None:
    """Return how *source* is read in batches; None where it is read row by row, because of its size or the settings."""
    choice, tell = settings.source.columnar, environment.on_row_by_row

    def say(why: str) -> None:
        if tell is not None:
            tell(source.name, why)

    if source.is_columnar(choice):
        return BatchReader(source.batches, lambda plan: _mapper(source, plan), say)
    if source.is_columnar("auto"):
        say(f"source.columnar is {choice}")
    return None


def _mapper(source: Source, plan: Plan) -> MapBatch | str:
    from uploader.mapping.columnar_plan import columnar_plan  # noqa: PLC0415 — polars starts slowly

    found = columnar_plan(plan, source.cell_form, source.kinds)
    return found if isinstance(found, str) else found.map_batch
