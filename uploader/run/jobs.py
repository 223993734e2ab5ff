"""Say which job a run belongs to: a name that outlasts the names of its files."""

from uploader.config import Settings
from uploader.run.options import Options


def job_of(options: Options, settings: Settings) -> str:
    """Return the name of the job: of the command line, else of the configuration; "" where it has none."""
    return options.job or settings.source.name
