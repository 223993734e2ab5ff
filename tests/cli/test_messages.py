"""What people read at the end of a check and of a run: every line of it."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from tests.make import CONFIG
from tests.watching import Lines, check
from uploader.check.joined_identities import JoinedValue
from uploader.check.source_summary import CheckSummary, DuplicateCount
from uploader.cli.check_messages import check_lines, duplicate_lines, first_lines, problem_lines, warnings_alone
from uploader.cli.printed_commands import CommandLine
from uploader.cli.run_messages import run_lines
from uploader.counts import Counts, Problems, Traffic
from uploader.errors import OutageError
from uploader.mapping import Repairs
from uploader.model import Reason, Rejected, Row
from uploader.run.environment import Environment
from uploader.run.events import Checked
from uploader.run.options import Options
from uploader.run.results import RunResult, SourceFindings, SourceResult, Times
from uploader.sandbox import Report

AGE = Reason("not_long", "column 'age': not a whole number")
SERVICE = Reason("50000", "not accepted by the service: INTERNAL_SERVER_ERROR (50000)")


def problems(*found: tuple[Reason, int, int]) -> Problems:
    """Return the problems of rows, each given as its reason, number and line."""
    noted = Problems()
    for reason, number, line in found:
        noted.note(Rejected(Row(number, {}, line), (), reason))
    return noted


def account(source: str = "people.csv", *, counts: Counts, requests: int = 0, limited: int = 0) -> SourceResult:
    traffic = Traffic(requests, limited=limited)
    return SourceResult("run-1", source, "2024-03-05T02:15:00+00:00", counts, traffic, times=Times(total=19.2))


def told(*accounts: SourceResult, sandbox: Report | None = None, complete: bool = True) -> list[str]:
    result = RunResult(accounts, error=None if complete else OutageError("away"), sandbox=sandbox)
    return list(run_lines(result, CommandLine(), dry_run=sandbox is not None))


def found(folder: Path, content: str, *, stdin: bool = False, rate: float = 158.0, config: str = CONFIG) -> list[str]:
    """Return what is said of a source of this *content*, sent at this *rate*."""
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "people.csv").write_text(content, encoding="utf-8")
    lines: list[str] = []

    class Said(Lines):
        def checked(self, checked: Checked) -> None:
            lines.extend(check_lines(replace(checked, rows_per_second=rate)))

    source = "-" if stdin else "people.csv"
    world = Environment({}, BytesIO(content.encode()), Said(lines))
    check(Options((source,), Path("config.yaml")), world)
    return lines


@pytest.fixture(autouse=True)
def _in_the_folder(folder: Path) -> None:
    assert folder.is_dir()


def test_a_check_without_a_problem_is_two_lines(folder: Path) -> None:
    rows = "".join(f"{number},Kim,30\n" for number in range(3000))

    assert found(folder, f"id,name,age\n{rows}") == [
        "people.csv: 3,000 rows, all can be sent.",
        "  At 9,480 requests a minute, sending takes about 19 s.",
    ]


def test_a_check_counts_one_as_one(folder: Path) -> None:
    assert found(folder, "id,name,age\n\n1,Kim,30\n") == [
        "people.csv: 1 row, all can be sent.",
        "  1 blank line is skipped.",
        "  At 9,480 requests a minute, sending takes less than a second.",
    ]


def test_a_check_lists_the_problems_the_most_frequent_first(folder: Path) -> None:
    rows = ["1,Kim,30", ",Kim,1", *["2,Lee,old"] * 5, "x", "", "", "9,Cho,1"]

    assert found(folder, "\n".join(["id,name,age", *rows, ""]), rate=0.05) == [
        "people.csv: 9 rows, 2 can be sent, 7 can't.",
        "  2 blank lines are skipped.",
        "  column 'age': not a whole number (5 rows): row 3 (line 4), row 4 (line 5), row 5 (line 6), …",
        "  no identity: nothing in 'id': row 2 (line 3)",
        "  the record has 1 field where the header has 3: row 8 (line 9)",
        "  1 duplicate identity value: it is in more than one row.",
        "  At 3 requests a minute, sending takes about 40 s.",
    ]


def test_a_check_lists_all_problems_be_they_ever_so_many(folder: Path) -> None:
    rows = [",".join("x" * fields) for fields in range(4, 24)]

    lines = found(folder, "\n".join(["id,name,age", "1,Kim,30", *rows, ""]))

    assert len([line for line in lines if "where the header has 3" in line]) == 20


def test_a_check_tells_what_was_repaired_what_repeats_and_what_may_be_damaged(folder: Path) -> None:
    mapping = """\
  identity: {external_id: id, phone_no: phone}
  properties: {df_name: {column: name, trim: true}, points: {column: points, type: long, thousands: ","}}
