"""Keep the reasons in an interrupted run's retry file, which say more than its journal."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from uploader.errors import UploaderError
from uploader.model import Record, Rejected, Request, RetryOf, Row
from uploader.outputs.retry_file import RetryFormat, RetryRemark
from uploader.outputs.shown_values import phrase_with_values
from uploader.run.resume import remark_of
from uploader.source import open_source
from uploader.state import RowToResend

RetryReasons: TypeAlias = Mapping[RetryOf, str]
"""The texts of `_reason` in a retry file, by the origin that each row names."""


def reasons_in(path: Path | None, retry_format: RetryFormat, to_resend: Mapping[int, RowToResend]) -> RetryReasons:
    """Return the reasons in the retry file at *path* that end with a message of the service.

    The journal, which says *to_resend*, has no such message. A file that can't be read has none either.
    """
    found: dict[RetryOf, str] = {}
    begins = tuple({f"{row.reason.phrase}: " for row in to_resend.values() if row.kind == "rejected" and row.attempts})
    if path is None or not begins:
        return found
    # What was read before an error counts: the last row may be cut off.
    with (
        suppress(UploaderError, OSError),
        open_source(
            str(path),
            format=retry_format.format,
            encoding=retry_format.encoding,
            delimiter=retry_format.delimiter,
        ) as source,
        source.read() as reading,
    ):
        for record in reading:
            reason = record.fields.get("_reason") if isinstance(record, Row) else None
            if record.retry_of is not None and isinstance(reason, str) and reason.startswith(begins):
                found[record.retry_of] = reason
    return found


def rebuilt_remark(record: Record, work: Request | Rejected, row: RowToResend, before: str | None) -> RetryRemark:
    """Return the remark on *record*, which is *work* by the check, as a run wrote it before it was resumed.

    *row* is what its journal says, *before* the reason in its retry file, if that is known.
    """
    remark = remark_of(row)
    if before is not None and before.startswith(f"{row.reason.phrase}: "):
        return replace(remark, reason=before)
    if isinstance(work, Rejected) and work.reason == row.reason:
        return replace(remark, reason=phrase_with_values(record, work.reason))
    return remark
