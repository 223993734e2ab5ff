"""What is told of a source whose columns do not suit the mapping."""

import pytest

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import PropertyType
from uploader.errors import ConfigError, InputError
from uploader.mapping.rules import MappingRules, MomentRule, PropertyRule, TimeRule

RULES = MappingRules(
    identity_rules({"external_id": "user_id", "email": "mail"}),
    (PropertyRule("df_name", "name"), PropertyRule("alias", "name"), PropertyRule("channel", value="nightly")),
    request_datetime=MomentRule("updated_at"),
)


def test_the_columns_that_are_read_are_known_each_with_the_first_key_that_reads_it() -> None:
    plan = compile_plan(RULES, source="people.jsonl", config="config.yaml", columns=None)

    assert plan.columns == {
        "user_id": "mapping.identity.external_id",
        "mail": "mapping.identity.email",
        "name": "mapping.properties.df_name",
        "updated_at": "mapping.request_datetime",
    }


def test_columns_may_stand_in_any_order_beside_others() -> None:
    columns = ["updated_at", "other", "name", "user_id", "mail"]

    assert compile_plan(RULES, source="people.csv", config="config.yaml", columns=columns).columns


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["user_id", "email", "name", "updated_at"],
            (
                "people.csv has no column 'mail' (it has: user_id, email, name, updated_at). Did you mean 'email'? "
                "Change mapping.identity.email in config.yaml."
            ),
        ),
        (
            ["user_id", "mail", "updated_at"],
            (
                "people.csv has no column 'name' (it has: user_id, mail, updated_at). "
                "Change mapping.properties.df_name in config.yaml."
            ),
        ),
        (
            ["user_id", "mail", "name", "Updated_At"],
            (
                "people.csv has no column 'updated_at', but \"Updated_At\" (other case). "
                'Write "Updated_At" at mapping.request_datetime in config.yaml.'
            ),
        ),
        (
            ["user_id", "name", "updated_at", "_row", "_kind", "_code", "_reason", "_attempts", "_raw"],
            (
                "people.csv has no column 'mail' (it has: user_id, name, updated_at). "
                "Change mapping.identity.email in config.yaml."
            ),
        ),
        (
            ["0012", "ann@example.com", "Ann"],
            (
                "people.csv has no column 'user_id', nor any other that the mapping names. Is its first line a header, "
                "and is source.delimiter right? Otherwise change mapping.identity.external_id in config.yaml."
            ),
        ),
        (
            ["User_id", "Name", "updated_at", "other"],
            (
                "people.csv has no column 'user_id', but \"User_id\" (other case); nor 'name', but \"Name\" (other "
                'case). Write "User_id" at mapping.identity.external_id, "Name" at mapping.properties.df_name in '
                "config.yaml. It has no column 'mail' (it has: User_id, Name, updated_at, other). "
                "Change mapping.identity.email in config.yaml."
            ),
        ),
        (
            ["user_id", "name", "email", "update_at"],
            (
                "people.csv has no columns 'mail', 'updated_at' (it has: user_id, name, email, update_at). Did you "
                "mean 'email' for 'mail', 'update_at' for 'updated_at'? Change mapping.identity.email, "
                "mapping.request_datetime in config.yaml."
            ),
        ),
        (
            [],
            (
                "people.csv has no column 'user_id', nor any other that the mapping names. Is its first line a header, "
                "and is source.delimiter right? Otherwise change mapping.identity.external_id in config.yaml."
            ),
        ),
        (
            ["name", "Ann", "Seoul"],
            (
                "people.csv has no columns 'user_id', 'mail', 'updated_at'. What it has is not shown, since some of "
                "that looks like data rather than like names. Is its first line a header? Otherwise change "
                "mapping.identity.external_id, mapping.identity.email, mapping.request_datetime in config.yaml."
            ),
        ),
        (
            ["user_id", "name", "updated_at", "ann@example.com"],
            (
                "people.csv has no column 'mail'. What it has is not shown, since some of that looks like data rather "
                "than like names. Is its first line a header? Otherwise change mapping.identity.email in config.yaml."
            ),
        ),
        (
            ["user_id", "name", "updated_at", *(f"c{number}" for number in range(100))],
            (
                f"people.csv has no column 'mail' (it has: user_id, name, updated_at, "
                f"{', '.join(f'c{number}' for number in range(47))} and 53 more). "
                "Change mapping.identity.email in config.yaml."
            ),
        ),
    ],
    ids=[
        *("near", "far", "case", "retry file", "a person's data", "several, some in another case", "several", "none"),
        *("a row by chance", "a name like data", "many"),
    ],
)
def test_a_missing_column_is_told_with_what_to_change_and_no_data_of_a_person(columns: list[str], message: str) -> None:
    with pytest.raises(InputError) as trouble:
        compile_plan(RULES, source="people.csv", config="config.yaml", columns=columns)

    assert str(trouble.value) == message


