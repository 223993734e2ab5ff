"""One file and one service have one key, whatever they are called."""

from collections.abc import Callable
from pathlib import Path

import pytest

from uploader.config import Settings
from uploader.run.fingerprints import inode_of, key_of_path


@pytest.mark.parametrize("key_of", [inode_of, key_of_path])
def test_a_file_has_one_key_however_the_url_of_its_service_is_spelled(
    folder: Path, settings: Callable[..., Settings], key_of: Callable[[Settings, Path], str]
) -> None:
    urls = ("https://api.example", "https://API.example:443/", "https://api.example./")

    assert len({key_of(settings(f"api.base_url={url}"), folder / "config.yaml") for url in urls}) == 1
    assert key_of(settings("api.base_url=https://other.example"), folder / "config.yaml") != key_of(
        settings(f"api.base_url={urls[0]}"), folder / "config.yaml"
    )


def test_a_file_has_one_inode_key_under_all_its_names(folder: Path, settings: Callable[..., Settings]) -> None:
    (folder / "other.yaml").hardlink_to(folder / "config.yaml")

    assert inode_of(settings(), folder / "other.yaml") == inode_of(settings(), folder / "config.yaml")
