import re
from dataclasses import replace
from pathlib import Path

from uploader.config import GuardSettings, load
from uploader.config.settings import Settings, keys_of, names_of

EXAMPLE = Path(__file__).parents[2] / "config.yaml"
MAPPED = {
    "user_id", "name", "email", "phone", "gender", "birth", "age", "score", "vip", "joined", "tags", "membership",
    "push_optin", "sms_ads_optin", "night_ads_optin",
}  # fmt: skip


def test_the_example_needs_no_variable_for_a_rehearsal() -> None:
    settings = load(EXAMPLE, environ={}, credentials=False)

    assert settings.api.access_token == "dry-run"


def test_the_example_takes_both_credentials_from_the_environment() -> None:
    environ = {"DFINERY_SERVICE_ID": "svc", "DFINERY_ACCESS_TOKEN": "canary"}

    settings = load(EXAMPLE, environ=environ)

    assert (settings.api.service_id, settings.api.access_token) == ("svc", "canary")


def test_the_example_maps_the_columns_of_the_sample() -> None:
    rules = load(EXAMPLE, environ={}, credentials=False).rules()

    assert {*rules.identity_columns.values(), *(rule.column for rule in rules.properties)} == {*MAPPED, None}


def test_every_key_of_the_contract_is_in_the_example() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    sections = [(), *((name,) for name in names_of(Settings))]
    keys = {key for section in sections for key in keys_of(section)}

    assert {key for key in keys if not re.search(rf"\b{key}:", text)} == set()


def test_what_the_example_comments_out_is_what_holds_without_it(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    file = tmp_path / "config.yaml"
    file.write_text(re.sub(r"(?m)^( *)# (?=( {2})*[a-z_]+:( |$))(.*)$", r"\1\4", text), encoding="utf-8")

    spelt_out = load(file, environ={}, credentials=False)

    assert "\nretry:\n" in file.read_text(encoding="utf-8")
    unsaid = load(EXAMPLE, environ={}, credentials=False)
    assert spelt_out == replace(unsaid, guard=GuardSettings(), state_dir=spelt_out.state_dir)
