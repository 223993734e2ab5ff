"""Where the retry file goes, and in which form."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from threading import Thread

import polars as pl
import pytest

from tests import make
from uploader.config import Settings
from uploader.errors import ConfigError
from uploader.outputs.retry_file import RetryFormat
from uploader.run.output_paths import retry_format, retry_path
from uploader.source import Source

CSV = "id,name\n1,김\n"
JSONL = '{"id":"1","name":"김"}\n'
Load = Callable[..., Settings]


def source(name: str, *, encoding: str = "auto", delimiter: str = ",", stdin: bytes = b"") -> Source:
    return make.opened(name, encoding=encoding, delimiter=delimiter, stdin=BytesIO(stdin))


def written(folder: Path, name: str) -> str:
    """Write a source called *name* into *folder*, in the format that its name says."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        pl.DataFrame({"id": ["1"], "name": ["김"]}).write_parquet(path)
    else:
        path.write_text(JSONL if path.suffix == ".jsonl" else CSV, encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("people.csv", "people.retry.csv"),
        ("export/people.csv", "export/people.retry.csv"),
        ("people.of.march.csv", "people.of.march.retry.csv"),
        ("people.tsv", "people.retry.tsv"),
        ("people", "people.retry"),
        ("people.jsonl", "people.retry.jsonl"),
        ("people.parquet", "people.retry.jsonl"),
        ("people.csv.gz", "people.retry.csv"),
        ("people.retry.csv", "people.retry.retry.csv"),
        ("a {stem} of 100%.csv", "a {stem} of 100%.retry.csv"),
    ],
)
def test_the_retry_file_lies_beside_its_source(folder: Path, settings: Load, name: str, path: str) -> None:
    with source(written(folder, name)) as opened:
        assert retry_path(opened, settings(), named=None) == Path(path)


def test_the_retry_file_of_standard_input_lies_in_the_working_directory(settings: Load) -> None:
    with source("-", stdin=CSV.encode()) as opened:
        assert retry_path(opened, settings(), named=None) == Path("stdin.retry.jsonl")


@pytest.mark.parametrize(
    ("name", "path"), [("/dev/stdin", "stdin.retry.jsonl"), ("people.csv.gz", "people.retry.jsonl")]
)
def test_the_retry_file_of_a_pipe_has_its_name_where_it_has_one(
    folder: Path, settings: Load, name: str, path: str
) -> None:
    if not name.startswith("/"):
        os.mkfifo(folder / name)
        Thread(target=(folder / name).write_text, args=(CSV,), kwargs={"encoding": "utf-8"}, daemon=True).start()

    with source(name, stdin=CSV.encode()) as opened:
        assert retry_path(opened, settings(), named=None) == Path(path)


def test_the_retry_file_of_a_descriptor_is_that_of_a_pipe(settings: Load) -> None:
    reader, writer = os.pipe()
    os.write(writer, CSV.encode())
    os.close(writer)

    with source(f"/dev/fd/{reader}") as opened:
        os.close(reader)
        assert retry_path(opened, settings(), named=None) == Path("pipe.retry.jsonl")


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{dir}/again/{stem}{suffix}", "export/again/people.csv"),
        ("{dir}/{stem}.again", "export/people.again"),
        ("/tmp/{stem}.csv", "/tmp/people.csv"),  # noqa: S108 — nothing is written
        ("retries/{stem}{suffix}", "{config}/retries/people.csv"),
        ("all.csv", "{config}/all.csv"),
    ],
)
def test_a_template_starts_at_the_source_or_at_the_configuration(
    folder: Path, settings: Load, template: str, path: str
) -> None:
    with source(written(folder, "export/people.csv")) as opened:
        found = retry_path(opened, settings(f"output.retry_file='{template}'"), named=None)

    assert found == Path(path.replace("{config}", str(folder)))


def test_a_named_file_wins_over_the_template(folder: Path, settings: Load) -> None:
    with source(written(folder, "people.csv")) as opened:
        found = retry_path(opened, settings("output.retry_file=all.csv"), named=Path("mine.csv"))

    assert found == Path("mine.csv")


def test_a_rehearsal_touches_no_named_file_but_takes_its_name(folder: Path, settings: Load) -> None:
    with source(written(folder, "people.csv")) as opened:
        found = retry_path(opened, settings(), named=Path("mine.csv"), folder=folder / "dry-run")

    assert found == folder / "dry-run" / "mine.csv"


def test_a_rehearsal_has_a_place_of_its_own(folder: Path, settings: Load) -> None:
    with source(written(folder, "people.csv")) as opened:
        found = retry_path(opened, settings("output.retry_file=all.csv"), named=None, folder=folder / "dry-run")

    assert found == folder / "dry-run" / "people.retry.csv"


@pytest.mark.parametrize("named", ["people.csv", "./people.csv", "link.csv", "export/../people.csv"])
def test_the_source_itself_is_no_retry_file(folder: Path, settings: Load, named: str) -> None:
    (folder / "export").mkdir()
    (folder / "link.csv").symlink_to("people.csv")

    with source(written(folder, "people.csv")) as opened, pytest.raises(ConfigError) as caught:
        retry_path(opened, settings(), named=Path(named))

    assert str(caught.value) == (
        f"The retry file {Path(named)} is the SOURCE itself. Name another --retry-file or output.retry_file."
    )


@pytest.mark.parametrize("named", ["", ".", "..", "/", "export"])
def test_a_folder_is_no_retry_file(folder: Path, settings: Load, named: str) -> None:
    (folder / "export").mkdir()

    with source(written(folder, "people.csv")) as opened, pytest.raises(ConfigError) as caught:
        retry_path(opened, settings(), named=Path(named))

    assert str(caught.value) == (
        f"The retry file {Path(named)} is a folder. Name a file with --retry-file or output.retry_file."
    )


@pytest.mark.parametrize("damaged", [False, True])
def test_a_csv_is_kept_in_its_own_form(folder: Path, *, damaged: bool) -> None:
    (folder / "people.csv").write_text("id;name\n1;김\n", encoding="cp949")

    with source("people.csv", encoding="cp949", delimiter=";") as opened:
        shape = retry_format(opened, damaged=damaged)

    assert shape == RetryFormat("csv", ("id", "name"), ";", "cp949", damaged)


def test_a_jsonl_is_kept_in_its_own_encoding(folder: Path) -> None:
    (folder / "people.jsonl").write_text(JSONL, encoding="utf-16")

    with source("people.jsonl") as opened:
        shape = retry_format(opened, damaged=True)

    assert shape == RetryFormat("jsonl", encoding="utf-16")


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_what_becomes_jsonl_is_in_the_encoding_that_the_configuration_says(folder: Path, encoding: str) -> None:
    written(folder, "people.parquet")

    with (
        source("-", encoding=encoding, stdin=CSV.encode(encoding)) as stdin,
        source("people.parquet", encoding=encoding) as parquet,
    ):
        shapes = [retry_format(opened, damaged=False) for opened in (stdin, parquet)]

    assert shapes == [RetryFormat("jsonl", encoding=encoding)] * 2
