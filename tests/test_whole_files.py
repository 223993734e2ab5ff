"""A file is replaced as a whole, and nothing is left beside it, whatever comes in between."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from uploader.errors import SignalledError, StorageError
from uploader.outputs.metrics_file import write_metrics
from uploader.outputs.report_file import write_report
from uploader.outputs.report_page import BEGINNING
from uploader.outputs.summary import write_summary
from uploader.private_files import write_private
from uploader.run_record import RunRecord
from uploader.state import OpenRecord
from uploader.whole_files import replace_file

RECORD: Final = RunRecord("start-1", "2024-03-05T02:15:00+00:00", "members")

WRITERS: Final[dict[str, Callable[[Path], object]]] = {
    "a summary": lambda path: write_summary(path, {}),
    "a report": lambda path: write_report(path, "page"),
    "metrics": lambda path: write_metrics(path, RECORD),
    "a private file": lambda path: write_private(path, [b"new"]),
    "a record": lambda path: OpenRecord(path, RECORD).__enter__(),
}


@pytest.mark.parametrize("error", [OSError(5, "no"), SignalledError("stopped", 15), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("write", WRITERS.values(), ids=[*WRITERS])
def test_what_ends_the_writing_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object], error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    tmp_path.chmod(0o700)
    path = tmp_path / "file.prom"
    old = BEGINNING if write is WRITERS["a report"] else ""
    path.write_text(old, encoding="utf-8")
    monkeypatch.setattr(Path, "replace", fail)

    with pytest.raises((type(error), StorageError)):
        write(path)

    assert [file.name for file in tmp_path.iterdir()] == ["file.prom"]
    assert path.read_text(encoding="utf-8") == old


def test_parts_that_cannot_be_read_leave_nothing_beside_a_private_file(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"new"
        raise StorageError("the source is cut off")

    with pytest.raises(StorageError, match="cut off"):
        write_private(tmp_path / "file", parts())

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_with_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    replace_file(path, b"new", mode=0o644)

    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o644)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
