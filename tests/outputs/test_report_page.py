"""The page of a report: whole in itself, the same in both languages, without a value that could act."""

import re
import string
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from tests.reports import longest_report, numbers_of, reasons_of, report
from uploader.counts import Counts
from uploader.outputs.report_data import ReasonRows
from uploader.outputs.report_page import report_page
from uploader.outputs.report_words import Language, language_of, outcome_in, words_in
from uploader.run_record import RunRecord, SourceRecord
from uploader.timeline import Interval, IntervalTotals

BOTH = pytest.mark.parametrize("language", ["en", "ko"])


class Tags(HTMLParser):
    """The tags of a page, each with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@BOTH
def test_the_page_shows_every_number_of_the_run(language: Language) -> None:
    page = report_page(report(), language)

    rows = {"read": 10, "sent": 7, "unchanged": 1, "superseded": 0, "rejected": 1, "failed": 1, "not_attempted": 0}
    requests = {"requests": 12, "retries": 3, "limited": 2, "limited_seconds": 1.5, "seconds": 20.123}
    assert numbers_of(page) == rows | requests | {"maybe_sent_twice": 0}
    assert reasons_of(page) == {"50000": 1, "type": 1}


def test_a_long_time_is_said_for_people_and_exactly() -> None:
    page = report_page(report(seconds=3723.456), "en")

    assert "1 h 2 min<small>3,723.456 s</small>" in page
    assert numbers_of(page)["seconds"] == 3723.456


@BOTH
def test_the_page_asks_for_nothing_and_runs_nothing(language: Language) -> None:
    tags = Tags(report_page(longest_report(), language)).found

    assert {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object", "form", "a"} == set()
    assert [found for _, found in tags if {"src", "href", "onload", "onclick", "style"} & found.keys()] == []
    assert ("meta", "default-src 'none'; style-src 'unsafe-inline'") in [(t, found.get("content")) for t, found in tags]


def test_the_style_sheet_loads_nothing() -> None:
    assert re.findall(r"url\(|@import|@font-face", report_page(report(), "en")) == []


def test_a_name_that_looks_like_html_is_shown_as_it_is() -> None:
    nasty = '<script>alert("1")</script>&amp;'
    reasons = [ReasonRows('"><b>', nasty, 1)]

    page = report_page(report(source=nasty, retry_file=nasty, service=nasty, reasons=reasons), "en")

    assert "<script" not in page
    assert "<b>" not in page
    assert page.count("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;") == 4


@BOTH
def test_each_chart_is_drawn_for_each_width(language: Language) -> None:
    page = report_page(report(), language)

    figures = re.findall(r'<figure data-chart="(\w+)">(.*?)</figure>', page, re.DOTALL)
    assert [name for name, _ in figures] == ["throughput", "windows", "latency", "last_runs"]
    for _, figure in figures:
        drawn = re.findall(r'<svg class="(\w+)" role="img" aria-label="[^"]+".*?</svg>', figure, re.DOTALL)
        assert drawn == ["narrow", "medium", "wide"]


def test_the_drawings_are_well_formed() -> None:
    for drawing in re.findall(r"<svg .*?</svg>", report_page(longest_report(), "ko"), re.DOTALL):
        ET.fromstring(drawing)  # noqa: S314 — we have drawn it


@BOTH
def test_a_run_without_a_record_over_time_has_a_report_that_says_so(language: Language) -> None:
    page = report_page(report(intervals=[]), language)

    assert words_in(language)["no_intervals"] in page
    assert re.findall(r'data-chart="(\w+)"', page) == ["last_runs"]
    assert numbers_of(page)["requests"] == 12


def test_a_run_without_requests_has_a_report() -> None:
    idle = [Interval(1767225600.0, 1.0, limit=10.0, per=1.0)]

    page = report_page(
        report(intervals=idle, reasons=[], ended=None, latest=RunRecord("1", "2026-01-01T00:00:00+00:00")), "en"
    )

    assert re.findall(r'data-chart="(\w+)"', page) == ["throughput", "last_runs"]
    assert "No row was rejected or failed." in page


def test_requests_that_no_interval_has_are_named() -> None:
    some = [Interval(1767225600.0, 1.0, IntervalTotals(9), limit=10.0, per=1.0)]

    assert "3 requests are in no interval" in report_page(report(intervals=some), "en")
    assert "in no interval" not in report_page(report(), "en")


@BOTH
def test_registrations_are_counted_apart_from_what_the_chart_shows(language: Language) -> None:
    some = [Interval(1767225600.0, 2.0, IntervalTotals(12, registrations=4), limit=10.0, per=1.0)]

    page = report_page(report(intervals=some), language)

    assert words_in(language)["registrations"].format(count="4") in page
    assert words_in(language)["registrations"].partition("{count}")[2] not in report_page(report(), language)
    assert some[0].per_second == 4.0


def test_of_many_pauses_and_reasons_the_rest_is_counted() -> None:
    page = report_page(longest_report(), "en")

    assert "15 shorter ones are not listed." in page
    assert "rows have 10 other reasons." in page


def test_a_line_of_every_color_has_dashes_of_its_own() -> None:
    page = report_page(report(), "en")

    dashes = re.findall(r'stroke-width="2.4" stroke-dasharray="([^"]+)"', page)
    assert len(set(dashes)) == len(set(re.findall(r'stroke="(#\w+)" stroke-width="2.4"', page))) == 4


@pytest.mark.parametrize("status", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 129, 130, 143])
@BOTH
def test_each_outcome_has_words_of_its_own(language: Language, status: int) -> None:
    outcome = outcome_in(language, record(status))

    others = [outcome_in(language, record(other)) for other in (None, *range(11), 129, 130, 143) if other != status]
    assert outcome not in others
    assert bool(re.search("[가-힣]", outcome)) == (language == "ko")
    assert language == "ko" or outcome == record(status).outcome


@pytest.mark.parametrize(
    ("started", "english", "korean"),
    [
        (RunRecord("1", ""), "running", "실행 중"),
        (
            RunRecord("1", "", is_killed=True),
            "killed, or its end could not be recorded",
            "강제 종료되었거나 종료를 기록하지 못함",
        ),
        (
            RunRecord("1", "", exit_status=0),
            "nothing to send: no retry file is pending",
            "전송할 것 없음: 대기 중인 재시도 파일 없음",
        ),
        (
            RunRecord("1", "", sources=(SourceRecord("a"),), exit_status=0),
            "nothing to send: no rows",
            "전송할 것 없음: 행 없음",
        ),
        (
            RunRecord("1", "", sources=(SourceRecord("a", counts=Counts(9, 6, rejected=2, failed=1)),), exit_status=0),
            "succeeded with 2 rejected and 1 failed rows",
            "성공, 거부 2행, 실패 1행",
        ),
        (
            RunRecord("1", "", sources=(SourceRecord("a", already_sent_by="run-7"),), exit_status=0),
            "nothing to send: already sent by run run-7",
            "전송할 것 없음: 실행 run-7에서 이미 전송함",
        ),
    ],
    ids=["running", "killed", "nothing pending", "no rows", "tolerated", "sent before"],
)
def test_an_outcome_is_said_in_both_languages(started: RunRecord, english: str, korean: str) -> None:
    assert (outcome_in("en", started), outcome_in("ko", started)) == (english, korean)


def record(status: int | None) -> RunRecord:
    """Return a start that ended with *status*, after a row that was rejected where that is 3."""
    counts = Counts(2, 1, rejected=1) if status == 3 else Counts(1, 1)
    return RunRecord("1", "", sources=(SourceRecord("a", counts=counts),), exit_status=status)


def test_both_languages_say_the_same_things() -> None:
    english, korean = words_in("en"), words_in("ko")

    assert english.keys() == korean.keys()
    assert [key for key in english if _fields(english[key]) != _fields(korean[key])] == []
    assert [key for key in korean if not re.search("[가-힣]", korean[key])] == []


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": ""}, "ko"),
    ],
)
def test_the_locale_says_the_language(environ: dict[str, str], language: Language) -> None:
    assert language_of(environ) == language


def _fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}
