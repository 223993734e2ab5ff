"""How dates and times are read: by ISO 8601 or a pattern, in a zone or with an offset."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files
from itertools import pairwise, product
from struct import unpack_from
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import PropertyType
from uploader.mapping import Now
from uploader.mapping.rules import MappingRules, MomentRule, PropertyRule, TimeRule
from uploader.model import Reason, Request, Row

NOW = "2024-06-24T06:42:25.394Z"
NEW_YORK = "America/New_York"
ZONES = sorted(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())
NOT_DATETIME = Reason("not_datetime", "column 'cell' → p: not a date and time (ISO 8601)")
NO_ZONE = Reason("no_zone", "column 'cell' → p: a time with neither an offset nor a `timezone` in its mapping")
SKIPPED = Reason("no_such_time", "column 'cell' → p: a local time that the clock change skips")
TWICE = Reason("time_twice", "column 'cell' → p: a local time that the clock change gives twice; it needs an offset")
OUT_OF_RANGE = Reason("not_datetime", "column 'cell' → p: a time outside the years 1 to 9999")


def read(
    value: object, *, kind: PropertyType = "datetime", pattern: str | None = None, timezone: str | None = None
) -> str | Reason:
    rule = PropertyRule(
        "p", "cell", kind=kind, times=TimeRule(formats=() if pattern is None else (pattern,), timezone=timezone)
    )
    plan = compile_plan(
        MappingRules(identity_rules({"external_id": "id"}), (rule,)),
        source="people.csv",
        config="config.yaml",
        columns=None,
    )
    done = plan.map_row(Row(1, {"id": "ann", "cell": value}), NOW)
    if not isinstance(done, Request):
        return done.reason
    found = json.loads(done.body)["user_properties"]["p"]
    assert isinstance(found, str)
    return found


def sent(found: str | Reason) -> str | None:
    """Return the value that was read, None if it was rejected."""
    return found if isinstance(found, str) else None


def clock_changes(name: str) -> list[int]:
    """Return when the offset of the zone *name* changes, in seconds since 1970, as its file says (RFC 9636)."""
    data = files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes()
    begin = data.rindex(b"TZif")
    _, _, _, times, types, _ = unpack_from(">6l", data, begin + 20)
    moments = unpack_from(f">{times}q", data, begin + 44)
    kinds = data[begin + 44 + 8 * times :][:times]
    offsets = [unpack_from(">lBB", data, begin + 44 + 9 * times + 6 * kind)[0] for kind in range(types)]
    steps = zip(moments, [0, *kinds], kinds, strict=False)
    return [at for at, before, after in steps if offsets[before] != offsets[after]]


def by_strptime(text: str, pattern: str) -> datetime:
    """Return what strptime reads; where it reads nothing, without what only the program reads."""
    without_fraction = re.sub(r"(?<=%S)[.,]%f", "", pattern)
    with_minutes = re.sub(r"([+-]\d{2})(?!:?\d)", r"\g<1>00", text)
    cut = [re.sub(rf"(\d{{6}})\d{{{more}}}(?!\d)", r"\1", text) for more in (1, 2, 3)]
    for form, read_as in product((pattern, without_fraction), (text, with_minutes, *cut)):
        with suppress(ValueError):
            found = datetime.strptime(read_as, form)  # noqa: DTZ007 — the next line adds the zone
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    raise AssertionError(f"strptime reads no {text} by {pattern}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-08-15T12:30:00Z", "2023-08-15T12:30:00.000Z"),
        ("2023-08-15t12:30:00z", "2023-08-15T12:30:00.000Z"),
        ("2023-08-15 12:30Z", "2023-08-15T12:30:00.000Z"),
        ("2023-08-15T12:30:00+09:00", "2023-08-15T03:30:00.000Z"),
        ("2023-08-15T12:30:00+0900", "2023-08-15T03:30:00.000Z"),
        ("2023-08-15T12:30:00+09", "2023-08-15T03:30:00.000Z"),
        ("2023-08-15T12:30:00-03:30", "2023-08-15T16:00:00.000Z"),
        ("2023-12-31T23:59:59-23:59", "2024-01-01T23:58:59.000Z"),
        ("2023-08-15T12:30:00.5Z", "2023-08-15T12:30:00.500Z"),
        ("2023-08-15T12:30:00,25Z", "2023-08-15T12:30:00.250Z"),
        ("2023-08-15T12:30:00.001Z", "2023-08-15T12:30:00.001Z"),
        ("2023-08-15T12:30:00.0009999Z", "2023-08-15T12:30:00.000Z"),
        ("2023-12-31T23:59:59.999999999Z", "2023-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_with_an_offset_is_sent_in_utc_cut_to_the_millisecond(text: str, expected: str) -> None:
    assert read(text) == expected
    assert read(text, timezone=NEW_YORK) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2023-08-15T12:30:00", NO_ZONE),
        ("2023-08-15T24:00:00Z", NOT_DATETIME),
        ("2023-08-15T12:60:00Z", NOT_DATETIME),
        ("2023-08-15T12:30:60Z", NOT_DATETIME),
        ("2023-02-29T12:30:00Z", NOT_DATETIME),
        ("0000-01-01T00:00:00Z", NOT_DATETIME),
        ("2023-08-15T12:30:00+24:00", NOT_DATETIME),
        ("2023-08-15T12:30:00+09:60", NOT_DATETIME),
        ("2023-08-15T12:30:00.Z", NOT_DATETIME),
        ("2023-08-15T12:30:00Z ", NOT_DATETIME),
        ("2023-08-15T12:30:00Z\n", NOT_DATETIME),
        ("2023-08-15  12:30:00Z", NOT_DATETIME),
        ("2023-08-15T12Z", NOT_DATETIME),
        ("٢٠٢٣-08-15T12:30:00Z", NOT_DATETIME),
        ("1692102600", NOT_DATETIME),
        ("0001-01-01T00:00:00+00:01", OUT_OF_RANGE),
        ("9999-12-31T23:59:59-00:01", OUT_OF_RANGE),
    ],
)
def test_what_is_no_time_or_no_certain_time_rejects_its_row(text: str, reason: Reason) -> None:
    assert read(text) == reason


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2023-08-15 12:30:00", "Asia/Seoul", "2023-08-15T03:30:00.000Z"),
        ("2024-01-15 12:00:00", NEW_YORK, "2024-01-15T17:00:00.000Z"),
        ("2024-07-15 12:00:00", NEW_YORK, "2024-07-15T16:00:00.000Z"),
        ("2024-03-10 01:59:59.999", NEW_YORK, "2024-03-10T06:59:59.999Z"),
        ("2024-03-10 02:00:00", NEW_YORK, SKIPPED),
        ("2024-03-10 02:59:59.999", NEW_YORK, SKIPPED),
        ("2024-03-10 03:00:00", NEW_YORK, "2024-03-10T07:00:00.000Z"),
        ("2024-11-03 00:59:59.999", NEW_YORK, "2024-11-03T04:59:59.999Z"),
        ("2024-11-03 01:00:00", NEW_YORK, TWICE),
        ("2024-11-03 01:59:59.999", NEW_YORK, TWICE),
        ("2024-11-03 02:00:00", NEW_YORK, "2024-11-03T07:00:00.000Z"),
        ("2024-11-03 01:30:00-04:00", NEW_YORK, "2024-11-03T05:30:00.000Z"),
        ("2024-11-03 01:30:00-05:00", NEW_YORK, "2024-11-03T06:30:00.000Z"),
        ("2011-12-30 12:00:00", "Pacific/Apia", SKIPPED),
        ("0001-01-01 00:00:00", "Asia/Seoul", OUT_OF_RANGE),
        ("9999-12-31 23:59:59", NEW_YORK, OUT_OF_RANGE),
    ],
)
def test_a_local_time_is_taken_in_its_zone_unless_the_clock_change_makes_it_doubtful(
    text: str, zone: str, expected: str | Reason
) -> None:
    assert read(text, timezone=zone) == expected
    assert read(datetime.fromisoformat(text), timezone=zone) == expected


@given(
    moment=st.datetimes(datetime(1880, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 — hypothesis adds the zone
    name=st.just(NEW_YORK) | st.sampled_from(ZONES),
)
@example(moment=datetime(1988, 10, 8, 16, 30, tzinfo=UTC), name="Asia/Seoul")
@example(moment=datetime(1985, 12, 31, 22, 30, tzinfo=UTC), name="Africa/Casablanca")
def test_a_local_time_names_the_moment_that_its_zone_saw_or_is_refused(moment: datetime, name: str) -> None:
    local = moment.astimezone(ZoneInfo(name))

    found = read(local.replace(tzinfo=None).isoformat(), timezone=name)

    doubtful = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    expected = moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    assert found == (TWICE if doubtful else expected)


def test_no_zone_changes_its_clock_twice_within_a_day() -> None:
    close = [(name, at) for name in ZONES for at, after in pairwise(clock_changes(name)) if after - at <= 24 * 3600]

    assert close == []


@given(
    st.datetimes(
        datetime(2, 1, 1),  # noqa: DTZ001 — hypothesis adds the zone
        timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_text_and_parquet_read_the_same_moment_alike(moment: datetime) -> None:
    assert read(moment.isoformat()) == read(moment)


PATTERNS = st.lists(
    st.sampled_from(["%Y", "%y", "%m", "%d", "%H", "%M", "%S", "%f", "%j", "%b", "%I", "%p", "%z", "%%"]),
    min_size=1,
    unique=True,
).flatmap(
    lambda pieces: st.lists(
        st.sampled_from(["", "", "", "-", " ", "/", ":", "T", "1", "년 "]), min_size=len(pieces), max_size=len(pieces)
    ).map(lambda between: "".join(a + b for a, b in zip(pieces, between, strict=True)))
)


def is_read_alike(pattern: str) -> bool:
    """Whether strptime and the mapping give *pattern* one meaning.

    strptime warns of a day without a year. Of a year in four and in two digits it takes the last, which the settings
    refuse. The digits behind an offset it may take for seconds; here each of these numbers has its full width.
    """
    years = [form for form in ("%Y", "%y") if form in pattern]
    has_year = len(years) == 1 or (not years and "%d" not in pattern)
    return has_year and re.search(r"%z(%[YymdHMSfjI]|\d)", pattern) is None


@given(
    PATTERNS.filter(is_read_alike),
    st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 — hypothesis adds the zone
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["", "0", "1", "9", " ", "-", "x", "٣"])), max_size=3),
)
@example("%Y-%m-%d %f%S", datetime(2023, 8, 15, 12, 30, 5, 123451, UTC), [(17, "")])
@settings(max_examples=500)
def test_what_a_pattern_reads_is_what_strptime_reads(
    pattern: str, moment: datetime, changes: list[tuple[int, str]]
) -> None:
    text = moment.strftime(pattern)
    for at, new in changes:
        text = text[:at] + new + text[at + 1 :]

    found = read(text, pattern=pattern, timezone="UTC")

    if isinstance(found, str) and text:
        expected = by_strptime(text, pattern)
        naive = expected.astimezone(UTC).replace(tzinfo=None)
        assert found == naive.isoformat(timespec="milliseconds") + "Z"


def test_minutes_that_touch_an_offset_are_no_seconds_of_it() -> None:
    assert read("2000-01-01 00+00000100", pattern="%Y-%m-%d %H%z%M%S") == "2000-01-01T00:01:00.000Z"


@pytest.mark.parametrize(
    "pattern",
    ["%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%Y년 %m월 %d일", "%d%b%Y", "%Y%j", "%A, %d %B %Y", "%m/%d/%Y 1", "%%%Y%m%d"],
)
@given(moment=st.dates(datetime(1000, 1, 1).date()))  # noqa: DTZ001 — only its date is used
def test_a_date_written_by_its_pattern_reads_back(pattern: str, moment: datetime) -> None:
    assert read(moment.strftime(pattern), kind="date", pattern=pattern) == moment.isoformat()


@pytest.mark.parametrize(
    "pattern",
    ["%Y%m%d%H%M%S", "%Y%m%d%H%M%S%f", "%Y-%m-%d %H:%M:%S.%f", "%S:%M:%H %d/%m/%Y", "%Y%m%d%I%M%S%p", "%Y%m%d%H%M%S%z"],
)
@given(moment=st.datetimes(datetime(1000, 1, 1)).map(lambda moment: moment.replace(microsecond=0, tzinfo=UTC)))  # noqa: DTZ001 — the zone is added
def test_a_time_written_by_its_pattern_reads_back(pattern: str, moment: datetime) -> None:
    expected = moment.replace(tzinfo=None).isoformat() + ".000Z"

    assert read(moment.strftime(pattern), pattern=pattern, timezone="UTC") == expected


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("19990203", "%Y%m%d", "1999-02-03"),
        ("1999-2-3", "%Y-%m-%d", "1999-02-03"),
        ("990203", "%y%m%d", "1999-02-03"),
        ("680203", "%y%m%d", "2068-02-03"),
        ("3Feb1999", "%d%b%Y", "1999-02-03"),
        ("3  feb  1999", "%d %b %Y", "1999-02-03"),
        ("1999034", "%Y%j", "1999-02-03"),
    ],
)
def test_a_pattern_reads_a_date(text: str, pattern: str, expected: str) -> None:
    assert read(text, kind="date", pattern=pattern) == expected


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("1999111", "%Y%m%d"),
        ("99111", "%y%m%d"),
        ("1999 111", "%Y %m%d"),
        ("1112024", "%d%m%Y"),
        ("1112024x", "%d%m%Yx"),
        ("2024111 12", "%Y%m%d %H"),
        ("2024111 12PM", "%Y%m%d %I%p"),
    ],
)
def test_digits_that_could_be_two_dates_are_none(text: str, pattern: str) -> None:
    assert by_strptime(text, pattern).tzinfo == UTC
    assert read(text, kind="date", pattern=pattern) == Reason("not_date", f"column 'cell' → p: not a date ({pattern})")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("19990230", "%Y%m%d"),
        ("1999-02-03", "%Y%m%d"),
        ("19990203 ", "%Y%m%d"),
        ("٢٢٢٢0203", "%Y%m%d"),
        ("99-02-03", "%Y-%m-%d"),
        ("3 Foo 1999", "%d %b %Y"),
        ("", "%Y%m%d"),
    ],
)
def test_what_does_not_follow_its_pattern_is_no_date(text: str, pattern: str) -> None:
    found = read(text or " ", kind="date", pattern=pattern)

    assert found == Reason("not_date", f"column 'cell' → p: not a date ({pattern})")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20230815 1230 +0900", "2023-08-15T03:30:00.000Z"), ("20230815 1230 Z", "2023-08-15T12:30:00.000Z")],
)
def test_an_offset_that_the_pattern_reads_wins_over_the_zone(text: str, expected: str) -> None:
    assert read(text, pattern="%Y%m%d %H%M %z", timezone=NEW_YORK) == expected


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (MomentRule("at"), "2023-08-15T12:30:00.1239+09:00", "2023-08-15T03:30:00.123Z"),
        (MomentRule("at", timezone="Asia/Seoul"), "2023-08-15 12:30", "2023-08-15T03:30:00.000Z"),
        (MomentRule("at", ("%d/%m/%Y %H:%M",), "Asia/Seoul"), "15/08/2023 12:30", "2023-08-15T03:30:00.000Z"),
        (MomentRule("at"), datetime(2023, 8, 15, 12, 30, tzinfo=UTC), "2023-08-15T12:30:00.000Z"),
        (
            MomentRule("at"),
            "2023-08-15 12:30",
            Reason(
                "no_zone",
                "column 'at' → request_datetime: a time with neither an offset nor a `timezone` in its mapping",
            ),
        ),
        (
            MomentRule("at"),
            "",
            Reason("not_datetime", "column 'at' → request_datetime: not a date and time (ISO 8601)"),
        ),
        (
            MomentRule("at"),
            None,
            Reason("not_datetime", "column 'at' → request_datetime: not a date and time (ISO 8601)"),
        ),
    ],
)
def test_the_time_of_the_request_may_stand_in_a_column(rule: MomentRule, value: object, expected: str | Reason) -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("name", "name"),), request_datetime=rule)
    plan = compile_plan(rules, source="people.csv", config="config.yaml", columns=None)

    done = plan.map_row(Row(1, {"id": "ann", "name": "Ann", "at": value}), NOW)

    found = json.loads(done.body)["request_datetime"] if isinstance(done, Request) else done.reason
    assert found == expected


def test_the_time_of_the_request_is_now_unless_a_column_says_it() -> None:
    plan = compile_plan(
        MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("name", "name"),)),
        source="people.csv",
        config="config.yaml",
        columns=["id", "name", "at"],
    )

    done = plan.map_row(Row(1, {"id": "ann", "name": "Ann", "at": "2023-08-15T12:30:00Z"}), NOW)

    assert isinstance(done, Request)
    assert json.loads(done.body)["request_datetime"] == NOW


DIGITS = st.tuples(*[st.integers(0, 9)] * 14).map(lambda found: "".join(map(str, found)))


@given(
    digits=DIGITS | st.datetimes().map(lambda moment: moment.strftime("%Y%m%d%H%M%S").rjust(14, "0")),
    between=st.sampled_from(" T"),
)
@example(digits="20240230093000", between=" ")
@example(digits="20240229235960", between=" ")
@example(digits="20240229240000", between="T")
@example(digits="00000101000000", between=" ")
def test_the_short_way_of_a_plain_time_reads_as_the_long_way(digits: str, between: str) -> None:
    year, month, day, hour, minute, second = digits[:4], *(digits[place : place + 2] for place in range(4, 14, 2))
    plain = f"{year}-{month}-{day}{between}{hour}:{minute}:{second}"

    assert read(plain, timezone="Asia/Seoul") == read(f"{plain}.0", timezone="Asia/Seoul")
    assert sent(read(plain[:10], kind="date")) == sent(read(digits[:8], kind="date", pattern="%Y%m%d"))
    assert sent(read(plain[:10], kind="date")) == sent(read(f"{plain[:10]} ", kind="date", pattern="%Y-%m-%d "))


@pytest.mark.parametrize("text", ["2024-W01-1", "2024W011", "20240101", "2024-001", "2024-1-1", "\uff12024-01-01"])
def test_no_other_form_of_an_iso_date_is_read(text: str) -> None:
    assert read(text, kind="date") == Reason("not_date", "column 'cell' → p: not a date (%Y-%m-%d)")
    assert read(f"{text} 09:30:00", timezone="UTC") == NOT_DATETIME


def test_now_is_the_time_of_the_clock_spelled_anew_each_millisecond() -> None:
    hand = [0]
    now = Now(lambda: hand[0])
    found = []
    for moment in (0, 999_999, 1_000_000, 1_719_211_345_394_999_999, 1_719_211_345_394_000_000):
        hand[0] = moment
        found.append(now())

    assert found == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.001Z",
        "2024-06-24T06:42:25.394Z",
        "2024-06-24T06:42:25.394Z",
    ]
