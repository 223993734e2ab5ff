"""Say which job a run belongs to: a name that outlasts the names of its files."""

from dataclasses import replace

from uploader.config import Settings
from uploader.run.fingerprints import key_of, key_of_job
from uploader.run.options import Options
from uploader.source import Source
from uploader.state import RunHeader, RunJob


def job_of(options: Options, settings: Settings) -> str:
    """Return the name of the job: of the command line, else of the configuration; "" where it has none."""
    return options.job or settings.source.name


def history_key_of(source: Source, options: Options, settings: Settings) -> str:
    """Return the key by which earlier runs of the job of *source* are found: its name, else the path of the file."""
    return _job_key(source, options, settings) or key_of(settings, source)


def refresh_key_of(source: Source, options: Options, settings: Settings) -> str:
    """Return the key by which `full_every` knows the job of *source*: see `history_key_of`.

    It is `-` for standard input whose job has no name: the content, by which its runs are found, changes every night.
    """
    is_nameless = source.path is None and not job_of(options, settings)
    return "-" if is_nameless else history_key_of(source, options, settings)


def with_job(header: RunHeader, source: Source, options: Options, settings: Settings) -> RunHeader:
    """Return *header* of a run of *source* with the name of its job, and the key of that."""
    return replace(header, job=RunJob(job_of(options, settings), _job_key(source, options, settings)))


def _job_key(source: Source, options: Options, settings: Settings) -> str:
    """Return the key of the name of the job of *source*; "" where it is known by its path.

    That is so without a name; of a retry file, whose rows are not those of a night; and of each of several SOURCEs that
    are named themselves, which the name of the job does not distinguish.
    """
    job = job_of(options, settings)
    named = [name for name in options.sources if name not in options.added_retry_files]
    is_distinct = len(named) == 1 or source.name in options.patterned
    return key_of_job(settings, job) if job and is_distinct and not source.is_retry else ""
