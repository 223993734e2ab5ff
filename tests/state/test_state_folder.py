"""Keep the state folder private."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.make import BEGUN, begin
from uploader.errors import ConfigError, StorageError
from uploader.state import InFlightFile, Journal, RunLock, RunStore


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o177])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): mode(path) for path in [folder, *folder.rglob("*")]}


@pytest.mark.usefixtures("umask")
def test_all_that_lies_in_the_state_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    state = tmp_path / "state"
    shelf = RunStore(state)
    volume = shelf.create(BEGUN)
    with InFlightFile(volume.in_flight_path), shelf.lock("svc", since="now"):
        found = modes(state)

    assert found == {
        ".": 0o700,
        "runs": 0o700,
        "locks": 0o700,
        f"runs/{volume.path.name}": 0o600,
        f"runs/{volume.in_flight_path.name}": 0o600,
        "locks/svc.lock": 0o600,
    }


def test_what_others_could_read_is_made_private_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    shelf = RunStore(state)
    volume = shelf.create(BEGUN)
    with InFlightFile(volume.in_flight_path), shelf.lock("svc", since="now"):
        pass
    for path in [state, *state.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)

    shelf = RunStore(state)
    with Journal(volume.path, volume.state), InFlightFile(volume.in_flight_path), shelf.lock("svc", since="now"):
        pass

    assert set(modes(state).values()) == {0o700, 0o600}


def test_a_compacted_journal_is_private(tmp_path: Path) -> None:
    shelf = RunStore(tmp_path / "state")
    volume = shelf.create(BEGUN)
    volume.path.with_suffix(".new").write_bytes(b"left by a crash")
    volume.path.with_suffix(".new").chmod(0o644)

    shelf.compact(volume)

    assert mode(volume.path) == 0o600


@pytest.mark.parametrize("name", ["", "runs", "locks"])
def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    elsewhere, state = tmp_path / "elsewhere", tmp_path / "state"
    elsewhere.mkdir(mode=0o755)
    if name:
        state.mkdir()
    (state / name).symlink_to(elsewhere)

    with pytest.raises(StorageError) as refused:
        RunStore(state)

    assert str(refused.value) == (
        f"{state / name} is a link or another user's folder. Remove it, or set state_dir to another place."
    )
    assert mode(elsewhere) == 0o755
    assert list(elsewhere.iterdir()) == []


def test_a_dangling_link_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to(tmp_path / "nowhere")

    with pytest.raises(ConfigError):
        RunStore(tmp_path / "state")

    assert not (tmp_path / "nowhere").exists()


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"precious")

    with pytest.raises(ConfigError, match=f"state_dir: {tmp_path / 'state'} is not a folder"):
        RunStore(tmp_path / "state")

    assert (tmp_path / "state").read_bytes() == b"precious"


@pytest.mark.parametrize("inside", [("letters.txt",), ("runs",), ("runs", "model.bin"), (".git", "src"), ("locks",)])
def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is(
    tmp_path: Path, inside: tuple[str, ...]
) -> None:
    folder = tmp_path / "theirs"
    for name in inside:
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)

    with pytest.raises(ConfigError) as refused:
        RunStore(folder)

    assert str(refused.value) == (
        f"state_dir: {folder} is in use for something else, and a state folder is for this program alone. "
        "Set state_dir to a folder that is empty, or does not exist yet."
    )
    assert (mode(folder), sorted(path.name for path in folder.iterdir())) == (0o755, sorted(inside))


def test_an_empty_folder_that_everybody_uses_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)

    with pytest.raises(ConfigError, match="is in use for something else"):
        RunStore(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777


@pytest.mark.parametrize("inside", [(), ("lost+found",)])
def test_a_folder_with_nothing_in_it_becomes_the_state_folder(tmp_path: Path, inside: tuple[str, ...]) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    for name in inside:
        (folder / name).mkdir()

    RunStore(folder).create(BEGUN)

    assert mode(folder) == 0o700


@pytest.mark.parametrize(
    "inside", [("runs",), ("locks", "runs"), ("locks", "memory", "numbers", "quota", "runs", "totals")]
)
def test_the_state_of_an_earlier_version_or_of_one_that_crashed_is_taken_over(
    tmp_path: Path, inside: tuple[str, ...]
) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    for name in inside:
        (folder / name).mkdir(mode=0o700)

    assert list(RunStore(folder).runs()) == []


def test_a_state_folder_with_a_note_in_it_stays_one(tmp_path: Path) -> None:
    state = tmp_path / "state"
    RunStore(state)
    (state / ".gitignore").write_text("*")

    assert list(RunStore(state).runs()) == []


def test_a_link_in_the_place_of_a_journal_is_refused(tmp_path: Path) -> None:
    shelf, victim = RunStore(tmp_path / "state"), tmp_path / "victim"
    victim.write_bytes(b"precious")
    path = tmp_path / "state" / "runs" / f"{BEGUN.run_id}-{BEGUN.key}.journal"
    path.symlink_to(victim)

    for touch in (lambda: shelf.create(BEGUN), lambda: shelf.interrupted(BEGUN.key), lambda: list(shelf.runs())):
        with pytest.raises(StorageError) as refused:
            touch()
        assert str(refused.value) == f"{path} is a symbolic link, which is not followed. Remove it, then run again."
    assert victim.read_bytes() == b"precious"


def test_a_link_in_the_place_of_the_compacted_journal_is_refused(tmp_path: Path) -> None:
    shelf, victim = RunStore(tmp_path / "state"), tmp_path / "victim"
    victim.write_bytes(b"precious")
    volume = shelf.create(BEGUN)
    volume.path.with_suffix(".new").symlink_to(victim)

    with pytest.raises(StorageError, match="is a symbolic link"):
        shelf.compact(volume)

    assert victim.read_bytes() == b"precious"
    assert shelf.interrupted(BEGUN.key) is not None


def test_state_files_are_not_inherited_by_other_programs(tmp_path: Path) -> None:
    volume = begin(tmp_path / "run.journal")
    before = _handles()

    with (
        Journal(volume.path, volume.state),
        InFlightFile(volume.in_flight_path),
        RunLock(tmp_path / "service.lock", since="now"),
    ):
        opened = _handles() - before

        assert opened
        assert [handle for handle in opened if os.get_inheritable(handle)] == []


def _handles() -> set[int]:
    """Return the file descriptors that are open, and stay so while this is read."""
    found = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    return {handle for handle in found if Path(f"/proc/self/fd/{handle}").exists()}


@pytest.mark.parametrize("kind", ["file", "pipe", "dangling link"])
def test_what_is_no_folder_is_refused_as_the_configuration_s_mistake(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state"
    if kind == "file":
        path.touch()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")

    with pytest.raises(ConfigError) as refused:
        RunStore(path)

    assert str(refused.value) == (
        f"state_dir: {path} is not a folder. Set state_dir to a folder that is empty, or does not exist yet."
    )
    assert [file.name for file in tmp_path.iterdir()] == ["state"]
