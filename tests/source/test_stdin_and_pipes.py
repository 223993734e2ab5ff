"""What can be read only once is kept in a private copy, and known by its content."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import make
from tests.copies import mode_of, nameless_in
from uploader.errors import InputError, StorageError
from uploader.model import Row
from uploader.source import Source, descriptor

CONTENT = b"id\n1\n"
ROWS = [Row(1, {"id": "1"}, line=2)]


def opened(name: Path | str, folder: Path, stdin: bytes | None = None) -> Source:
    return make.opened(name, stdin=None if stdin is None else io.BytesIO(stdin), spool_dir=folder)


@contextmanager
def feeding(path: Path, content: bytes) -> Iterator[None]:
    """Write *content* into the pipe at *path*, as soon as somebody reads it."""
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    yield
    writer.join()


@contextmanager
def descriptor_of(content: bytes) -> Iterator[str]:
    """Lend the name of a descriptor out of which *content* comes."""
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    yield f"/dev/fd/{reader}"
    os.close(reader)


def test_a_named_pipe_can_be_read_twice_from_a_private_copy(tmp_path: Path) -> None:
    pipe, copies = tmp_path / "people.csv", tmp_path / "copies"
    copies.mkdir()
    os.mkfifo(pipe)

    with feeding(pipe, CONTENT), opened(pipe, copies) as source:
        (copy,) = nameless_in(copies)
        mode = mode_of(copy)
        passes = [list(source.read()), list(source.read())]

    assert (source.name, source.path, mode, passes) == (str(pipe), None, 0o600, [ROWS, ROWS])
    assert (list(copies.iterdir()), nameless_in(copies)) == ([], [])


def test_an_open_descriptor_is_a_source(tmp_path: Path) -> None:
    with descriptor_of(CONTENT) as name, opened(name, tmp_path) as source:
        assert (source.name, source.path, list(source.read())) == (name, None, ROWS)


def test_a_descriptor_of_a_file_that_has_no_name_any_more_is_a_source(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(CONTENT)

    with path.open("rb") as file:
        path.unlink()
        with opened(f"/dev/fd/{file.fileno()}", tmp_path) as source:
            assert (source.path, list(source.read())) == (None, ROWS)


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_standard_input_has_several_names(tmp_path: Path, name: str) -> None:
    with opened(name, tmp_path, CONTENT) as source:
        assert (descriptor(name), source.path, list(source.read())) == (0, None, ROWS)


def test_pipes_are_known_by_their_content(tmp_path: Path) -> None:
    digests = []
    for content in (CONTENT, CONTENT, b"id\n2\n"):
        with descriptor_of(content) as name, opened(name, tmp_path) as source, source.read() as reading:
            list(reading)
        digests.append(reading.fingerprint)

    assert digests[0] == digests[1] != digests[2]


def test_what_is_neither_a_file_nor_a_pipe_is_refused(tmp_path: Path) -> None:
    messages = []
    for name in ("/dev/null", "/dev/fd/987654", "/dev/stdin"):
        with pytest.raises(InputError) as refused:
            opened(name, tmp_path)
        messages.append(str(refused.value))

    assert messages == [
        "/dev/null is not a regular file. Pass it on standard input, as '-'.",
        "/dev/fd/987654: no such file. Check the path.",
        "there is no standard input. Name a file instead of '/dev/stdin'.",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_for_the_copy_is_told_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fdopen

    class Full(io.BytesIO):
        def write(self, _: object, /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(handle: int, mode: str, **_: int) -> io.BytesIO:
        real(handle, mode).close()
        return Full()

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(StorageError) as refused:
        opened("-", tmp_path, CONTENT)

    assert str(refused.value) == (
        f"standard input can't be kept in {tmp_path}: No space left on device. Make room there, or name a file instead."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_signal_while_standard_input_is_copied_leaves_no_copy(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "api: {service_id: a, access_token: '${B}'}\nmapping: {identity: {external_id: id}, properties: {a: id}}\n",
        encoding="utf-8",
    )
    copies = tmp_path / "copies"
    copies.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "uploader", "check", "-", "--config", str(tmp_path / "config.yaml")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(copies)},
    )
    assert process.stdin is not None
    process.stdin.write(b"id\n" + b"1\n" * 2_000_000)
    process.stdin.flush()

    # The pipe took it all, so that somebody has read nearly all of it.
    begun = nameless_in(copies, process.pid)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)

    assert len(begun) == 1
    assert (process.returncode, said) == (-signal.SIGTERM, b"Stopped by SIGTERM. Run again.\n")
    assert (list(copies.iterdir()), nameless_in(copies)) == ([], [])
