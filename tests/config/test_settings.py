from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import Load, identity_rules
from uploader.config import ApiSettings, GuardSettings, Settings
from uploader.config.error_messages import UnfitValueError
from uploader.config.value_parsers import duration, share, tolerance, unpacking
from uploader.mapping.rules import MappingRules, MomentRule, PropertyRule
from uploader.model import Tolerance, Unpacking

EVERY_KEY = """\
api:
  base_url: http://127.0.0.1:8080/prefix/
  service_id: svc-2
  access_token: linnet-0815
  endpoint: user-profile
  register_first: true
  timeout: 500ms
  proxy: http://host:3128
  ca_file: company.pem
source:
  format: jsonl
  encoding: CP949
  delimiter: tab
  null_values: [NULL, ~, "", no]
  skip_lines: 2
  columnar: off
  name: members
  timezone: Asia/Seoul
registered: {df_name: string}
mapping:
  identity: {line_user_id: a, kakao_user_id: b, email: c, phone_no: d, external_id: e}
  properties: {df_name: name}
  when_empty: "null"
  other_columns: send
  request_datetime: {column: at, format: "%Y%m%d%H%M", timezone: Asia/Seoul}
rate: {requests: 0012, per: 2h, share: 50%, burst: 3, concurrency: 1000}
retry: {attempts: 7, base: 1.5s, cap: 1m, outage_timeout: 2h}
limits:
  {max_rejected: 0.25, max_unpacked: 1.5GiB, canary: 0, max_joined: {phone_no: 50, email: off}, tolerate: 5,
   odd_identities: send}
guard: {rows: 10%, empty: 0.05, changed: 100%, consents: 0%}
output: {retry_file: "{dir}/again{suffix}", keep_retry_files: 7d}
notify: {on: [success], url: "https://monitor.example/hook", ping: "http://127.0.0.1/ping"}
metrics: {textfile: uploader.prom}
log_format: json
when_changed: refuse
changed_only: true
full_every: 30d
coalesce: true
retry_last_failures: true
journal_days: 7
state_dir: state
"""


def without(settings: Settings, section: str) -> dict[str, object]:
    """Return *settings* as a dictionary without one *section*."""
    return {key: value for key, value in asdict(settings).items() if key != section}


def test_every_key_takes_its_value(loaded: Load, tmp_path: Path) -> None:
    settings = loaded(EVERY_KEY)

    assert without(settings, "mapping") == {
        "api": {
            "base_url": "http://127.0.0.1:8080/prefix",
            "service_id": "svc-2",
            "access_token": "linnet-0815",
            "access_token_file": None,
            "access_token_command": None,
            "timeout": 0.5,
            "endpoint": "user-profile",
            "register_first": True,
            "proxy": "http://host:3128",
            "ca_file": tmp_path / "company.pem",
        },
        "source": {
            "name": "members",
            "timezone": "Asia/Seoul",
            "format": "jsonl",
            "encoding": "cp949",
            "delimiter": "\t",
            "null_values": ("NULL", "~", "", "no"),
            "skip_lines": 2,
            "columnar": "off",
        },
        "registered": settings.registered,
        "rate": {"requests": 12, "per": 7200.0, "share": 0.5, "burst": 3, "concurrency": 1000},
        "retry": {"attempts": 7, "base": 1.5, "cap": 60.0, "outage_timeout": 7200.0},
        "limits": {
            "max_rejected": 0.25,
            "max_unpacked": {"times": None, "size": 1_610_612_736},
            "canary": 0,
            "max_joined": {"most": 5, "of_field": {"phone_no": 50, "email": None}},
            "tolerate": {"rows": 5, "share": 0.0},
            "odd_identities": "send",
        },
        "guard": {"rows": 0.1, "empty": 0.05, "changed": 1.0, "consents": 0.0},
        "output": {"retry_file": "{dir}/again{suffix}", "keep_retry_files": 604_800.0},
        "notify": {"on": ("success",), "url": settings.notify.url, "ping": settings.notify.ping},
        "metrics": {"textfile": tmp_path / "uploader.prom"},
        "log_format": "json",
        "when_changed": "refuse",
        "changed_only": True,
        "full_every": 2592000.0,
        "coalesce": True,
        "retry_last_failures": True,
        "journal_days": 7,
        "state_dir": tmp_path / "state",
    }


