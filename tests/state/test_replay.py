"""Fold a journal into what it says, whatever it says."""

import json
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import (
    BEGUN,
    REASON,
    chained,
    failed,
    folded,
    rejected,
    request,
    sent,
    settled,
    totals,
    unsettled,
)
from uploader.counts import Counts
from uploader.model import Failed, Reason, Rejected, Sent, Superseded, Unsettled
from uploader.state import RowToResend
from uploader.state.journal_records import has_ended, spell_facts, spell_metrics, spell_outcome, spell_pause
from uploader.state.replay import compacted, intervals_of
from uploader.timeline import Interval, IntervalTotals

ROWS = 12
STOPPED = b'p {"status":6,"at":"t","seconds":4}'
RESUMED = b'l {"pid":2}'
SECOND = Interval(1.0, 1.0, IntervalTotals(10, 1, 0, 9, 0), limit=10.0, latencies={3: 10})


@st.composite
def journals(draw: st.DrawFn) -> list[bytes]:
    """Draw the payloads of a finished run: each row settled once at most, held, stopped and continued in between."""
    payloads = [BEGUN.spell(), spell_facts("life", {"pid": 1, "at": "t", "in_flight": []})]
    for number in draw(st.lists(st.integers(1, 99), max_size=ROWS, unique=True)):
        attempts, unsure = draw(st.integers(1, 5)), draw(st.booleans())
        reason = Reason(draw(st.sampled_from(["50000", "x"])), draw(st.sampled_from(["why", "'이름'\n"])))
        event = draw(st.sampled_from("saafrvuhpo"))
        match event:
            case "s" | "a":
                payloads.append(spell_outcome(Sent(request(number), attempts, unsure), again=event == "a"))
            case "f":
                taker = draw(st.sampled_from([0, 100]))
                payloads.append(spell_outcome(Failed(request(number), reason, attempts, unsure, taker), again=False))
            case "v":
                payloads.append(spell_outcome(Superseded(request(number), attempts), again=False))
            case "r":
                payloads.append(spell_outcome(Rejected(request(number).row, (), reason, attempts - 1), again=False))
            case "u":
                payloads.append(spell_outcome(Unsettled(request(number), attempts, unsure), again=False))
            case "h":
                payloads.append(spell_pause(draw(st.integers(0, 60_000)) / 1000))
            case "o":
                payloads.append(spell_facts("retry_file", {"path": f"/people.{number}.csv"}))
            case _:
                payloads.append(spell_facts("stopped", {"status": 6, "at": "t", "seconds": number / 4}))
                payloads.append(spell_facts("life", {"pid": number, "at": "t", "in_flight": [number]}))
    payloads.append(spell_facts("finished", {"status": 3, "at": "end", "seconds": 0.5}))
    return payloads


def compact(content: bytes) -> bytes:
    return b"".join(compacted(BytesIO(content), folded(content)))


@given(payloads=journals())
def test_a_compacted_journal_folds_to_every_total_of_the_whole(payloads: list[bytes]) -> None:
    whole = folded(chained(payloads))

    left = folded(compact(chained(payloads)))

    assert totals(left) == totals(whole)
    assert left.counts == whole.counts
    assert left.is_finished


@given(payloads=journals())
def test_compacting_twice_is_compacting_once(payloads: list[bytes]) -> None:
    once = folded(compact(chained(payloads)))

    twice = folded(compact(compact(chained(payloads))))

    assert totals(twice) == totals(once)


@given(payloads=journals())
def test_a_compacted_journal_grows_only_with_the_rows_that_were_not_accepted(payloads: list[bytes]) -> None:
    lines = compact(chained(payloads)).splitlines()

    assert [line for line in lines if line[9:11] in {b"s ", b"u ", b"h "}] == []


