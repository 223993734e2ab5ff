"""An export folder that can't be written is no obstacle: the retry file lies in the state folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import Desk, Ended, ended, rules, sent_ids
from uploader.sandbox import RunningSandbox

AS_ANY_USER = """\
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "uploader", *sys.argv[1:]])
"""
"""Starts the command without root's right to write everywhere, where the tests have it."""

PEOPLE = "id,name\n1,ann\n2,bob\n"


@pytest.fixture
def export(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> Iterator[tuple[Desk, RunningSandbox]]:
    server = sandbox(rules("code=40001 for external_id=2 times 1"))
    desk.configure(server.url, more="source: {name: members}\n")
    folder = desk.folder / "export"
    folder.mkdir()
    desk.write("export/members.csv", PEOPLE)
    folder.chmod(0o555)
    yield desk, server
    folder.chmod(0o755)


def typed(desk: Desk, *words: str) -> Ended:
    with desk.start(*words, through=("-c", AS_ANY_USER)) as process:
        return ended(process)


def test_the_retry_file_of_a_read_only_folder_lies_in_the_state_folder(export: tuple[Desk, RunningSandbox]) -> None:
    desk, server = export

    night = typed(desk, "run", "export/members.csv", "--summary", "summary.json")

    place = desk.folder / ".uploader" / "retries" / "members.retry.csv"
    assert (night.status, desk.summary()["retry_file"]) == (3, str(place))
    assert f"The rows to send again are in {place}, each with its reason." in night.err
    assert [row["id"] for row in desk.retry_cells(str(place))] == ["2"]
    assert place.stat().st_mode & 0o777 == 0o600

    retried = typed(desk, "retry", "-v", "members")

    assert (retried.status, sent_ids(server), place.exists()) == (0, ["1", "2", "2"], False)
    assert "can't be written" not in retried.err


def test_a_run_says_before_its_first_request_where_its_retry_file_would_go(
    export: tuple[Desk, RunningSandbox],
) -> None:
    desk, _ = export

    night = typed(desk, "run", "-v", "export/members.csv")

    line = f"export/members.csv: its folder can't be written. A retry file goes to {desk.folder / '.uploader/retries'}."
    assert (
        line in [text.partition(" ")[2].partition(" ")[2] for text in night.err.splitlines()] + night.err.splitlines()
    )


def test_a_place_that_was_asked_for_must_be_writable_before_the_first_request(
    export: tuple[Desk, RunningSandbox],
) -> None:
    desk, server = export

    named = typed(desk, "run", "export/members.csv", "--retry-file", "export/mine.csv")
    configured = typed(desk, "run", "export/members.csv", "--set", "output.retry_file=export/{stem}.again.csv")

    assert (named.status, configured.status, sent_ids(server)) == (7, 7, [])
    assert "export/mine.csv: can't be written (Permission denied)." in named.last_line


def test_a_place_in_the_state_folder_may_be_asked_for(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001 for external_id=2 times 1"))
    desk.configure(server.url, more="source: {name: members}\noutput: {retry_file: '.uploader/retries/{stem}.csv'}\n")
    desk.write("members.csv", PEOPLE)

    night = desk.type("run", "members.csv")

    place = Path(desk.folder, ".uploader", "retries", "members.csv")
    assert (night.status, place.is_file(), desk.files()) == (3, True, ["config.yaml", "members.csv"])
    assert (desk.type("retry", "members").status, place.exists()) == (0, False)
