"""Choose whether a source is read in batches."""

from uploader.check.batch_observers import MapBatch
from uploader.config import Settings
from uploader.mapping import Plan
from uploader.run.events import Events, Remark
from uploader.run.job import BatchReader
from uploader.run.remarks import row_by_row_line
from uploader.source import Source


def batch_reader(source: Source, settings: Settings, events: Events) -> BatchReader | None:
    """Return how *source* is read in batches; None where it is read row by row, because of its size or the settings."""
    choice = settings.source.columnar

    def report(why: str) -> None:
        events.remark(Remark(row_by_row_line(source.name, why), "detail", source.name))

    if source.is_columnar(choice):
        return BatchReader(source.batches, lambda plan: _mapper(source, plan), report)
    if source.is_columnar("auto"):
        report(f"source.columnar is {choice}")
    return None


def _mapper(source: Source, plan: Plan) -> MapBatch | str:
    from uploader.mapping.columnar_plan import columnar_plan  # noqa: PLC0415 — polars starts slowly

    found = columnar_plan(plan, source.cell_form, source.kinds)
    return found if isinstance(found, str) else found.map_batch
