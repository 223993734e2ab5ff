"""Which formats and zones are refused at load, and what is said to write."""

import zoneinfo
from collections.abc import Callable

import pytest

from tests.make import Load
from uploader.config.datetime_formats import pattern, zone
from uploader.config.error_messages import UnfitValueError
from uploader.mapping.rules import MomentRule, PropertyRule, TimeRule

HEAD = "api: {service_id: svc, access_token: canary}\nmapping:\n  identity: {email: mail}\n"
EXAMPLE = 'write for example "%Y-%m-%d" or "%Y%m%d%H%M%S"'
BIRTH_YEAR = (
    ": %y would make 2050 of 50, and a birth date lies in the past; "
    "add pivot, the last year that is 20xx, for example pivot: 25"
)


def with_property(key: str, text: str) -> str:
    return f"{HEAD}  properties:\n    {key}: {text}\n"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (
            "{column: a, type: date, format: ['%Y.%m.%d', '%Y-%m-%d']}",
            PropertyRule("p", "a", kind="date", times=TimeRule(formats=("%Y.%m.%d", "%Y-%m-%d"))),
        ),
        (
            "{column: a, type: datetime, format: [unix_ms, Unix, EXCEL], timezone: Asia/Seoul}",
            PropertyRule(
                "p", "a", kind="datetime", times=TimeRule(formats=("unix_ms", "unix", "excel"), timezone="Asia/Seoul")
            ),
        ),
        (
            "{column: a, type: date, format: '%y%m%d', pivot: 30}",
            PropertyRule("p", "a", kind="date", times=TimeRule(formats=("%y%m%d",), pivot=30)),
        ),
        (
            "{column: a, type: date, format: unix, timezone: UTC}",
            PropertyRule("p", "a", kind="date", times=TimeRule(formats=("unix",), timezone="UTC")),
        ),
        (
            "{column: a, type: datetime, format: '%Y-%m-%dT%H:%M:%SZ', timezone: Etc/UTC}",
            PropertyRule(
                "p", "a", kind="datetime", times=TimeRule(formats=("%Y-%m-%dT%H:%M:%SZ",), timezone="Etc/UTC")
            ),
        ),
        (
            "{column: a, type: datetime, format: '%Y-%m-%d %H:%M:%S KST', timezone: Asia/Seoul}",
            PropertyRule(
                "p", "a", kind="datetime", times=TimeRule(formats=("%Y-%m-%d %H:%M:%S KST",), timezone="Asia/Seoul")
            ),
        ),
    ],
)
def test_formats_become_plain_data(loaded: Load, text: str, rule: PropertyRule) -> None:
    assert loaded(with_property("p", text)).rules().properties == (rule,)


