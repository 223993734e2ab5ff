"""What is found in the pattern of a text is what is found in the text."""

from contextlib import suppress
from dataclasses import fields
from random import Random
from typing import Final

import pytest

from tests.inference.odd_texts import TEXTS, any_text
from tests.seeds import seeds
from uploader.inference.null_words import is_placeholder, may_be_placeholder
from uploader.inference.text_traits import TextTraits, lone_traits, traits_of
from uploader.inference.time_forms import ZONE, TimeForm, form_reader
from uploader.mapping.datetimes import date_reader, datetime_reader
from uploader.mapping.value_errors import Unreadable

OF_DIGITS: Final = {"%Y%m%d": 8, "%y%m%d": 6, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14}


def written(traits: TextTraits, text: str) -> list[object]:
    """Return all of *traits* that is compared: a number of many digits is found in each text."""
    readings, others = traits.readings, [getattr(traits, one.name) for one in fields(traits) if one.name != "readings"]
    return [readings.of(text), readings.is_long, readings.forms, *others]


def other_digits(random: Random, text: str) -> str:
    return "".join(random.choice("123456789") if digit in "123456789" else digit for digit in text)


@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(2))
@pytest.mark.parametrize("is_birth", [False, True])
def test_the_traits_of_a_text_are_those_of_its_pattern(seed: int, *, is_birth: bool) -> None:
    random = Random(seed)  # noqa: S311 — the cases of a seed
    for text in [*TEXTS, *(any_text(random) for _ in range(1000))]:
        for same in (text, other_digits(random, text)) if text else ():
            assert written(traits_of(same, is_birth=is_birth), same) == written(lone_traits(same, is_birth), same), same


@pytest.mark.parametrize("text", ["010-1111-1111", "01012345678", "+82 10 2222 2222", "000-0000-0000", "x@x.com"])
def test_what_is_made_up_may_be_made_up_by_its_pattern(text: str) -> None:
    assert is_placeholder(text)
    assert may_be_placeholder(text)


@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(2))
@pytest.mark.parametrize("form", sorted(OF_DIGITS))
def test_digits_are_a_time_where_the_mapping_reads_one(form: str, seed: int) -> None:
    random, has_time = Random(seed), "%H" in form  # noqa: S311 — the cases of a seed
    read = datetime_reader((form,), ZONE) if has_time else date_reader((form,), timezone=ZONE)
    for _ in range(3000):
        parts = (
            random.choice(("00", "01", "12", "13", "20", "24", "28", "31", "32", "59", "60", "99")) for _ in "1234567"
        )
        text = "".join(parts)[: OF_DIGITS[form]]
        is_read = False
        with suppress(Unreadable):
            is_read = bool(read(text))

        assert form_reader(TimeForm(form, has_time=has_time), False)(text) == is_read, text  # noqa: FBT003 — a key of a cache
