"""Name the interrupted runs of a job whose files have other names than tonight's, so that nothing resumes them."""

import shlex
from collections.abc import Sequence

from uploader.run.events import Remark
from uploader.run.plan import RunPlan, SourcePlan


def remark_forgotten(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> None:
    """Report each run of the job of *source_plans* that was interrupted, and that this command does not resume.

    The files of a job may be dated: then the next night has another file, and only who names the old one again sends
    the rest of it. Raises StorageError.
    """
    run_store, environment = run_plan.run_store, run_plan.environment
    jobs = {source_plan.header.job.key for source_plan in source_plans} - {""}
    ours = {source_plan.header.key for source_plan in source_plans}
    for header in run_store.unfinished() if jobs else ():
        # One with a limit was to send only the first rows.
        is_of_job = header.job.key in jobs and header.key not in ours and header.rows.limit is None
        if is_of_job and not run_store.is_at_work(header):
            left = run_store.read(header).state.counts.not_attempted
            command = environment.complete(f"`uploader run {shlex.quote(header.source)}`")
            text = f"its run was interrupted, and {left:,} of {header.rows.total:,} rows were never sent. "
            environment.events.remark(Remark(f"{header.source}: {text}To send them, type {command}.", "warning"))
