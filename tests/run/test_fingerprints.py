"""One file and one service have one key, whatever they are called; one mapping has one in all versions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from uploader.config import Settings, load
from uploader.run.fingerprints import inode_of, key_of_path, mapping_of, reading_of

MAPPING = """\
api: {service_id: s, access_token: "${T}"}
mapping:
  identity: {external_id: id, email: mail}
  properties:
    df_name: name
    age: {column: a, type: long, thousands: ","}
    joined: {column: j, type: datetime, timezone: Asia/Seoul, format: "%Y-%m-%d %H:%M"}
    vip: {column: v, type: boolean, true: [예], false: [아니오], trim: true}
    tags: {column: t, type: "array<string>", separator: "|"}
    channel: {value: nightly}
  request_datetime: {column: at, timezone: Asia/Seoul}
"""


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


def test_a_mapping_without_later_keys_has_the_key_that_the_first_version_gave_it(tmp_path: Path) -> None:
    settings = mapped(tmp_path, MAPPING)

    assert (mapping_of(settings), reading_of(settings)) == ("915b2347576a6ce5b6ebe8f8", "b34fbd832201b2ed3cd97486")


def test_a_mapping_with_later_keys_has_the_key_that_it_always_had(tmp_path: Path) -> None:
    steps = MAPPING.replace("df_name: name", "df_name: {column: name, strip: [님], null_values: [none]}")
    later = steps.replace('"%Y-%m-%d %H:%M"}', '["%y-%m-%d %H:%M", unix], pivot: 30, on_error: omit}')
    settings = mapped(tmp_path, later)

    assert (mapping_of(settings), reading_of(settings)) == ("99ee7272e1847466f0e9ddb4", "be4d1f372610403f196fe0c7")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("external_id: id", "external_id: {column: id, trim: true}"),
        ("external_id: id", "external_id: {column: id, case: lower}"),
        ("external_id: id", "external_id: {column: id, null_values: [none]}"),
        ("external_id: id", "external_id: {column: id, phone: KR}"),
        ("df_name: name", "df_name: {column: name, case: upper}"),
        ("df_name: name", "df_name: {column: name, strip: [님]}"),
        ("df_name: name", "df_name: {column: name, values: {남: Male}}"),
        ("df_name: name", "df_name: {column: name, values: {남: Female}}"),
        ("df_name: name", "df_name: {column: name, values: {남: Male}, otherwise: keep}"),
        ("df_name: name", "df_name: {column: name, null_values: [none]}"),
        ('type: long, thousands: ","', 'type: double, thousands: ".", decimal: ","'),
        ('thousands: ","', 'thousands: ",", on_error: omit'),
        ('"%Y-%m-%d %H:%M"', '["%Y-%m-%d %H:%M", unix]'),
        ('"%Y-%m-%d %H:%M"', '"%y-%m-%d %H:%M", pivot: 30'),
        ("{column: at, timezone: Asia/Seoul}", '{column: at, timezone: Asia/Seoul, format: [unix, "%Y%m%d"]}'),
        ("mapping:", "limits: {odd_identities: send}\nmapping:"),
    ],
)
def test_a_changed_cleaning_step_is_another_mapping(tmp_path: Path, old: str, new: str) -> None:
    assert MAPPING.replace(old, new) != MAPPING
    assert mapping_of(mapped(tmp_path, MAPPING.replace(old, new))) != mapping_of(mapped(tmp_path, MAPPING))


def test_all_changed_steps_are_different_mappings(tmp_path: Path) -> None:
    steps = ["trim: true", "case: lower", "case: upper", "strip: [a]", "strip: [b]", "values: {a: b}", "values: {a: c}"]

    keys = {
        mapping_of(mapped(tmp_path, MAPPING.replace("df_name: name", f"df_name: {{column: name, {step}}}")))
        for step in steps
    }

    assert len(keys) == len(steps)


def mapped(folder: Path, text: str) -> Settings:
    """Load the configuration *text*."""
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return load(folder / "config.yaml", environ={"T": "x"})
