"""Several rows of one person as one request: it says what all of them say, and the later one where they differ."""

import json
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.mapping import Plan
from uploader.mapping.rules import MappingRules, PropertyRule
from uploader.model import Damaged, Json, Reason, Request, Row

RULES = MappingRules(
    identity_rules({"external_id": "id", "email": "mail"}),
    (PropertyRule("a", "a"), PropertyRule("b", "b"), PropertyRule("c", "c")),
)
LIMIT = 8192

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=8).filter(bool)
_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.none() | st.booleans() | _NUMBERS | _TEXTS | st.lists(_TEXTS, max_size=3)
_FIELDS = st.dictionaries(st.sampled_from("abc"), _VALUES, min_size=1)


def plan(rules: MappingRules = RULES) -> Plan:
    return compile_plan(rules, source="people", config="config.yaml", columns=None)


def mapped(number: int, fields: Mapping[str, object], now: str = "") -> Request:
    done = plan(replace(RULES, other_columns="send")).map_row(
        Row(number, {"id": "7", **fields}), now or f"time {number}"
    )
    assert isinstance(done, Request)
    return done


def said(request: Request | None) -> "dict[str, Json]":
    """Return the properties that *request* sends."""
    assert request is not None
    found: dict[str, Json] = json.loads(request.body)["user_properties"]
    return found


def test_later_values_win_and_a_null_is_one() -> None:
    rows = [
        mapped(1, {"mail": "old@example.com", "a": "1", "b": "1"}),
        mapped(2, {"a": None, "c": "2"}),
        mapped(4, {"c": "3"}),
    ]

    merged = plan().merged(rows)

    assert merged == Request(
        rows[-1].row,
        ("external_id=7", "email=old@example.com"),
        b'{"identity":{"external_id":"7","email":"old@example.com"},'
        b'"user_properties":{"a":null,"b":"1","c":"3"},"request_datetime":"time 4"}',
        (rows[0], rows[1]),
    )


@given(st.lists(_FIELDS, min_size=1, max_size=5))
def test_what_is_merged_is_what_one_row_with_all_values_sends(rows: list[Mapping[str, object]]) -> None:
    fields = {key: value for row in rows for key, value in row.items()}

    merged = plan().merged([mapped(number, row) for number, row in enumerate(rows, start=1)])

    assert merged is not None
    assert merged.body == mapped(9, fields, f"time {len(rows)}").body


def test_columns_that_are_not_mapped_are_merged_too() -> None:
    rows = [mapped(1, {"y": "1", "b": "1"}), mapped(2, {"x": "2", "a": "2"})]

    assert said(plan().merged(rows)) == {"a": "2", "b": "1", "y": "1", "x": "2"}


def test_more_than_a_request_may_hold_is_not_merged() -> None:
    bare = len(json.dumps({"a": "", "b": ""}, separators=(",", ":")))
    one, two = mapped(1, {"a": "x" * 4_000}), mapped(2, {"b": "y" * (LIMIT - 4_000 - bare)})
    three = mapped(2, {"b": "y" * (LIMIT - 4_000 - bare + 1)})

    assert plan().merged([one, two]) is not None
    assert plan().merged([one, three]) is None


def test_the_person_of_a_row_is_known_without_its_body() -> None:
    row = Row(1, {"id": "7", "mail": "", "a": "1"})

    assert plan().person(row) == plan().map_row(row, "").person == ("external_id=7",)
    assert plan().person(Damaged(1, Reason("quotes", "a quote that does not end"))) == ()
