"""The summary is whole or not there, wherever it is written."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from uploader.errors import StorageError
from uploader.outputs.summary import try_summary, write_summary

PEOPLE = {"source": "people.csv", "read": 3, "retry_file": None, "seconds": 0.25}
OTHERS = {"source": "다른.csv", "read": 0, "retry_file": "다른.retry.csv", "seconds": 1.0}


def test_the_summary_is_an_object(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"

    write_summary(path, PEOPLE)

    assert path.read_text(encoding="utf-8") == (
        '{\n  "source": "people.csv",\n  "read": 3,\n  "retry_file": null,\n  "seconds": 0.25\n}\n'
    )


def test_a_name_of_another_script_stands_in_the_summary_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"

    write_summary(path, OTHERS)

    assert "다른.csv" in path.read_text(encoding="utf-8")


def test_the_trial_makes_the_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "summary.json"

    try_summary(path)

    assert [str(found.relative_to(tmp_path)) for found in sorted(tmp_path.rglob("*"))] == ["new", "new/folder"]


def test_the_trial_leaves_the_last_summary_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("last", encoding="utf-8")

    try_summary(path)

    assert [(found.name, found.read_text(encoding="utf-8")) for found in tmp_path.iterdir()] == [
        ("summary.json", "last")
    ]


def test_a_reader_has_the_old_summary_or_the_new_one_and_never_half(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("old", encoding="utf-8")

    with path.open(encoding="utf-8") as reader:
        write_summary(path, PEOPLE)
        read_through = reader.read()

    # The old file was not written into: a new one took its name.
    assert read_through == "old"
    assert json.loads(path.read_text(encoding="utf-8")) == PEOPLE
    assert [found.name for found in tmp_path.iterdir()] == ["summary.json"]


def test_a_link_goes_on_leading_to_the_summary(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target = tmp_path / "kept" / "2024.json"
    target.write_text("old", encoding="utf-8")
    link = tmp_path / "last.json"
    link.symlink_to(target)

    try_summary(link)
    write_summary(link, PEOPLE)

    assert link.is_symlink()
    assert json.loads(target.read_text(encoding="utf-8")) == PEOPLE


def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text(encoding="utf-8")))
    reader.start()

    try_summary(pipe)
    write_summary(pipe, PEOPLE)

    reader.join()
    assert [json.loads(text) for text in got] == [PEOPLE]
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("wanted", "why"), [("file/summary.json", "Not a directory"), ("folder", "Is a directory"), ("", "Is a directory")]
)
def test_a_place_that_cannot_be_written_is_found_by_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    with pytest.raises(StorageError) as caught:
        try_summary(Path(wanted))

    assert str(caught.value) == f"{Path(wanted)}: the summary can't be written ({why}). Name another --summary."
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder"]


def test_a_full_disk_is_told_when_the_summary_is_written() -> None:
    with pytest.raises(StorageError) as caught:
        write_summary(Path("/dev/full"), PEOPLE)

    assert str(caught.value) == (
        "/dev/full: the summary can't be written (No space left on device). Name another --summary."
    )


def test_a_summary_that_cannot_take_its_place_leaves_no_file_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", full)

    with pytest.raises(StorageError):
        write_summary(tmp_path / "summary.json", PEOPLE)

    assert list(tmp_path.iterdir()) == []


def test_a_summary_on_standard_output_spares_the_file_behind_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "from pathlib import Path; from uploader.outputs.summary import *; p = Path('/dev/stdout'); "
    code += "try_summary(p); write_summary(p, {'read': 1})"

    with log.open("ab") as stdout:
        stdout.write(b"before\n")
        stdout.flush()
        subprocess.run([sys.executable, "-c", code], stdout=stdout, check=True)

    assert log.read_text(encoding="utf-8") == 'before\n{\n  "read": 1\n}\n'


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_summary_on_a_standard_output_that_is_closed_is_refused_and_no_file_of_ours_gets_it(
    tmp_path: Path, name: str
) -> None:
    lock = tmp_path / "lock"
    code = "import os, sys; from pathlib import Path; from uploader.outputs.summary import *\n"
    code += f"from uploader.errors import StorageError; os.close(1); p = Path('{name}')\n"
    code += f"for opens in (False, True):\n  if opens: os.open('{lock}', os.O_RDWR | os.O_CREAT)\n"
    code += "  for do in (try_summary, lambda p: write_summary(p, {'read': 1})):\n"
    code += "    try: do(p)\n    except StorageError as error: print(error, file=sys.stderr)\n"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    line = f"{name}: the summary can't be written (Bad file descriptor). Name another --summary."
    assert ended.stderr.splitlines() == [line] * 4
    assert lock.read_bytes() == b""


def test_a_pipe_that_nobody_reads_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploader.outputs.summary._PATIENCE_SECONDS", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(StorageError) as caught:
        write_summary(pipe, PEOPLE)

    assert str(caught.value) == (
        f"{pipe}: the summary can't be written (nobody reads from this pipe). Name another --summary."
    )


def test_a_full_pipe_that_nobody_reads_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploader.outputs.summary._PATIENCE_SECONDS", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    with pytest.raises(StorageError, match="nobody reads from this pipe"):
        write_summary(pipe, {**PEOPLE, "source": "x" * 1_000_000})

    os.close(reader)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's link")
def test_another_users_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious", encoding="utf-8")
    (tmp_path / "summary.json").symlink_to("victim")
    os.lchown(tmp_path / "summary.json", 12345, 12345)

    for touch in (try_summary, lambda path: write_summary(path, PEOPLE)):
        with pytest.raises(StorageError, match="another user's link"):
            touch(tmp_path / "summary.json")
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "precious"


def test_a_file_that_is_planted_beside_the_summary_is_not_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "victim").write_text("precious", encoding="utf-8")
    for word in ("new", "try"):
        (tmp_path / f".summary.json.{os.getpid()}.{word}").symlink_to("victim")
    monkeypatch.setattr("uploader.whole_files.token_hex", lambda _: "guessed")
    (tmp_path / ".guessed.new").symlink_to("victim")

    for touch in (try_summary, lambda path: write_summary(path, PEOPLE)):
        with pytest.raises(StorageError, match="File exists"):
            touch(tmp_path / "summary.json")
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "precious"


def test_a_socket_is_no_place_for_a_summary(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    os.mknod(path, stat.S_IFSOCK | 0o600)

    for touch in (try_summary, lambda path: write_summary(path, PEOPLE)):
        with pytest.raises(StorageError, match="neither a file nor a pipe"):
            touch(path)


def test_a_name_that_is_not_utf8_is_told_with_an_escape(tmp_path: Path) -> None:
    write_summary(tmp_path / "s.json", {"source": "\udcb0.csv"})

    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == {"source": "\udcb0.csv"}
