"""Rows of nothing but texts are mapped as all others are; only quicker."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.make import identity_rules
from uploader.api import CONSENTS
from uploader.mapping import compile_plan
from uploader.mapping.rules import CleaningRules, Emptiness, MappingRules, MomentRule, PropertyRule
from uploader.model import Request, Row

NOW = "2024-06-24T06:42:25.394Z"
COLUMNS = ("id", "mail", "phone", "name", "age", "score", "vip", "birth", "joined", "tags", "push")
CONSENT = min(CONSENTS)
CELLS = st.sampled_from(
    [
        "",
        " ",
        "-",
        "NULL",
        "0",
        "7",
        "007",
        "1.5",
        "1e400",
        "Y",
        "n",
        "maybe",
        "19900230",
        "19900228",
        "a|b",
        "\ud800",
        "1001.0",
        "1.2E+11",
        "id",
        "N/A",
        "--",
        "a@example.com",
        "a@b",
        "7\u200b",
        " 7",
        "�",
        "1,000",
    ]
) | st.text(max_size=5)


def rules(
    *,
    null_values: tuple[str, ...] = ("", "-"),
    when_empty: Emptiness = "omit",
    moment: str | None = None,
    more: tuple[PropertyRule, ...] = (),
) -> MappingRules:
    properties = (
        PropertyRule("df_name", "name", when_empty=when_empty),
        PropertyRule("age", "age", kind="long", when_empty="null"),
        PropertyRule("score", "score", kind="double"),
        PropertyRule("vip", "vip", kind="boolean", when_empty=when_empty),
        PropertyRule("df_birth", "birth", kind="date", formats=("%Y%m%d",)),
        PropertyRule("joined_at", "joined", kind="datetime", timezone="America/New_York"),
        PropertyRule("tags", "tags", kind="array<string>", separator="|"),
        PropertyRule(CONSENT, "push"),
        *more,
    )
    return MappingRules(
        identity_rules({"external_id": "id", "email": "mail", "phone_no": "phone"}),
        properties,
        null_values=null_values,
        request_datetime=None if moment is None else MomentRule(moment, timezone="Asia/Seoul"),
    )


@given(
    cells=st.tuples(*[CELLS] * len(COLUMNS)),
    null_values=st.sampled_from([(), ("",), ("", "-", "NULL")]),
    when_empty=st.sampled_from(["omit", "null"]),
    moment=st.sampled_from([None, "joined", "mail"]),
)
@example(cells=("", "", "", *["x"] * 8), null_values=("",), when_empty="omit", moment=None)
@example(cells=("7", "", "", *[""] * 8), null_values=("",), when_empty="omit", moment=None)
@example(cells=("7", "", "", "A", *[""] * 6, "maybe"), null_values=("",), when_empty="null", moment=None)
@example(
    cells=("7", "", "", "A", "", "", "", "", "2024-01-15 12:00:00", "", "Y"),
    null_values=("",),
    when_empty="omit",
    moment="joined",
)
def test_a_row_of_texts_becomes_what_it_becomes_the_long_way(
    cells: tuple[str, ...], null_values: tuple[str, ...], when_empty: Emptiness, moment: str | None
) -> None:
    wanted = rules(null_values=null_values, when_empty=when_empty, moment=moment)
    quick, long = (
        compile_plan(wanted, source="people.csv", config="config.yaml", columns=COLUMNS, only_texts=only_texts)
        for only_texts in (True, False)
    )
    row = Row(1, dict(zip(COLUMNS, cells, strict=True)))

    assert quick.map_row(row, NOW) == long.map_row(row, NOW)
    assert quick.person(row) == long.person(row)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (PropertyRule("channel", None, value="import"), b'"channel":"import"'),
        (PropertyRule("note", "name", cleaning=CleaningRules(trim=True)), b'"note":"A"'),
        (PropertyRule("sum", "tags", kind="long", cleaning=CleaningRules(thousands=",")), b'"sum":1000'),
    ],
)
def test_a_plan_that_does_more_than_read_columns_takes_the_long_way(more: PropertyRule, found: bytes) -> None:
    plan = compile_plan(
        rules(more=(more,)), source="people.csv", config="config.yaml", columns=COLUMNS, only_texts=True
    )

    done = plan.map_row(Row(1, {**dict.fromkeys(COLUMNS, ""), "id": "7", "name": " A ", "tags": "1,000"}), NOW)

    assert isinstance(done, Request)
    assert found in done.body