def test_the_time_of_the_request_takes_a_list_and_a_pivot(loaded: Load) -> None:
    moment = "{column: at, format: ['%y%m%d %H:%M', unix], pivot: 40, timezone: Asia/Seoul}"
    settings = loaded(f"{HEAD}  properties: {{a: a}}\n  request_datetime: {moment}\n")

    assert settings.rules().request_datetime == MomentRule("at", ("%y%m%d %H:%M", "unix"), "Asia/Seoul", 40)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "{column: a, type: datetime, format: '%Y-%m-%d %H:%M:%S %p'}",
            (
                ".format: '%Y-%m-%d %H:%M:%S %p' reads hours of 24 (%H), "
                "for which the half of the day (%p) is ignored; write %I for %H"
            ),
        ),
        (
            "{column: a, type: datetime, format: ['%Y-%m-%d', '%Y-%m-%d %H %p']}",
            (
                ".format[1]: '%Y-%m-%d %H %p' reads hours of 24 (%H), "
                "for which the half of the day (%p) is ignored; write %I for %H"
            ),
        ),
        (
            "{column: a, type: datetime, format: '%Y-%m-%d %p'}",
            ".format: '%Y-%m-%d %p' reads the half of the day (%p) without its hours of 12; add %I",
        ),
        (
            "{column: a, type: date, format: '%Y%y-%m-%d'}",
            ".format: '%Y%y-%m-%d' reads the year twice, and the one of two digits (%y) is ignored; delete %y",
        ),
        ("{column: a, type: date, format: [[x]]}", f".format[0]: a list is not a pattern; {EXAMPLE}"),
        ("{column: a, type: date, format: {x: y}}", f".format: a section is not a pattern; {EXAMPLE}"),
        (
            "{column: a, type: date, format: epoch}",
            f".format: 'epoch' is not a pattern that reads year, month and day; {EXAMPLE}",
        ),
        ("{column: a, type: long, pivot: 30}", ".pivot needs type: date or datetime; write it, or delete pivot"),
        ("{column: a, type: date, pivot: 30}", ".pivot needs a format with %y; write it, or delete pivot"),
        (
            "{column: a, type: date, format: '%%y%Y%m%d', pivot: 30}",
            ".pivot needs a format with %y; write it, or delete pivot",
        ),
        (
            "{column: a, type: date, format: '%y%m%d', pivot: 100}",
            ".pivot: '100' is not between 0 and 99; write 30",
        ),
        (
            "{column: a, type: date, format: '%y%m%d', pivot: 2030}",
            ".pivot: '2030' is not between 0 and 99; write 30",
        ),
        (
            "{column: a, type: date, format: excel, timezone: UTC}",
            ".timezone needs type: datetime; write it, or delete timezone",
        ),
        (
            "{column: a, type: datetime, format: '%Y-%m-%dT%H:%M:%SZ', timezone: Asia/Seoul}",
            (".format: '%Y-%m-%dT%H:%M:%SZ' passes over the zone in its text; write %z for Z or UTC, or timezone: UTC"),
        ),
        (
            "{column: a, type: datetime, format: [unix, '%Y-%m-%d %H:%M UTC'], timezone: Europe/London}",
            ".format: '%Y-%m-%d %H:%M UTC' passes over the zone in its text; write %z for Z or UTC, or timezone: UTC",
        ),
        (
            "{column: a, type: datetime, format: '%Y-%m-%d %H:%M:%S KST', timezone: UTC}",
            (
                ".format: '%Y-%m-%d %H:%M:%S KST' says KST in its text, and timezone is another zone; "
                "write timezone: Asia/Seoul"
            ),
        ),
        (
            "{column: a, type: datetime, format: ['%Y-%m-%d', '%Y-%m-%d %H:%M (EST)'], timezone: America/Chicago}",
            (
                ".format: '%Y-%m-%d %H:%M (EST)' says EST in its text, and timezone is another zone; "
                "write timezone: America/New_York"
            ),
        ),
        (
            "{column: a, type: datetime, format: '%Y-%m-%d %H:%M KST'}",
            (
                ".format: '%Y-%m-%d %H:%M KST' says KST in its text, and timezone is another zone; "
                "write timezone: Asia/Seoul"
            ),
        ),
    ],
)
def test_a_format_that_can_not_mean_what_it_says_is_refused(
    complaint: Callable[..., str], text: str, words: str
) -> None:
    assert complaint(with_property("p", text)) == f"config.yaml line 5: mapping.properties.p{words}"


@pytest.mark.parametrize(
    ("form", "zone"),
    [
        ("%Y-%m-%d %H:%M EST", "America/Toronto"),
        ("%Y-%m-%d %H:%M CST", "Asia/Taipei"),
        ("%Y-%m-%d AT %H:%M", "Asia/Seoul"),
        ("%Y-%m-%d %H:%M ABC", "Asia/Seoul"),
        ("%Y-%m-%d %H:%M KST %z", "UTC"),
    ],
)
def test_a_zone_in_the_text_of_a_format_may_be_that_of_the_setting(loaded: Load, form: str, zone: str) -> None:
    settings = loaded(with_property("p", f"{{column: a, type: datetime, format: '{form}', timezone: '{zone}'}}"))

    assert settings.rules().properties[0].times.timezone == zone


def test_a_birth_date_is_known_by_its_column_too(complaint: Callable[..., str]) -> None:
    rule = "{column: 생년월일, type: date, format: '%y%m%d'}"

    assert complaint(with_property("custom", rule)) == (
        f"config.yaml line 5: mapping.properties.custom.format{BIRTH_YEAR}"
    )


@pytest.mark.parametrize("key", ["df_birth", "birthday", "생년월일"])
@pytest.mark.parametrize("form", ["'%y%m%d'", "['%Y-%m-%d', '%d/%m/%y']", "'%x'"])
def test_a_year_of_two_digits_needs_a_pivot_in_a_birth_date(
    complaint: Callable[..., str], loaded: Load, key: str, form: str
) -> None:
    rule = f"column: a, type: date, format: {form}"
    without = with_property(key, f"{{{rule}}}")

    assert complaint(without) == f"config.yaml line 5: mapping.properties.{key}.format{BIRTH_YEAR}"
    assert loaded(with_property(key, f"{{{rule}, pivot: 25}}")).rules().properties[0].times.pivot == 25


