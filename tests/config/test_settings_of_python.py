"""Settings that Python makes hold what the same configuration would, and are refused in the same words."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests import make
from tests.make import Load
from uploader.config import (
    ApiSettings,
    IdentityFieldSettings,
    IdentitySettings,
    LimitsSettings,
    MappingSettings,
    MomentSettings,
    PropertySettings,
    RateSettings,
    RetrySettings,
    Settings,
    SourceSettings,
)
from uploader.errors import ConfigError
from uploader.model import MaxJoined, Unpacking

MAPPING = {"identity": {"external_id": "user_id"}, "properties": {"df_name": "name"}}

TEXT = """\
api: {service_id: svc, access_token: linnet-0815, timeout: 90s, ca_file: company.pem}
source: {null_values: [NULL, ""], skip_lines: 2}
registered: {age: long}
mapping:
  identity: {external_id: user_id, phone_no: {column: phone, phone: KR, trim: true}}
  properties:
    df_name: name
    age: {column: age, type: long, null_values: [-]}
    sex: {column: sex, values: {m: Male, f: Female}, otherwise: omit}
    spent: {column: spent, type: double, decimal: ",", strip: [원]}
    day: {column: day, type: date, format: ["%Y%m%d", "%Y-%m-%d"]}
    channel: {value: nightly}
  request_datetime: {column: at, timezone: Asia/Seoul}
