"""A private file is whole, and whatever else stands in its place is neither waited for nor changed."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from uploader.changes import DigestStore, DigestStores, private_key
from uploader.errors import StorageError
from uploader.outputs.retry_file import RetryFile, RetryFormat
from uploader.private_files import open_private, write_private
from uploader.state import InFlightFile, Journal, RunLock, RunState, read_run
from uploader.state.baseline import BaselineStore


def _hard_link(path: Path) -> None:
    os.link(path.parent / "victim", path)


def _link(path: Path) -> None:
    path.symlink_to(path.parent / "victim")


def _others(path: Path) -> None:
    path.write_bytes(b"theirs")
    os.chown(path, 12345, 12345)


KINDS: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "link": (_link, "a symbolic link, which is not followed"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "a symbolic link, which is not followed"),
    "hard link": (_hard_link, "a hard link, so that another file would be changed with it"),
    "folder": (Path.mkdir, "a folder, not a file"),
    "pipe": (os.mkfifo, "a pipe, not a file"),
    "socket": (lambda path: os.mknod(path, stat.S_IFSOCK | 0o600), "a socket, not a file"),
    "device": (lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 7)), "a device, not a file"),
    "another user's": (_others, "another user's file"),
}
NEEDS_ROOT: Final = {"device", "another user's"}
WRITING: Final = (os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_WRONLY | os.O_APPEND)


def _memory(path: Path) -> None:
    with DigestStore(path, facts={}):
        pass


def _locked(path: Path) -> None:
    with RunLock(path, since="now"):
        pass


def _key_lock(path: Path) -> None:
    with DigestStore(path.with_suffix(".memory"), facts={}):
        pass


def _retry(path: Path) -> None:
    retry = RetryFile(path.with_name("wanted.csv"), RetryFormat("csv", ("id",)))
    retry._open(path)  # noqa: SLF001 — as when somebody was quicker


ROLES: Final[dict[str, Callable[[Path], object]]] = {
    "journal": lambda path: Journal(path, RunState()),
    "journal that is read": read_run,
    "flight": InFlightFile,
    "lock": _locked,
    "holder": lambda path: RunLock(path, since="").holder(),
    "key": private_key,
    "memory": _memory,
    "memory's lock": _key_lock,
    "retry file": _retry,
    "totals": lambda path: BaselineStore(path.parent).last(path.stem),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param in NEEDS_ROOT and os.geteuid() != 0:
        pytest.skip("only root can make one")
    return str(request.param)


def _planted(folder: Path, kind: str, name: str) -> tuple[Path, str]:
    (folder / "victim").write_bytes(b"precious")
    (folder / "victim").chmod(0o644)
    make, words = KINDS[kind]
    path = folder / name
    make(path)
    return path, f"{path} is {words}. Remove it, then run again."


@pytest.mark.parametrize("flags", [os.O_RDONLY, *WRITING])
def test_what_is_no_file_of_ours_is_refused_with_words_and_left_as_it_is(tmp_path: Path, kind: str, flags: int) -> None:
    path, words = _planted(tmp_path, kind, "private")
    before = path.lstat()
    if kind == "hard link" and flags == os.O_RDONLY:
        os.close(open_private(path, flags))
        assert path.lstat().st_mode == before.st_mode
        return

    with pytest.raises(StorageError) as refused:
        open_private(path, flags)

    assert str(refused.value) == words
    assert (path.lstat().st_mode, path.lstat().st_size) == (before.st_mode, before.st_size)
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("role", ROLES)
def test_whatever_stands_in_the_place_of_a_file_of_ours_is_refused(tmp_path: Path, kind: str, role: str) -> None:
    (tmp_path / "totals").mkdir()
    name = {"memory's lock": "x.lock", "totals": "totals/x.json"}.get(role, "x.memory")
    folder = (tmp_path / name).parent
    path, words = _planted(folder, kind, Path(name).name)
    if kind == "hard link" and role in {"journal that is read", "totals", "key"}:
        return

    with pytest.raises(StorageError) as refused:
        ROLES[role](path) if role != "totals" else BaselineStore(tmp_path).last("x")

    assert str(refused.value) == words
    assert (folder / "victim").read_bytes() == b"precious"
    assert stat.S_IMODE((folder / "victim").stat().st_mode) == 0o644


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_what_stands_in_the_place_of_a_file_of_sqlite_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    path, words = _planted(tmp_path, kind, f"x.memory{suffix}")

    with pytest.raises(StorageError) as refused, DigestStore(tmp_path / "x.memory", facts={}):
        pass

    assert str(refused.value) == words
    assert path.lstat().st_nlink >= 1
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_parent_that_everybody_may_write_to_does_not_make_a_file_theirs(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    os.close(open_private(tmp_path / "private", os.O_RDWR | os.O_CREAT))

    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_a_memory_folder_that_is_a_link_is_refused_by_all_that_use_it(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "memory").symlink_to("elsewhere")
    library = DigestStores(tmp_path, wall=lambda: 0.0)

    for use in (library.key, lambda: library.exists("x"), lambda: list(library.summaries()), library.forget):
        with pytest.raises(StorageError, match="memory is a link or another user's folder"):
            use()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_memory_folder_that_everybody_can_open_is_made_private_again(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory").chmod(0o777)

    DigestStores(tmp_path, wall=lambda: 0.0).key()

    assert stat.S_IMODE((tmp_path / "memory").stat().st_mode) == 0o700


def test_a_folder_in_the_place_of_the_key_is_told_when_all_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "memory" / "key").mkdir(parents=True)

    with pytest.raises(StorageError, match=r"key: Is a directory\. Make room or allow access there"):
        DigestStores(tmp_path, wall=lambda: 0.0).forget()


@pytest.mark.parametrize("is_first", [False, True])
def test_a_private_file_holds_all_its_parts_and_nothing_is_left_beside_it(tmp_path: Path, *, is_first: bool) -> None:
    path = tmp_path / "kept.json"

    write_private(path, [b"one ", b"two"], is_first=is_first)

    assert path.read_bytes() == b"one two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("is_first", "content"), [(False, b"new"), (True, b"old")])
def test_a_private_file_takes_the_place_of_another_unless_the_first_counts(
    tmp_path: Path, *, is_first: bool, content: bytes
) -> None:
    path = tmp_path / "kept.json"
    write_private(path, [b"old"])

    write_private(path, [b"new"], is_first=is_first)

    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_private_file_that_can_not_be_written_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "kept.json"
    write_private(path, [b"old"])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if call == "fsync" else Path, call, full)
    with pytest.raises(StorageError, match=f"^{path}: No space left on device"):
        write_private(path, [b"new"])

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_parts_that_break_off_leave_the_private_file_before_them(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_private(path, [b"old"])

    with pytest.raises(ZeroDivisionError):
        write_private(path, (b"%d" % (1 // number) for number in (1, 0)))

    assert path.read_bytes() == b"old"