"""
    config = CONFIG.partition("  identity:")[0] + mapping
    rows = ['1,010, Kim ,"1,000"', "2,1012345678, Lee,7", "1,1012345678,#N/A,"]
    rows += ["2,1012345678,Cho,", "3,1012345678,Oh,1", "N/A,010,Yu,1"]

    lines = found(folder, "\n".join(["id,phone,name,points", *rows, ""]), config=config)

    assert lines[:-1] == [
        "people.csv: 6 rows, all can be sent.",
        "  4 duplicate identity values: each is in more than one row.",
        "  2 values were trimmed (trim: true).",
        "  1 value was freed of separators (thousands).",
        "  Warnings, of rows that can be sent all the same:",
        (
            "    column 'phone' → phone_no: a Korean mobile number without its leading zero; write phone_no: "
            "{column: phone, phone: KR} (4 rows): row 2 (line 3), row 3 (line 4), row 4 (line 5), …"
        ),
        (
            "    column 'phone' → phone_no: not a phone number as the API has it (821012345678); write phone_no: "
            "{column: phone, phone: KR}: row 1 (line 2), row 6 (line 7)"
        ),
        "    column 'name': an error of a spreadsheet, such as #N/A or ####: row 3 (line 4)",
        ("    column 'id' → external_id: a word for nothing (such as N/A or -), which is no identity: row 6 (line 7)"),
    ]


def test_the_number_of_repeats_is_called_an_estimate_where_it_is_one() -> None:
    survey = CheckSummary(read=3, duplicates=DuplicateCount(1204, is_exact=False))

    assert list(duplicate_lines(survey)) == ["  About 1,204 duplicate identity values: each is in more than one row."]


PHONE = Reason("phone_zero", "column 'phone': a Korean mobile number without its leading zero")


def test_a_run_tells_the_first_problems_and_warnings_before_it_sends() -> None:
    survey = CheckSummary(read=3000, rejected=5)
    survey.problems = problems((AGE, 2, 3), (AGE, 9, 10), *((Reason("c", f"reason {n}"), n, 0) for n in range(3)))
    survey.warnings = problems((PHONE, 7, 8))

    assert list(first_lines("-", survey)) == [
        "standard input: 5 of 3,000 rows can't be sent.",
        "  column 'age': not a whole number: row 2 (line 3), row 9 (line 10)",
        "  reason 0: row 0",
        "  reason 1: row 1",
        "  … and 1 other problem",
        "  Warnings, of rows that can be sent all the same:",
        "    column 'phone': a Korean mobile number without its leading zero: row 7 (line 8)",
    ]


def test_a_run_of_good_rows_tells_its_warnings_alone_and_without_any_nothing() -> None:
    assert list(first_lines("people.csv", CheckSummary(read=3000, warnings=problems((PHONE, 7, 8))))) == [
        "people.csv: 3,000 rows, all can be sent.",
        "  Warnings, of rows that can be sent all the same:",
        "    column 'phone': a Korean mobile number without its leading zero: row 7 (line 8)",
    ]
    assert list(first_lines("people.csv", CheckSummary(read=3000))) == []


def test_a_run_shows_as_many_kinds_of_warnings_as_fit_and_says_where_the_others_are() -> None:
    kinds = [(Reason("odd", f"column 'c{number}' is odd"), number, 0) for number in range(1, 15)]
    few, many = (CheckSummary(read=20, warnings=problems(*kinds[:most])) for most in (12, 14))

    for lines in (first_lines, warnings_alone):
        assert len(list(lines("people.csv", few))) == 14
        shown = list(lines("people.csv", many))
        assert len([line for line in shown if "is odd" in line]) == 12
        assert shown[-2:] == ["    … and 2 other problems", "  `uploader check` shows them all."]


def test_rows_that_would_join_people_are_not_said_to_be_sendable() -> None:
    joined = [JoinedValue("phone_no", "0", "external_id", 7, False, 7, ((1, 2), (2, 3), (3, 4)))]  # noqa: FBT003 — the fields in their order

    found = list(first_lines("people.csv", CheckSummary(read=7, warnings=problems((PHONE, 7, 8)), joined=joined)))

    assert found[0] == (
        "people.csv: 7 rows, all can be sent, but none before the values that join people are cleaned or accepted."
    )


def test_a_check_of_nothing_but_bad_rows_promises_no_time(folder: Path) -> None:
    assert found(folder, "id,name,age\n1,Kim,old\n") == [
        "people.csv: 1 row, 0 can be sent, 1 can't.",
        "  column 'age': not a whole number: row 1 (line 2)",
    ]


def test_a_check_of_no_rows_says_so(folder: Path) -> None:
    assert found(folder, "id,name,age\n") == ["people.csv: no rows, nothing to do."]


def test_standard_input_is_called_so(folder: Path) -> None:
    assert found(folder, "id,name,age\n1,Kim,30\n", stdin=True)[0] == "standard input: 1 row, all can be sent."


def test_a_run_in_which_all_was_accepted_is_four_lines() -> None:
    assert told(account(counts=Counts(3000, sent=3000), requests=3000)) == [
        "people.csv: 3,000 rows, 3,000 requests in 19 s",
        "  accepted           3,000",
        "  rejected               0",
        "  failed                 0",
    ]


def test_a_run_of_one_row_counts_one_as_one() -> None:
    one = replace(account("-", counts=Counts(1, sent=1), requests=1), maybe_sent_twice=1)

    assert told(one) == [
        "standard input: 1 row, 1 request in 19 s",
        "  accepted               1",
        "  rejected               0",
        "  failed                 0",
        "  1 row may have been sent twice: a reply was lost.",
    ]


def test_a_run_tells_everything_that_happened() -> None:
    whole = replace(
        account(counts=Counts(3000, sent=2900, rejected=1, failed=9, not_attempted=90), requests=3100, limited=2),
        times=Times(total=19.2, limited=41.0),
        findings=SourceFindings(repairs=Repairs({"trim": 1204})),
        maybe_sent_twice=2,
        problems=problems((AGE, 480, 481), *((SERVICE, number, number + 1) for number in range(1001, 1010))),
        retry_file=Path("people.retry.csv"),
    )

    assert told(whole, complete=False) == [
        "people.csv: 3,000 rows, 3,100 requests in 19 s",
        "  accepted           2,900",
        "  rejected               1",
        "  failed                 9",
        "  not attempted         90",
        "  Throttled: sending paused for 41 s.",
        "  2 rows may have been sent twice: a reply was lost.",
        "  1,204 values were trimmed (trim: true).",
        "Not accepted:",
        (
            "  not accepted by the service: INTERNAL_SERVER_ERROR (50000) (9 rows): row 1,001 (line 1,002), "
            "row 1,002 (line 1,003), row 1,003 (line 1,004), …"
        ),
        "  column 'age': not a whole number: row 480 (line 481)",
        (
            "The rows not accepted so far are in people.retry.csv, each with its reason: "
            "for later, when the run has finished."
        ),
    ]


def test_rows_that_only_failed_need_no_mending() -> None:
    failed = replace(
        account(counts=Counts(2, sent=1, failed=1), requests=6),
        problems=problems((SERVICE, 2, 0)),
        retry_file=Path("a b.retry.csv"),
    )

    assert told(failed)[-4:] == [
        "Not accepted:",
        "  not accepted by the service: INTERNAL_SERVER_ERROR (50000): row 2",
        "The rows to send again are in a b.retry.csv, each with its reason. To send them, type:",
        "  uploader run 'a b.retry.csv'",
    ]


def test_a_rehearsal_does_not_lead_to_the_real_service() -> None:
    rehearsed = replace(
        account(counts=Counts(2, sent=1, rejected=1), requests=1),
        problems=problems((AGE, 2, 3)),
        retry_file=Path("somewhere/people.retry.csv"),
    )
    report = Report(1, 1, 1, (), 0, {}, {"20000": 1})

    assert told(rehearsed, sandbox=report)[4:] == [
        "Not accepted:",
        "  column 'age': not a whole number: row 2 (line 3)",
        "The rows that would have to be sent again are in somewhere/people.retry.csv, each with its reason.",
        "The sandbox's report:",
        "  requests   1 received, 1 applied, 0 over the limit",
        "  profiles   1",
        "  reply      1 x 20000",
        "This was a dry run: nothing left this machine.",
    ]


def test_a_run_that_ended_before_it_began_has_nothing_to_tell() -> None:
    waiting = account(counts=Counts(3000, not_attempted=3000))

    assert told(account(counts=Counts(0)), waiting, complete=False) == []


def test_sources_that_a_stop_left_alone_are_named() -> None:
    stopped = account(counts=Counts(10, sent=4, not_attempted=6), requests=4)
    waiting = account("others.csv", counts=Counts(1, not_attempted=1))

    assert told(stopped, waiting, complete=False)[-2:] == [
        "  not attempted          6",
        "others.csv: 1 row, not attempted",
    ]


def test_a_source_without_rows_says_so() -> None:
    assert told(account(counts=Counts(0))) == ["people.csv: no rows, nothing to do."]


@pytest.mark.parametrize(
    ("different", "last"),
    [
        (12, "  reason 11: row 11"),
        (13, "  … and 1 other problem"),
        (14, "  … and 2 other problems"),
    ],
)
def test_a_long_list_of_problems_is_cut_and_says_so(different: int, last: str) -> None:
    many = problems(*((Reason("code", f"reason {number}"), number, 0) for number in range(different)))

    lines = list(problem_lines(many))

    assert (len(lines), lines[-1]) == (min(different, 13), last)
