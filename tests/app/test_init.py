"""How a configuration that was guessed gets to its place."""

import errno
import os
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from tests.watching import check
from uploader.app.init import init_config
from uploader.errors import ConfigError, InputError, StorageError
from uploader.run.environment import Environment
from uploader.run.options import Options

WORLD = Environment(environ={}, stdin=BytesIO())


@pytest.fixture
def people(tmp_path: Path) -> str:
    """Return the name of a small file, alone in its folder."""
    (tmp_path / "people.csv").write_text("user_id,city\n1,Seoul\n", encoding="utf-8")
    return str(tmp_path / "people.csv")


def no_links(_: str, __: str) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_where_files_can_not_be_linked_it_is_written_all_the_same(
    people: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)

    init_config(people, tmp_path / "config.yaml", WORLD)

    assert check(Options((people,), tmp_path / "config.yaml"), WORLD) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.schema.json", "config.yaml", "people.csv"]


def test_a_schema_that_can_not_be_written_costs_no_configuration(
    people: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, synced = os.fsync, list[int]()

    def full_the_second_time(file: int) -> None:
        synced.append(file)
        if len(synced) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    monkeypatch.setattr(os, "fsync", full_the_second_time)

    assert init_config(people, tmp_path / "config.yaml", WORLD).schema_file == "not written"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "people.csv"]


@pytest.mark.parametrize("with_links", [True, False])
def test_a_configuration_that_came_meanwhile_stays(
    people: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_links: bool
) -> None:
    link = os.link if with_links else no_links

    def late(beside: str, config: str) -> None:
        Path(config).write_text("mine", encoding="utf-8")
        link(beside, config)

    monkeypatch.setattr(os, "link", late)

    with pytest.raises(ConfigError, match="exists by now, and is never overwritten"):
        init_config(people, tmp_path / "config.yaml", WORLD)

    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "people.csv"]


def test_a_disk_without_room_is_told_and_nothing_is_left_on_it(
    people: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(StorageError, match="can't be written: No space left on device"):
        init_config(people, tmp_path / "config.yaml", WORLD)

    assert [path.name for path in tmp_path.iterdir()] == ["people.csv"]


@pytest.mark.slow
def test_a_configuration_that_would_be_larger_than_one_may_be_is_refused(tmp_path: Path) -> None:
    names = (f"{'이' * 290}{at}" for at in range(900))
    pl.DataFrame({"user_id": ["1"], **dict.fromkeys(names, "x")}).write_parquet(tmp_path / "people.parquet")

    with pytest.raises(InputError, match="more columns than a configuration of 1 MiB can hold"):
        init_config(str(tmp_path / "people.parquet"), tmp_path / "config.yaml", WORLD)


def test_columns_of_parquet_that_have_names_or_types_of_their_own_pass_the_check(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "user_id": [1, 2],
            "address": [{"city": "Seoul", "at": {"x": 1.5}}, None],
            "a.b": ["x", "y"],
            "a": [1, 2],
            "it": [b"x", b"y"],
            "none": [None, None],
            "when": pl.Series([0, 1], dtype=pl.Int64).cast(pl.Datetime("ms")),
            "day": pl.Series([0, 1], dtype=pl.Int32).cast(pl.Date),
            "tags": [["a"], []],
            "times": pl.Series([1, 2], dtype=pl.Int64).cast(pl.Duration("ms")),
        }
    )
    table.write_parquet(tmp_path / "people.parquet")
    source = str(tmp_path / "people.parquet")

    drafted = init_config(source, tmp_path / "config.yaml", WORLD).guess

    assert check(Options((source,), tmp_path / "config.yaml"), WORLD) == 0
    assert [each.key for each in drafted.properties] == [
        "a.b",
        "a",
        "when",
        "day",
        "tags",
        "address.city",
        "address.at.x",
    ]
    assert [each.column for each in drafted.omissions] == ["it", "none", "times"]


@pytest.mark.slow
def test_consents_that_reject_some_rows_never_reject_too_many(tmp_path: Path) -> None:
    consents = ("push_optin", "sms_optin", "kakao_optin", "night_optin")
    rows = [
        ",".join([str(at), "Seoul", *("?" if at % 4 == 0 and at % 12 < 4 else "Y" for _ in consents)])
        for at in range(1200)
    ]
    (tmp_path / "people.csv").write_text(
        "\n".join([",".join(["user_id", "city", *consents]), *rows, ""]), encoding="utf-8"
    )
    source = str(tmp_path / "people.csv")

    drafted = init_config(source, tmp_path / "config.yaml", WORLD).guess

    assert check(Options((source,), tmp_path / "config.yaml"), WORLD) in {0, 3}
    found = {each.column for each in drafted.consents} | {each.column for each in drafted.omissions}
    assert found == set(consents)