@given(content=st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise(content: bytes) -> None:
    assert settled(folded(content)) == []


@given(
    payloads=journals(),
    place=st.integers(0, 10_000),
    cut=st.integers(0, 40),
    piece=st.binary(max_size=40),
)
def test_damage_anywhere_costs_only_what_lies_behind_it(
    payloads: list[bytes], place: int, cut: int, piece: bytes
) -> None:
    content = chained(payloads)
    place %= len(content)

    ledger = folded(content[:place] + piece + content[place + cut :])

    whole_lines = content[: content.rfind(b"\n", 0, place) + 1]
    assert ledger.written.size >= len(whole_lines)
    assert totals(ledger) == totals(folded(content[: ledger.written.size]))


BEGINNINGS = st.sampled_from([b"", *(b"%c " % kind for kind in b"safruh+lopzxt?")])
NONSENSE = st.binary(max_size=9).map(lambda data: data.replace(b"\n", b"_"))


@given(payloads=st.lists(st.builds(bytes.__add__, BEGINNINGS, NONSENSE)))
def test_no_line_of_another_version_makes_the_reader_raise(payloads: list[bytes]) -> None:
    content = chained([BEGUN.spell(), *payloads])

    assert folded(content).header is not None


@pytest.mark.parametrize(
    "payload",
    [b"s", b"s 1", b"f 3 1", b"f 3 1 [1]", b"+ {}", b"+ []", b'l {"pid": 1, "in_flight": 5}', b"o {}", b"h x"],
)
def test_reading_ends_at_a_line_that_makes_no_sense(payload: bytes) -> None:
    before = chained([BEGUN.spell(), spell_outcome(sent(1), again=False)])

    ledger = folded(chained([BEGUN.spell(), spell_outcome(sent(1), again=False), payload, b"s 2 1"]))

    assert (settled(ledger), ledger.written.size) == ([1], len(before))


def test_the_books_count_every_row_of_the_check() -> None:
    ledger = folded(
        chained(
            [
                BEGUN.spell(),
                spell_outcome(sent(1), again=False),
                spell_outcome(sent(2, 3), again=True),
                spell_outcome(failed(3, 5, unsure=True), again=False),
                spell_outcome(rejected(4), again=False),
                spell_outcome(unsettled(5, 2), again=False),
            ]
        )
    )

    assert ledger.counts == Counts(100, sent=2, rejected=1, failed=1, not_attempted=96)
    assert (ledger.traffic.requests, ledger.traffic.retries, ledger.maybe_sent_twice) == (11, 7, 1)
    assert settled(ledger) == [1, 2, 3, 4]
    assert ledger.to_resend.keys() == {2, 3, 4}
    assert ledger.to_resend[2] == RowToResend("again", Reason("", ""), 3)
    assert ledger.to_resend[3] == RowToResend("failed", REASON, 5)


def test_the_attempts_of_a_request_are_counted_once_however_many_rows_it_spoke_for() -> None:
    ledger = folded(
        chained(
            [
                BEGUN.spell(),
                spell_outcome(failed(1, 5, unsure=True, taker=3), again=False),
                spell_outcome(failed(2, 5, taker=3), again=False),
                spell_outcome(failed(3, 5), again=False),
                spell_outcome(sent(6), again=False),
                spell_outcome(Superseded(request(4), 6), again=False),
                spell_outcome(Superseded(request(5), 6), again=False),
            ]
        )
    )

    assert ledger.counts == Counts(100, sent=1, superseded=2, failed=3, not_attempted=94)
    assert (ledger.traffic.requests, ledger.traffic.retries, ledger.unsure.rows) == (6, 4, {1})
    assert ledger.to_resend == {number: RowToResend("failed", REASON, 5) for number in (1, 2, 3)}
    assert ledger.replaced_by == {4: 6, 5: 6}


def test_a_row_is_settled_by_its_first_outcome() -> None:
    ledger = folded(
        chained([BEGUN.spell(), spell_outcome(sent(1), again=False), spell_outcome(failed(1), again=False)])
    )

    assert (ledger.counts.sent, ledger.counts.failed, ledger.to_resend) == (1, 0, {})


def test_rows_in_flight_at_a_crash_were_sent_once_and_may_be_sent_twice() -> None:
    ledger = folded(chained([BEGUN.spell(), b'l {"pid":9,"in_flight":[3,4]}', b"s 3 1"]))

    assert (ledger.unsure.rows, ledger.traffic.requests, ledger.maybe_sent_twice) == ({3, 4}, 3, 2)


@pytest.mark.parametrize(
    ("payloads", "expected"),
    [
        ([], (True, False, False, None)),
        ([b'p {"status":6,"at":"t","seconds":1}'], (True, False, False, 6)),
        ([b'p {"status":6,"at":"t","seconds":1}', b'l {"pid":2}'], (True, False, False, None)),
        ([b'z {"status":3,"at":"t","seconds":1}'], (False, True, False, 3)),
        ([b"x {}"], (False, False, True, None)),
    ],
)
def test_a_run_is_interrupted_until_it_is_finished_or_abandoned(
    payloads: list[bytes], expected: tuple[bool, bool, bool, int | None]
) -> None:
    ledger = folded(chained([BEGUN.spell(), *payloads]))

    assert (ledger.is_interrupted, ledger.is_finished, ledger.is_abandoned, ledger.end.status) == expected


def test_a_journal_that_does_not_say_how_its_run_began_can_not_be_continued() -> None:
    ledger = folded(chained([json.dumps("?").encode()]))

    assert (ledger.header, ledger.is_interrupted, ledger.counts) == (None, False, Counts(0))


def test_what_a_run_did_over_time_changes_no_total() -> None:
    payloads = [BEGUN.spell(), *(spell_outcome(sent(number), again=False) for number in (1, 2)), STOPPED]
    with_intervals = [
        payloads[0],
        spell_metrics(SECOND),
        *payloads[1:3],
        spell_metrics(replace(SECOND, at=2.0)),
        STOPPED,
    ]

    assert totals(folded(chained(with_intervals))) == totals(folded(chained(payloads)))
    assert intervals_of(BytesIO(chained(with_intervals))) == [SECOND, replace(SECOND, at=2.0)]


def test_a_compacted_journal_keeps_the_intervals_and_only_so_many_of_them() -> None:
    day = [replace(SECOND, at=float(number)) for number in range(5_000)]
    content = chained([BEGUN.spell(), *map(spell_metrics, day), spell_facts("finished", {"status": 0, "at": "t"})])

    kept = intervals_of(compacted(BytesIO(content), folded(content)))

    assert 100 < len(kept) < 400
    assert sum(one.totals.requests for one in kept) == 5_000 * SECOND.totals.requests
    assert has_ended(list(compacted(BytesIO(content), folded(content)))[-1].rstrip())


def test_an_interval_of_another_version_is_no_end_of_the_journal() -> None:
    content = chained([BEGUN.spell(), b"m what?", spell_outcome(sent(1), again=False)])

    assert (settled(folded(content)), intervals_of(BytesIO(content))) == ([1], [])


@pytest.mark.parametrize(
    ("payloads", "seconds"),
    [
        ([RESUMED], 0.0),
        ([RESUMED, spell_metrics(SECOND)], 1.0),
        ([RESUMED, spell_metrics(SECOND), STOPPED], 4.0),
        ([RESUMED, STOPPED, RESUMED, spell_metrics(SECOND), STOPPED], 8.0),
        ([RESUMED, spell_metrics(SECOND), RESUMED, spell_metrics(SECOND), STOPPED], 5.0),
        ([RESUMED, STOPPED, RESUMED, b'z {"status":0,"at":"t","seconds":6}'], 6.0),
    ],
    ids=["running", "running for a second", "stopped", "stopped twice", "killed and stopped", "finished"],
)
def test_the_seconds_of_a_run_are_those_of_its_sessions_and_its_end_says_how_many_all_are(
    payloads: list[bytes], seconds: float
) -> None:
    content = chained([BEGUN.spell(), *payloads])

    assert folded(content).sessions.all_seconds == seconds