def test_every_key_that_is_left_out_has_the_default_of_the_contract(loaded: Load, least: str, tmp_path: Path) -> None:
    settings = loaded(least)

    assert without(settings, "mapping") == {
        "api": {
            "base_url": "https://openapi.dfinery.ai",
            "service_id": "svc-1",
            "access_token": "linnet-4711",
            "access_token_file": None,
            "access_token_command": None,
            "timeout": 30.0,
            "endpoint": "user-profile",
            "register_first": False,
            "proxy": None,
            "ca_file": None,
        },
        "source": {
            "name": "",
            "timezone": None,
            "format": "auto",
            "encoding": "auto",
            "delimiter": ",",
            "null_values": ("",),
            "skip_lines": 0,
            "columnar": "auto",
        },
        "registered": None,
        "rate": {"requests": 10000, "per": 60.0, "share": 0.95, "burst": 16, "concurrency": 32},
        "retry": {"attempts": 5, "base": 0.5, "cap": 30.0, "outage_timeout": 1800.0},
        "limits": {
            "max_rejected": 0.1,
            "max_unpacked": {"times": 200, "size": None},
            "canary": 20,
            "max_joined": {"most": 5, "of_field": {}},
            "tolerate": {"rows": 0, "share": 0.0},
            "odd_identities": "reject",
        },
        "guard": None,
        "output": {"retry_file": "{dir}/{stem}.retry{suffix}", "keep_retry_files": 2_592_000.0},
        "notify": {"on": ("failure", "rejected"), "url": None, "ping": None},
        "metrics": {"textfile": None},
        "log_format": "text",
        "when_changed": "fresh",
        "changed_only": False,
        "full_every": None,
        "coalesce": False,
        "retry_last_failures": False,
        "journal_days": 30,
        "state_dir": tmp_path / ".uploader",
    }
    mapping = asdict(settings.mapping)
    assert {key: mapping[key] for key in ("hash_key", "when_empty", "other_columns", "request_datetime")} == {
        "hash_key": None,
        "when_empty": "omit",
        "other_columns": "ignore",
        "request_datetime": None,
    }


@pytest.mark.parametrize(
    ("lines", "override"), [("guard: {}\n", "guard={}"), ("guard: {rows: 30%}\n", "guard.rows=30%")]
)
def test_the_guard_is_on_where_its_section_is_there(lines: str, override: str, loaded: Load, least: str) -> None:
    written, overridden = loaded(least + lines), loaded(least, override)

    assert (written.guard, overridden.guard) == (GuardSettings(), GuardSettings())


def test_the_guard_is_off_where_its_section_is_not_there(loaded: Load, least: str) -> None:
    assert loaded(least).guard is None


def test_settings_remember_their_file_and_its_folder(loaded: Load, least: str, tmp_path: Path) -> None:
    settings = loaded(least)

    assert (settings.file, settings.folder) == (Path("config.yaml"), tmp_path)


def test_settings_are_frozen(loaded: Load, least: str) -> None:
    settings = loaded(least)

    with pytest.raises(FrozenInstanceError):
        settings.when_changed = "refuse"  # type: ignore[misc]  # that it is refused is what is tested


def test_neither_the_token_nor_the_service_id_is_in_the_repr(loaded: Load) -> None:
    settings = loaded(EVERY_KEY)

    assert not {"linnet-0815", "svc-2"} & set(repr(settings).replace("'", " ").split())
    assert "linnet-0815" not in repr(settings) + str(settings)


def test_an_override_wins_over_the_file_and_the_last_one_over_the_others(loaded: Load) -> None:
    settings = loaded(EVERY_KEY, "rate.requests=100", "rate.requests=200", "source.null_values=[x, 'y z']")

    assert (settings.rate.requests, settings.source.null_values) == (200, ("x", "y z"))


def test_an_override_makes_the_section_that_it_needs(loaded: Load, least: str) -> None:
    settings = loaded(least, "retry.attempts=2", "mapping.request_datetime.column=at")

    assert settings.retry.attempts == 2
    assert settings.mapping.request_datetime is not None


def test_an_override_names_a_column_where_the_file_says_now(loaded: Load, least: str) -> None:
    settings = loaded(f"{least}  request_datetime: now\n", "mapping.request_datetime.column=at")

    assert settings.rules().request_datetime == MomentRule("at")


def test_settings_that_come_from_no_file_start_at_the_working_directory(
    loaded: Load, least: str, tmp_path: Path
) -> None:
    settings = Settings(api=ApiSettings(service_id="svc-1", access_token="linnet"), mapping=loaded(least).mapping)

    assert (settings.file, settings.folder, settings.state_dir) == (
        Path("Settings"),
        tmp_path,
        tmp_path / ".uploader",
    )


@pytest.mark.parametrize("text", ["a#b", "a: b", "*a", "@a", "yes", "0123", "a=b", "%Y", '"a: b"'])
def test_an_override_is_read_as_text_as_it_stands(loaded: Load, least: str, text: str) -> None:
    settings = loaded(least, f"mapping.identity.email={text}")

    assert settings.mapping.identity.columns() == {"external_id": "user_id", "email": text.strip('"')}


