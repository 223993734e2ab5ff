"""A name that we make is never too long for a file system, and stays another one where it was another one."""

import os

from hypothesis import given
from hypothesis import strategies as st

from uploader.outputs.shorten_file_names import MOST_BYTES, fitting

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=300)


@given(NAMES, st.integers(min_value=20, max_value=MOST_BYTES))
def test_a_name_that_fits_stays_and_any_other_fits_when_it_is_cut(name: str, most: int) -> None:
    found = fitting(name, most)

    fits = len(os.fsencode(name)) <= most
    assert (found == name) == fits
    assert len(os.fsencode(found)) <= most


@given(NAMES)
def test_two_long_names_that_begin_alike_are_not_cut_to_one(name: str) -> None:
    one, other = (fitting(f"{name}{'x' * 300}{end}", MOST_BYTES) for end in "12")

    assert one != other


def test_a_name_that_is_no_text_is_cut_as_well() -> None:
    name = os.fsdecode(b"\xff" * 300)

    assert len(os.fsencode(fitting(name, MOST_BYTES))) <= MOST_BYTES
