"""The totals of the last finished run of each source, as they lie on disk."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.check.drift import Baseline, FileTotals
from uploader.errors import StorageError
from uploader.state import BaselineStore
from uploader.state.baseline import baseline_text, parse_baseline

PAST = Baseline(
    "2026-11-23T02:15:00+00:00",
    "0123456789abcdef",
    FileTotals(3000, 1, 2998, {"id": 0, "이름": 21}, {"df_push_optin": 1200}),
)
KEY = "0123456789ab"


def files(state: Path) -> list[str]:
    return sorted(str(path.relative_to(state)) for path in state.rglob("*") if path.is_file())


def test_what_is_kept_is_what_was_last(tmp_path: Path) -> None:
    past = BaselineStore(tmp_path)

    past.keep(KEY, PAST)
    past.keep("other", replace(PAST, finished="2026-11-24T00:00:00+00:00"))
    past.keep(KEY, replace(PAST, mapping="another"))

    assert BaselineStore(tmp_path).last(KEY) == replace(PAST, mapping="another")
    assert files(tmp_path) == ["totals/0123456789ab.json", "totals/other.json"]


def test_asking_makes_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"

    assert BaselineStore(state).last(KEY) is None
    assert not state.exists()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        BaselineStore(tmp_path).keep(KEY, PAST)
    finally:
        os.umask(old)

    path = tmp_path / "totals" / f"{KEY}.json"
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


def test_a_write_that_fails_leaves_what_was_kept_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past = BaselineStore(tmp_path)
    past.keep(KEY, PAST)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        past.keep(KEY, replace(PAST, mapping="another"))

    assert past.last(KEY) == PAST
    assert files(tmp_path) == [f"totals/{KEY}.json"]


def test_what_has_not_come_for_more_than_a_year_is_forgotten(tmp_path: Path) -> None:
    past = BaselineStore(tmp_path)
    for key, days in (("recent", 390), ("old", 410)):
        past.keep(key, PAST)
        path = tmp_path / "totals" / f"{key}.json"
        age = path.stat().st_mtime - days * 86_400
        os.utime(path, (age, age))

    past.keep(KEY, PAST)

    assert files(tmp_path) == [f"totals/{KEY}.json", "totals/recent.json"]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    past = BaselineStore(tmp_path)
    past.keep(KEY, PAST)
    path = tmp_path / "totals" / f"{KEY}.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")

    with pytest.raises(StorageError, match="symbolic link"):
        past.last(KEY)


@pytest.mark.parametrize(
    "facts",
    [
        {"format": 2},
        {"finished": None},
        {"mapping": 7},
        {"rows": "3"},
        {"columns": {"id": None}},
        {"columns": []},
        {"consents": {"df_push_optin": 1.5}},
    ],
)
def test_facts_of_another_kind_are_refused(facts: dict[str, object], tmp_path: Path) -> None:
    past = BaselineStore(tmp_path)
    past.keep(KEY, PAST)
    path = tmp_path / "totals" / f"{KEY}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))

    with pytest.raises(StorageError, match="Delete it, and the next finished run is stored instead"):
        past.last(KEY)


counts = st.integers(0, 2**40)


@given(
    columns=st.dictionaries(st.text(st.characters(codec=None)), counts),
    consents=st.dictionaries(st.sampled_from(["df_push_optin", "df_sms_ads_optin"]), counts),
    numbers=st.tuples(counts, counts, counts),
)
def test_whatever_is_spelt_is_read_as_it_was(
    columns: dict[str, int], consents: dict[str, int], numbers: tuple[int, int, int]
) -> None:
    past = replace(PAST, totals=FileTotals(*numbers, columns, consents))

    assert parse_baseline(json.loads(baseline_text(past))) == past
