"""Tell whole lines from a torn, garbled or repeated piece of a file."""

from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st

from tests.make import chained
from uploader.state.line_checksums import link, links

PAYLOAD = st.binary(min_size=1, max_size=20).map(lambda data: data.replace(b"\n", b"_"))
PAYLOADS = st.lists(PAYLOAD, min_size=1, max_size=6)


def read(content: bytes) -> list[bytes]:
    return [payload for payload, _ in links(BytesIO(content))]


@given(payloads=PAYLOADS)
def test_what_was_linked_is_read_back(payloads: list[bytes]) -> None:
    assert read(chained(payloads)) == payloads


@given(payloads=PAYLOADS, cut=st.integers(0, 200))
def test_a_torn_chain_gives_its_whole_lines(payloads: list[bytes], cut: int) -> None:
    content = chained(payloads)[:cut]

    assert read(content) == payloads[: content.count(b"\n")]


@given(payloads=PAYLOADS, place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_ends_the_chain_before_its_line(payloads: list[bytes], place: int, bit: int) -> None:
    content = bytearray(chained(payloads))
    place %= len(content)
    content[place] ^= 1 << bit

    assert read(bytes(content)) == payloads[: chained(payloads).count(b"\n", 0, place)]


def test_the_same_fact_twice_is_two_different_lines() -> None:
    first, checksum = link(b"u 7 1", 0)
    second, _ = link(b"u 7 1", checksum)

    assert first != second
    assert read(first + second) == [b"u 7 1", b"u 7 1"]
    assert read(first + first) == [b"u 7 1"]


def test_an_empty_file_is_an_empty_chain() -> None:
    assert read(b"") == []
