"""Spell every fact in one line, and read it back as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import BEGUN, NO_VALUE, begun_with, chained, failed, folded, rejected, request, sent, unsettled
from uploader.model import (
    UNKNOWN_RUN,
    Damaged,
    Failed,
    Outcome,
    Reason,
    Rejected,
    Sent,
    Superseded,
    Unsettled,
    number_of_old,
)
from uploader.state import CheckedRows, Destination, RowOrigin, RowToResend, RunBasis, RunHeader, RunPlace
from uploader.state.journal_records import spell_facts, spell_outcome, spell_pause

TEXT = st.text(max_size=12)


@pytest.mark.parametrize(
    ("outcome", "again", "line"),
    [
        (sent(7), False, b"s 7 1"),
        (sent(7, 3), True, b"a 7 3"),
        (sent(7, 2, unsure=True), False, b"s 7 2!"),
        (Sent(request(7), 2, unsure=True, merged_into=9), True, b"a 7 2^!"),
        (unsettled(7, 2), False, b"u 7 2"),
        (unsettled(7, 1, unsure=True), False, b"u 7 1!"),
        (failed(7, 5), False, b'f 7 5 ["50000", "the service had a fault of its own"]'),
        (failed(7, 5, taker=9), False, b'f 7 5^ ["50000", "the service had a fault of its own"]'),
        (failed(7, 5, unsure=True, taker=9), False, b'f 7 5^! ["50000", "the service had a fault of its own"]'),
        (Superseded(request(7), 9), False, b"v 7 9"),
        (Superseded(request(7)), False, b"v 7 0"),
        (Rejected(Damaged(8, NO_VALUE), (), Reason("x", "y")), False, b'r 8 0 ["x", "y"]'),
    ],
)
def test_a_row_takes_one_short_line(outcome: Outcome | Unsettled, again: bool, line: bytes) -> None:  # noqa: FBT001 — a table's column
    assert spell_outcome(outcome, again=again) == line


@given(
    begun=st.builds(
        RunHeader,
        run_id=TEXT,
        key=TEXT,
        source=st.text(st.characters(exclude_categories=()), max_size=12),
        started=TEXT,
        destination=st.builds(Destination, TEXT, TEXT),
        basis=st.builds(RunBasis, TEXT, TEXT),
        rows=st.builds(CheckedRows, st.integers(0), st.integers(0), st.none() | st.integers(1)),
        version=TEXT,
        origin=st.builds(RowOrigin, TEXT, st.integers(0)),
        full=st.booleans(),
        place=st.builds(RunPlace, st.integers(0), TEXT, TEXT, TEXT),
    )
)
def test_how_a_run_began_is_read_back_equal(begun: RunHeader) -> None:
    assert folded(chained([begun.spell()])).header == begun


def test_how_a_run_began_is_spelled_as_all_versions_read_it() -> None:
    begun = begun_with(
        origin="o",
        full=True,
        number=7,
        from_number=5,
        state="s",
        command="c",
        next_key="n",
        job="members",
        job_key="0123",
    )

    assert begun.spell() == (
        b'+ {"run_id":"20260101T000000Z-abc123","key":"0123456789ab","source":"people.csv",'
        b'"started":"2026-01-01T00:00:00+00:00","base_url":"https://api.example","service_id":"svc",'
        b'"content":"content","mapping":"mapping","rows":100,"damaged":0,"limit":null,"version":"1.0",'
        b'"origin":"o","full":true,"format":2,"number":7,"from_number":5,"state":"s","command":"c","next_key":"n",'
        b'"endpoint":"user-profile","job":"members","job_key":"0123"}'
    )


def test_what_a_run_of_the_first_version_did_not_say_has_its_default() -> None:
    later = (
        "origin",
        "full",
        "format",
        "number",
        "from_number",
        "state",
        "command",
        "next_key",
        "endpoint",
        "job",
        "job_key",
    )
    facts = {name: fact for name, fact in BEGUN.facts().items() if name not in later}

    assert folded(chained([spell_facts("started", facts)])).header == BEGUN


@given(code=TEXT, phrase=TEXT, attempts=st.integers(0, 99))
def test_a_reason_is_read_back_equal_whatever_columns_it_names(code: str, phrase: str, attempts: int) -> None:
    reason = Reason(code, phrase)

    ledger = folded(
        chained(
            [
                spell_outcome(Failed(request(1), reason, attempts), again=False),
                spell_outcome(Rejected(request(2).row, (), reason, attempts), again=False),
            ]
        )
    )

    assert ledger.to_resend == {
        1: RowToResend("failed", reason, attempts),
        2: RowToResend("rejected", reason, attempts),
    }


@given(path=st.text(st.characters(exclude_categories=()), max_size=20))
def test_a_path_is_read_back_equal_whatever_bytes_it_has(path: str) -> None:
    assert folded(chained([spell_facts("retry_file", {"path": path})])).retry_file == path


def test_no_line_has_a_line_end_in_it() -> None:
    lines = [
        spell_outcome(rejected(1), again=False),
        spell_facts("retry_file", {"path": "a\nb\r\u2028c"}),
        spell_pause(1.5),
        BEGUN.spell(),
    ]

    assert [line for line in lines if b"\n" in line or b"\r" in line] == []


def test_a_hold_counts_as_one_limit_reply_and_its_seconds() -> None:
    ledger = folded(chained([spell_pause(1.25), spell_pause(0.0)]))

    assert (ledger.traffic.limited, ledger.sessions.held_seconds) == (2, 1.25)


def test_a_field_that_a_later_version_added_is_passed_over() -> None:
    facts = {**json.loads(BEGUN.spell()[2:]), "colour": "blue"}

    assert folded(chained([spell_facts("started", facts)])).header == BEGUN


def test_runs_of_an_earlier_version_are_ordered_by_their_ids_before_all_that_have_a_number() -> None:
    ids = [
        "?",
        "20269999T000000Z-000000",
        "19700101T000000Z-a",
        "20260101T000000Z-00000aff",
        "20260101T000000Z-00000b00",
    ]

    found = [number_of_old(run_id) for run_id in [*ids, "20260101T000001Z-x", "29991231T235959Z-ffffff"]]

    assert found[0] == found[1] > UNKNOWN_RUN
    assert found[1:] == sorted(found[1:])
    assert found[-1] < 0