rate: {requests: 500, per: 2m, share: 50%}
limits: {max_rejected: 0.25, max_unpacked: 300x, max_joined: {phone_no: 50, email: off}}
guard: {rows: 10%}
changed_only: true
full_every: 30d
state_dir: state
"""

TREE: Mapping[str, object] = {
    "api": {"service_id": "svc", "access_token": "linnet-0815", "timeout": 90, "ca_file": Path("company.pem")},
    "source": {"null_values": ("NULL", ""), "skip_lines": 2},
    "registered": {"age": "long"},
    "mapping": {
        "identity": {"external_id": "user_id", "phone_no": {"column": "phone", "phone": "KR", "trim": True}},
        "properties": {
            "df_name": "name",
            "age": {"column": "age", "type": "long", "null_values": ["-"]},
            "sex": {"column": "sex", "values": {"m": "Male", "f": "Female"}, "otherwise": "omit"},
            "spent": {"column": "spent", "type": "double", "decimal": ",", "strip": ["원"]},
            "day": {"column": "day", "type": "date", "format": ["%Y%m%d", "%Y-%m-%d"]},
            "channel": {"value": "nightly"},
        },
        "request_datetime": {"column": "at", "timezone": "Asia/Seoul"},
    },
    "rate": {"requests": 500, "per": timedelta(minutes=2), "share": 0.5},
    "limits": {"max_rejected": 0.25, "max_unpacked": "300x", "max_joined": {"phone_no": 50, "email": "off"}},
    "guard": {"rows": 0.1},
    "changed_only": True,
    "full_every": "30d",
    "state_dir": "state",
}


def test_a_dictionary_makes_what_the_text_of_a_configuration_does(loaded: Load) -> None:
    assert Settings.of(TREE) == loaded(TEXT)


def test_the_sections_make_what_the_text_of_a_configuration_does(loaded: Load, tmp_path: Path) -> None:
    settings = Settings(
        api=ApiSettings(service_id="svc", access_token="linnet-0815", timeout=90, ca_file=Path("company.pem")),
        source=SourceSettings(null_values=("NULL", ""), skip_lines=2),
        registered={"age": "long"},
        mapping=MappingSettings(
            identity=IdentitySettings(
                external_id=IdentityFieldSettings(column="user_id"),
                phone_no=IdentityFieldSettings(column="phone", phone="KR", trim=True),
            ),
            properties={
                "df_name": PropertySettings(column="name"),
                "age": PropertySettings(column="age", type="long", null_values=("-",)),
                "sex": PropertySettings(column="sex", values=(("m", "Male"), ("f", "Female")), otherwise="omit"),
                "spent": PropertySettings(column="spent", type="double", decimal=",", strip=("원",)),
                "day": PropertySettings(column="day", type="date", format=("%Y%m%d", "%Y-%m-%d")),
                "channel": PropertySettings(value="nightly"),
            },
            request_datetime=MomentSettings(column="at", timezone="Asia/Seoul"),
        ),
        rate=RateSettings(requests=500, per=120.0, share=0.5),
        limits=LimitsSettings(
            max_rejected=0.25,
            max_unpacked=Unpacking(times=300),
            max_joined=MaxJoined(of_field={"phone_no": 50, "email": None}),
        ),
        guard=loaded(TEXT).guard,
        changed_only=True,
        full_every=30 * 24 * 3600,
        state_dir=Path("state"),
    )

    assert settings == loaded(TEXT)
    assert settings.state_dir == tmp_path / "state"


def test_settings_are_plain_data_of_the_standard_library(loaded: Load) -> None:
    def within(value: object) -> list[object]:
        if is_dataclass(value):
            return [value, *(one for field in fields(value) for one in within(getattr(value, field.name)))]
        if isinstance(value, dict):
            return [value, *(one for below in value.values() for one in within(below))]
        return [value]

    parts = within(loaded(TEXT))

    assert len(parts) > 100
    assert [part for part in parts if isinstance(part, BaseModel) or type(part).__module__.startswith("pydantic")] == []
    assert [part for part in parts if is_dataclass(part) and not vars(type(part))["__dataclass_params__"].frozen] == []


def test_settings_may_be_changed_one_by_one(loaded: Load, least: str) -> None:
    settings = loaded(least)

    changed = replace(settings, rate=replace(settings.rate, requests=77), coalesce=True)

    assert changed == loaded(f"{least}rate: {{requests: 77}}\ncoalesce: true\n")


def test_what_is_none_in_a_dictionary_is_left_out() -> None:
    assert Settings.of({"mapping": MAPPING, "full_every": None, "guard": None}) == Settings.of({"mapping": MAPPING})


def test_a_dictionary_takes_variables_of_the_environment() -> None:
    api = {"service_id": "${SERVICE}", "access_token": "${TOKEN}"}

    settings = Settings.of({"api": api, "mapping": MAPPING}, environ={"SERVICE": "svc", "TOKEN": "linnet-0815"})

    assert (settings.api.service_id, settings.api.access_token) == ("svc", "linnet-0815")
    assert "linnet-0815" not in repr(settings)


def test_paths_of_a_dictionary_start_at_its_folder() -> None:
    settings = Settings.of({"mapping": MAPPING, "api": {"ca_file": "company.pem"}}, folder=Path("/srv"))

    assert (settings.state_dir, settings.api.ca_file) == (Path("/srv/.uploader"), Path("/srv/company.pem"))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: RateSettings(requests=0), "rate.requests: 0 is not between 1 and 1000000000; write 10000"),
        (lambda: RateSettings(requests=True), "rate.requests: True is not a whole number; write 10000"),
        (lambda: RateSettings(share=1.5), "rate.share: 1.5 is more than the whole; write 10% or 0.1"),
        (lambda: RateSettings(share=-0.5), "rate.share: -0.5 is not a share; write 10% or 0.1"),
        (
            lambda: RetrySettings(base=float("nan")),
            "retry.base: nan is not a duration; write a number and its unit, as 500ms, 30s, 1m or 2h",
        ),
        (
            lambda: RetrySettings(cap=0.0, attempts=-1),
            (
                "retry.attempts: -1 is not between 1 and 1000; write 5\n"
                "retry.cap: 0.0 is not between 1ms and 8784h; write for example 30s"
            ),
        ),
        (
            lambda: RateSettings(requests=1, share=0.5),
            "rate: requests times share is less than one request in a window; raise one of them",
        ),
        (
            lambda: PropertySettings(column="age", type="lnog"),  # type: ignore[arg-type]  # what it refuses
            (
                "mapping.properties.NAME.type: 'lnog' is not one of string, long, double, boolean, date, datetime, "
                "array<string>, array<long>, array<double>; did you mean long?"
            ),
        ),
        (
            IdentitySettings,
            (
                "mapping.identity names no column; "
                "give one at least of external_id, phone_no, email, kakao_user_id, line_user_id"
            ),
        ),
        (
            lambda: ApiSettings(access_token="two words"),
            "api.access_token: its value is empty, or holds a character that none has; copy it again from the console",
        ),
        (
            lambda: Settings.of({"mapping": MAPPING, "rat": {"requests": 5}}),
            "rat is not a key; did you mean rate?",
        ),
        (
            lambda: Settings.of({"rate": {"requests": 5.5}}),
            (
                "rate.requests: 5.5 is not a whole number; write 10000\n"
                'mapping is missing; write for example "mapping": {"identity": {"external_id": "user_id"}, '
                '"properties": {"df_name": "name"}}'
            ),
        ),
        (
            lambda: Settings.of({"mapping": {**MAPPING, "properties": {"nick": {"column": "a", "hash": "md5"}}}}),
            "mapping.properties.nick.hash: 'md5' is not one of hmac-sha256",
        ),
        (
            lambda: Settings.of({"mapping": MAPPING, "rate": {"per": "${WINDOW}"}}, environ={"OTHER": ""}),
            "rate.per: the variable WINDOW is not set; run `export WINDOW=…`",
        ),
    ],
)
def test_a_wrong_value_of_python_is_refused_by_the_name_of_its_key(make: Callable[[], object], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()

    assert str(caught.value) == line
    assert caught.value.__context__ is None


def test_a_token_at_a_wrong_key_is_not_repeated() -> None:
    tree = {"mapping": MAPPING, "api": {"access_token": "linnet-0815-4711"}, "rate": {"per": "linnet-0815-4711"}}

    with pytest.raises(ConfigError) as caught:
        Settings.of(tree)

    assert "linnet" not in str(caught.value)


def test_replaced_settings_keep_the_folder_of_their_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    make.config(tmp_path / "below", f"mapping: {json.dumps(MAPPING)}\n")
    monkeypatch.chdir(tmp_path)
    before = Settings.load("below/config.yaml", credentials=False)

    after = replace(before, coalesce=True, state_dir=Path("state"))

    assert (after.file, after.folder, after.warnings) == (before.file, before.folder, before.warnings)
    assert after.state_dir == tmp_path / "below/state"
    assert after == replace(before, coalesce=True, state_dir=tmp_path / "below/state")


def test_the_token_command_of_replaced_settings_runs_in_the_folder_of_their_configuration(tmp_path: Path) -> None:
    script = tmp_path / "token.sh"
    script.write_text("#!/bin/sh\necho linnet\n", encoding="utf-8")
    script.chmod(0o700)
    api = {"service_id": "svc", "access_token_command": ["./token.sh"]}

    settings = replace(Settings.of({"api": api, "mapping": MAPPING}, folder=tmp_path), coalesce=True)

    assert settings.with_credentials().api.access_token == "linnet"


@pytest.mark.parametrize("key", ["origin", "_origin"])
def test_where_settings_come_from_is_no_key_of_a_configuration(complaint: Callable[..., str], key: str) -> None:
    text = f"mapping: {json.dumps(MAPPING)}\n{key}: elsewhere\n"

    assert f"{key} is not a key; the keys here are: api, source" in complaint(text, credentials=False)
