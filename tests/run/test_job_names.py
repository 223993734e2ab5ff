"""A job is known by its name, whatever its files are called."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tests.make import options
from uploader.config import Settings
from uploader.run.job_names import refresh_key_of
from uploader.source import Source

STANDARD_INPUT = cast("Source", SimpleNamespace(path=None, is_retry=False))


def test_full_every_knows_standard_input_by_the_name_of_its_job(tmp_path: Path) -> None:
    mapping = {"identity": {"external_id": "id"}, "properties": {"df_name": "name"}}
    settings = Settings.of({"mapping": mapping}, folder=tmp_path, environ={})

    nameless, members, orders = (
        refresh_key_of(STANDARD_INPUT, options("-", job=job), settings) for job in ("", "members", "orders")
    )

    assert nameless == "-"
    assert len({nameless, members, orders}) == 3
