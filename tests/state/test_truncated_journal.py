"""Read a journal that was cut anywhere behind its last sync, with anything behind the cut, and write on."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.make import BEGUN, chained, failed, folded, rejected, sent, settled, totals, unsettled
from uploader.state import Journal, read_run
from uploader.state.journal_records import spell_facts, spell_outcome, spell_pause

SYNCED = chained(
    [
        BEGUN.spell(),
        spell_facts("life", {"pid": 1, "at": "t", "in_flight": []}),
        spell_outcome(sent(1), again=False),
        spell_facts("retry_file", {"path": "/people.retry.csv"}),
        spell_outcome(rejected(2), again=False),
        spell_outcome(sent(3), again=False),
    ]
)
WHOLE = chained(
    [
        *(line[9:] for line in SYNCED.splitlines()),
        spell_outcome(sent(4, 2, unsure=True), again=False),
        spell_pause(0.5),
        spell_outcome(failed(5, 5), again=False),
        spell_outcome(sent(12), again=True),
        spell_outcome(unsettled(7), again=False),
        spell_outcome(sent(1000), again=False),
        spell_outcome(sent(100), again=False),
    ]
)
CUTS = range(len(SYNCED), len(WHOLE) + 1)
LENGTHS = (17, len(WHOLE))


def tails(cut: int) -> Iterator[bytes]:
    """Yield what may lie behind the *cut*: nothing, zeros, garbage, a piece of the journal from every fifth place.

    Of five cuts in a row, each has pieces from other places.
    """
    dice = random.Random(cut)  # noqa: S311 — garbage needs no secrecy
    yield b""
    yield from (bytes(length) for length in (1, 8, 17, 4096))
    yield from (b"\n" * length for length in (1, 2))
    yield from (dice.randbytes(length) for length in (1, 10, 40, 200))
    yield b"%08x s 6 1\n" % dice.getrandbits(32)
    for begin in range(cut % 5, len(WHOLE), 5):
        yield from (WHOLE[begin : begin + length] for length in LENGTHS)


def assert_nothing_lost_or_invented(content: bytes) -> None:
    ledger = folded(content)
    assert ledger.written.size >= len(SYNCED)
    assert WHOLE.startswith(content[: ledger.written.size])
    assert WHOLE[: ledger.written.size].endswith(b"\n")


def test_the_fixture_is_one_chain() -> None:
    assert WHOLE.startswith(SYNCED)
    assert folded(WHOLE).written.size == len(WHOLE)
    assert settled(folded(WHOLE), 2000) == [1, 2, 3, 4, 5, 12, 100, 1000]


@pytest.mark.long
def test_no_synced_row_is_lost_and_none_invented_wherever_the_journal_is_cut() -> None:
    for cut in CUTS:
        for tail in tails(cut):
            assert_nothing_lost_or_invented(WHOLE[:cut] + tail)


@given(
    cut=st.integers(CUTS.start, CUTS.stop - 1),
    pieces=st.lists(
        st.tuples(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE))).map(lambda ends: WHOLE[ends[0] : ends[1]])
        | st.binary(max_size=30),
        max_size=4,
    ),
)
@settings(max_examples=300)
def test_no_synced_row_is_lost_whatever_pieces_lie_behind_the_cut(cut: int, pieces: list[bytes]) -> None:
    assert_nothing_lost_or_invented(WHOLE[:cut] + b"".join(pieces))


@pytest.mark.slow
def test_writing_goes_on_behind_the_last_whole_line_wherever_the_journal_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    for cut in CUTS:
        lines = WHOLE[: WHOLE.rfind(b"\n", 0, cut) + 1]
        for tail in (b"", bytes(4096), b"garbage\n", SYNCED, WHOLE[cut // 2 : cut]):
            path.write_bytes(WHOLE[:cut] + tail)
            before = read_run(path)
            with Journal(path, before.state) as journal:
                journal.record(sent(50))
                journal.sync()

            after = read_run(path)

            assert path.read_bytes().startswith(lines)
            assert path.stat().st_size == after.state.written.size
            assert settled(after.state, 2000) == sorted({*settled(folded(lines), 2000), 50})


@pytest.mark.slow
def test_a_cut_inside_what_was_synced_still_does_not_make_the_reader_raise() -> None:
    for cut in range(len(SYNCED)):
        for tail in (b"", bytes(20), SYNCED, WHOLE[len(SYNCED) :]):
            content = SYNCED[:cut] + tail
            ledger = folded(content)
            assert totals(ledger) == totals(folded(WHOLE[: ledger.written.size]))