def test_a_year_of_two_digits_needs_none_elsewhere(loaded: Load) -> None:
    settings = loaded(with_property("joined", "{column: a, type: date, format: '%y%m%d'}"))

    assert settings.rules().properties == (
        PropertyRule("joined", "a", kind="date", times=TimeRule(formats=("%y%m%d",))),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "request_datetime: {column: at, format: '%Y-%m-%d %H:%M %p'}",
            (
                ".format: '%Y-%m-%d %H:%M %p' reads hours of 24 (%H), "
                "for which the half of the day (%p) is ignored; write %I for %H"
            ),
        ),
        ("request_datetime: {column: at, pivot: 3}", ".pivot needs a format with %y; write it, or delete pivot"),
        (
            "request_datetime: {column: at, format: '%Y-%m-%dT%H:%MZ'}",
            ".format: '%Y-%m-%dT%H:%MZ' passes over the zone in its text; write %z for Z or UTC, or timezone: UTC",
        ),
    ],
)
def test_the_time_of_the_request_is_held_to_the_same(complaint: Callable[..., str], text: str, words: str) -> None:
    found = complaint(f"{HEAD}  properties: {{a: a}}\n  {text}\n")

    assert found == f"config.yaml line 5: mapping.request_datetime{words}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("KST", "is an abbreviation, not a time zone; write Asia/Seoul"),
        ("kst", "is an abbreviation, not a time zone; write Asia/Seoul"),
        ("JST", "is an abbreviation, not a time zone; write Asia/Tokyo"),
        ("EST", "is an abbreviation, not a time zone; write America/New_York"),
        ("MST", "is an abbreviation, not a time zone; write America/Denver"),
        ("CST", "is an abbreviation, not a time zone; write Asia/Shanghai or America/Chicago"),
        ("ABCT", "is not a time zone; write for example Asia/Seoul"),
        ("", "is not a time zone; write for example Asia/Seoul"),
        ("Seoul", "is not a time zone; did you mean Asia/Seoul?"),
        ("Asia/Seoull", "is not a time zone; did you mean Asia/Seoul?"),
        (
            "Etc/GMT+9",
            (
                "is 9 hours behind UTC, since the sign of these names is reversed (POSIX); "
                "for 9 hours ahead of UTC write Asia/Seoul, for 9 hours behind it a place"
            ),
        ),
        (
            "Etc/GMT+5",
            (
                "is 5 hours behind UTC, since the sign of these names is reversed (POSIX); "
                "for 5 hours ahead of UTC write Etc/GMT-5, for 5 hours behind it a place"
            ),
        ),
        ("UTC+9", "is not a time zone; write Asia/Seoul"),
        ("GMT+9", "is not a time zone; write Asia/Seoul"),
        ("GMT+09:00", "is not a time zone; write Asia/Seoul"),
        ("+0900", "is not a time zone; write Asia/Seoul"),
        ("+9", "is not a time zone; write Asia/Seoul"),
        ("UTC+8", "is not a time zone; write a place, or Etc/GMT-8: the sign of these names is reversed (POSIX)"),
        ("-05:00", "is not a time zone; write a place, such as Asia/Seoul"),
        ("UTC+5:30", "is not a time zone; write a place, such as Asia/Seoul"),
    ],
)
def test_what_is_no_zone_or_another_than_it_looks_is_refused_with_what_to_write(name: str, words: str) -> None:
    with pytest.raises(UnfitValueError) as refused:
        zone(name)

    assert str(refused.value) == words


@pytest.mark.parametrize("name", ["Asia/Seoul", "UTC", "GMT", "Etc/UTC", "Etc/GMT-9", "Etc/GMT+0", "ROK", "CET"])
def test_a_zone_that_means_what_it_says_is_taken(name: str) -> None:
    assert zone(name) == zoneinfo.ZoneInfo(name).key


def test_no_advice_names_an_abbreviation_or_a_zone_that_is_refused() -> None:
    for letters in ("KST", "PST", "EDT", "XYZ", "MSK", "AST", "HKT", "MSTT", "Etc/GMT+99", "Etc/GMT9"):
        with pytest.raises(UnfitValueError) as refused:
            zone(letters)
        assert "MST" not in str(refused.value)
        for word in str(refused.value).replace("?", "").replace(":", "").split():
            assert "/" not in word or zone(word) == word


@pytest.mark.parametrize("text", ["%Y-%m-%d %p %I:%M:%S", "%c", "%x", "%Y-%m-%d %H:%M:%S.%f %z", "unix", "%y%m%d"])
def test_a_pattern_that_means_what_it_says_is_taken(text: str) -> None:
    assert pattern(text) == text