def test_a_constant_needs_no_column() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("channel", value="nightly"),))

    plan = compile_plan(rules, source="people.csv", config="config.yaml", columns=["id"])

    assert plan.columns == {"id": "mapping.identity.external_id"}


def compiled(rule: PropertyRule, column_kind: str, moment: MomentRule | None = None) -> None:
    compile_plan(
        MappingRules(identity_rules({"external_id": "id"}), (rule,), request_datetime=moment),
        source="people.parquet",
        config="config.yaml",
        columns=["id", "at", "updated"],
        kinds={"id": "string", "at": column_kind, "updated": column_kind},
        null_is_empty=True,
    )


def test_a_parquet_column_of_times_without_a_zone_needs_one_in_the_mapping() -> None:
    with pytest.raises(ConfigError) as trouble:
        compiled(PropertyRule("joined", "at"), "naive datetime")

    assert str(trouble.value) == (
        "mapping.properties.joined: column 'at' holds times without a zone. "
        "Write {column: at, type: datetime, timezone: Asia/Seoul}."
    )


@pytest.mark.parametrize("column_kind", ["date", "datetime", "naive datetime"])
@pytest.mark.parametrize("kind", ["date", "datetime"])
def test_a_pattern_for_a_parquet_column_of_dates_is_refused(column_kind: str, kind: PropertyType) -> None:
    with pytest.raises(ConfigError) as trouble:
        compiled(PropertyRule("joined", "at", kind=kind, times=TimeRule(formats=("%Y%m%d",))), column_kind)

    assert str(trouble.value) == (
        "mapping.properties.joined.format: column 'at' holds dates, not text. Remove `format`."
    )


@pytest.mark.parametrize("column_kind", ["date", "datetime", "naive datetime"])
def test_a_pattern_for_the_time_of_the_request_is_refused_alike(column_kind: str) -> None:
    rule = PropertyRule("joined", "at", kind="datetime", times=TimeRule(timezone="Asia/Seoul"))

    with pytest.raises(ConfigError) as trouble:
        compiled(rule, column_kind, MomentRule("updated", ("%Y%m%d",), "Asia/Seoul"))

    assert str(trouble.value) == (
        "mapping.request_datetime.format: column 'updated' holds dates, not text. Remove `format`."
    )


@pytest.mark.parametrize(
    ("rule", "column_kind"),
    [
        (PropertyRule("joined", "at"), "datetime"),
        (PropertyRule("joined", "at"), "date"),
        (PropertyRule("joined", "at", kind="datetime", times=TimeRule(timezone="Asia/Seoul")), "naive datetime"),
        (PropertyRule("joined", "at", kind="datetime", times=TimeRule(formats=("%Y%m%d",))), "string"),
        (PropertyRule("joined", "at", kind="date", times=TimeRule(formats=("%Y%m%d",))), "string"),
        (PropertyRule("joined", value="x"), "naive datetime"),
    ],
)
def test_a_mapping_that_suits_its_parquet_columns_is_taken(rule: PropertyRule, column_kind: str) -> None:
    compiled(rule, column_kind, MomentRule("updated"))


def test_a_column_of_times_without_a_zone_is_refused_among_the_other_columns_too() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), other_columns="send")

    with pytest.raises(ConfigError) as trouble:
        compile_plan(rules, source="p", config="c", columns=("id", "at"), kinds={"at": "naive datetime"})

    assert str(trouble.value) == (
        "mapping.properties.at: column 'at' holds times without a zone. "
        "Write {column: at, type: datetime, timezone: Asia/Seoul}."
    )