def test_an_override_can_say_more_of_a_property_in_short_form(loaded: Load, least: str) -> None:
    settings = loaded(
        least, "mapping.properties.df_name.when_empty=null", "mapping.properties.age={column: a, type: long}"
    )

    assert settings.rules() == MappingRules(
        identity_rules({"external_id": "user_id"}),
        (
            PropertyRule("df_name", column="name", when_empty="null"),
            PropertyRule("age", column="a", kind="long"),
        ),
    )


def test_yaml_scalars_stay_text(loaded: Load, least: str) -> None:
    settings = loaded(least.replace("user_id", "0123").replace("{df_name: name}", "{yes: NULL, 1e3: on, ~: 0x1F}"))

    assert [(rule.key, rule.column) for rule in settings.rules().properties] == [
        ("yes", "NULL"),
        ("1e3", "on"),
        ("~", "0x1F"),
    ]
    assert settings.rules().identity == identity_rules({"external_id": "0123"})


def test_an_anchor_may_be_used_again(loaded: Load, least: str) -> None:
    settings = loaded(least.replace("{df_name: name}", "{a: &long {column: c, type: long}, b: *long}"))

    assert [rule.kind for rule in settings.rules().properties] == ["long", "long"]


def test_a_byte_order_mark_is_no_part_of_the_first_key(loaded: Load, least: str) -> None:
    assert loaded("\ufeff" + least).rate.requests == 10000


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://openapi.dfinery.ai/", "https://openapi.dfinery.ai"),
        ("https://10.0.0.1:8443", "https://10.0.0.1:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_a_base_url_is_https_or_stays_on_this_machine(loaded: Load, least: str, written: str, kept: str) -> None:
    assert loaded(least, f"api.base_url={written}").api.base_url == kept


@pytest.mark.parametrize(
    ("written", "separator"), [(";", ";"), ("|", "|"), (r"\t", "\t"), ("tab", "\t"), ('"\\t"', "\t"), ("','", ",")]
)
def test_a_delimiter_is_one_character(loaded: Load, least: str, written: str, separator: str) -> None:
    assert loaded(least, f"source.delimiter={written}").source.delimiter == separator


def test_paths_start_at_the_folder_of_the_configuration(
    loaded: Load, least: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(least, "state_dir=below/state")
    monkeypatch.chdir("/")

    assert settings.state_dir == tmp_path / "below/state"


@given(st.integers(1, 10**6), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]))
def test_a_duration_is_its_amount_times_its_unit(amount: int, unit: tuple[str, float]) -> None:
    name, seconds = unit

    expected = amount * seconds
    if expected <= 8784 * 3600:
        assert duration(f"{amount}{name}") == pytest.approx(expected)


@given(st.integers(0, 100))
def test_a_percentage_and_its_fraction_are_the_same_share(percent: int) -> None:
    assert share(f"{percent}%") == share(f"{percent / 100:.2f}")


@pytest.mark.parametrize("read", [1_000, 20_000, 200_000])
def test_exactly_as_many_rows_as_a_percentage_says_may_be_missing(read: int) -> None:
    for tenths in range(1, 1_000):
        rows, percent = tenths * read // 1_000, f"{tenths // 10}.{tenths % 10}%"

        tolerated = [tolerance(percent).allows(left, read=read) for left in (rows, rows + 1)]

        assert tolerated == [True, False], percent
        assert rows / read == share(percent)


@pytest.mark.parametrize("all_or_one", ["1.0", "1.00", 1.0], ids=repr)
def test_a_tolerance_of_one_row_or_of_all_rows_says_which(all_or_one: object) -> None:
    with pytest.raises(UnfitValueError, match=r"^may mean one row or all rows; write 1 or 100%$"):
        tolerance(all_or_one)

    assert (tolerance("1"), tolerance("100%")) == (Tolerance(rows=1), Tolerance(share=1.0))


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("20KB", 20_000), ("20KiB", 20_480), ("500MB", 500_000_000), ("10GB", 10**10), ("0.5TiB", 2**39)],
)
def test_a_size_has_a_unit_of_a_thousand_or_of_1024(text: str, size: int) -> None:
    assert unpacking(text) == Unpacking(times=None, size=size)


def test_a_multiple_is_a_whole_one() -> None:
    assert unpacking("1000x") == Unpacking(times=1000)


@pytest.mark.parametrize("read", [duration, share])
@given(text=st.text() | st.from_regex(r"[0-9.]{1,20}(ms|s|m|h|%)?", fullmatch=True))
def test_any_text_is_a_finite_amount_or_a_value_error(read: Callable[[object], float], text: str) -> None:
    try:
        amount = read(text)
    except UnfitValueError:
        return

    assert 0 <= amount <= 8784 * 3600
