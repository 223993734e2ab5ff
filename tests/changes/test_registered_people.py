"""Who is registered is known by any identity value, after any end of the process, and by digests alone."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from uploader.changes import DigestStores
from uploader.errors import StorageError

KIM = ("external_id=1", "email=kim@mail.example")


def stores(folder: Path) -> DigestStores:
    folder.mkdir(mode=0o700, exist_ok=True)
    return DigestStores(folder, wall=lambda: 1_000.0)


def test_a_person_is_known_by_each_value_that_they_were_added_with(tmp_path: Path) -> None:
    with stores(tmp_path / "state").registered_people("svc") as people:
        assert KIM not in people
        people.add(KIM)

    with stores(tmp_path / "state").registered_people("svc") as people:
        found = [
            person in people for person in (KIM, KIM[:1], KIM[1:], ("external_id=2", KIM[1]), ("external_id=2",), ())
        ]

    assert found == [True, True, True, True, False, False]


def test_each_service_has_people_of_its_own(tmp_path: Path) -> None:
    with stores(tmp_path / "state").registered_people("svc") as people:
        people.add(KIM)

    with stores(tmp_path / "state").registered_people("other") as people:
        assert KIM not in people


def test_two_runs_at_once_know_what_the_other_has_added(tmp_path: Path) -> None:
    found = stores(tmp_path / "state")
    with found.registered_people("svc") as one, found.registered_people("svc") as other:
        one.add(KIM)

        assert KIM in other
        other.add(KIM)


def test_what_was_added_survives_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, signal\n"
        "from uploader.changes import DigestStores\n"
        "with DigestStores(pathlib.Path('state'), wall=lambda: 1.0).registered_people('svc') as people:\n"
        f"    people.add({KIM!r})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "state").mkdir(mode=0o700)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environ, check=False, timeout=60)

    assert done.returncode == -9
    with stores(tmp_path / "state").registered_people("svc") as people:
        assert KIM in people


def test_no_value_is_stored_and_nobody_else_may_read(tmp_path: Path) -> None:
    with stores(tmp_path / "state").registered_people("svc") as people:
        people.add(KIM)
        content = b"".join(path.read_bytes() for path in (tmp_path / "state" / "memory").iterdir())
        modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "state" / "memory").iterdir()}

    assert b"kim@mail" not in content
    assert modes == {0}


def test_forgetting_forgets_them_too(tmp_path: Path) -> None:
    found = stores(tmp_path / "state")
    with found.registered_people("svc") as people:
        people.add(KIM)

    assert found.forget() == 1
    with found.registered_people("svc") as people:
        assert KIM not in people


def test_a_damaged_file_is_named_with_the_next_step(tmp_path: Path) -> None:
    found = stores(tmp_path / "state")
    with found.registered_people("svc"):
        pass
    file = tmp_path / "state" / "memory" / "svc-registered.people"
    file.write_bytes(b"no database at all, of some length" * 100)

    with pytest.raises(StorageError) as caught, found.registered_people("svc"):
        pass

    assert str(caught.value) == (
        f"{file} is damaged. Run `uploader changes --forget`; the next run then sends everything."
    )


def test_a_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    found = stores(tmp_path / "state")
    with found.registered_people("svc"):
        pass
    file = tmp_path / "state" / "memory" / "svc-registered.people"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="is a symbolic link, which is not followed"), found.registered_people("svc"):
        pass


def test_a_file_that_can_t_be_written_ends_the_run(tmp_path: Path) -> None:
    found = stores(tmp_path / "state")
    with found.registered_people("svc") as people:
        other = sqlite3.connect(tmp_path / "state" / "memory" / "svc-registered.people", isolation_level=None)
        other.execute("DROP TABLE registered")
        other.close()

        with pytest.raises(StorageError, match="no such table"):
            people.add(KIM)
