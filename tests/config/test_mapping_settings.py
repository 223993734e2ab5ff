from collections.abc import Callable

import pytest

from tests.make import Load, identity_rules
from uploader.api import CONSENTS
from uploader.config.property_rules import KINDS
from uploader.mapping.rules import CleaningRules, MappingRules, MomentRule, PropertyRule, TimeRule

API = "api: {service_id: svc, access_token: canary}\n"


def with_property(key: str, text: str) -> str:
    return f"{API}mapping:\n  identity: {{email: mail}}\n  properties:\n    {key}: {text}\n"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("age", PropertyRule("p", column="age")),
        ("{column: age}", PropertyRule("p", column="age")),
        ("{column: age, type: Long}", PropertyRule("p", column="age", kind="long")),
        (
            "{column: a, type: date, format: '%Y%m%d'}",
            PropertyRule("p", column="a", kind="date", times=TimeRule(formats=("%Y%m%d",))),
        ),
        (
            "{column: a, type: datetime, format: '%d/%m/%y %I:%M %p', timezone: Asia/Seoul}",
            PropertyRule(
                "p", column="a", kind="datetime", times=TimeRule(formats=("%d/%m/%y %I:%M %p",), timezone="Asia/Seoul")
            ),
        ),
        (
            "{column: a, type: 'ARRAY< long >', separator: ' ; '}",
            PropertyRule("p", column="a", kind="array<long>", separator=" ; "),
        ),
        (
            "{column: a, type: boolean, true: [예, yes], false: [no]}",
            PropertyRule("p", column="a", kind="boolean", true=("예", "yes"), false=("no",)),
        ),
        ("{column: a, when_empty: null}", PropertyRule("p", column="a", when_empty="null")),
        ("{column: a, trim: true}", PropertyRule("p", column="a", cleaning=CleaningRules(trim=True))),
        ("{column: a, trim: false}", PropertyRule("p", column="a")),
        (
            "{column: a.b, type: date, trim: true}",
            PropertyRule("p", column="a.b", kind="date", cleaning=CleaningRules(trim=True)),
        ),
        (
            "{column: a, type: long, thousands: ','}",
            PropertyRule("p", column="a", kind="long", cleaning=CleaningRules(thousands=",")),
        ),
        (
            '{column: a, type: long, thousands: "."}',
            PropertyRule("p", column="a", kind="long", cleaning=CleaningRules(thousands=".")),
        ),
        (
            '{column: a, type: double, thousands: "\\u00a0"}',
            PropertyRule("p", column="a", kind="double", cleaning=CleaningRules(thousands="\u00a0")),
        ),
        ("{value: 017}", PropertyRule("p", value="017", kind="string")),
        ('{value: ""}', PropertyRule("p", value="", kind="string")),
        ("{value: 17, type: long}", PropertyRule("p", value="17", kind="long")),
        ("{value: [a, 1], type: array<string>}", PropertyRule("p", value=["a", "1"], kind="array<string>")),
        ("{value: a|b, type: array<string>}", PropertyRule("p", value="a|b", kind="array<string>")),
    ],
)
def test_a_property_becomes_its_rule(loaded: Load, text: str, rule: PropertyRule) -> None:
    assert loaded(with_property("p", text)).rules().properties == (rule,)


@pytest.mark.parametrize("consent", CONSENTS)
def test_a_consent_is_boolean_and_never_cleared(loaded: Load, consent: str) -> None:
    for text in ("c", "{column: c, type: boolean}", "{column: c, when_empty: omit}"):
        settings = loaded(with_property(consent, text) + '  when_empty: "null"\n')

        assert settings.rules().properties == (PropertyRule(consent, column="c", kind="boolean", when_empty="omit"),)


def test_a_consent_may_have_words_of_its_own_or_be_constant(loaded: Load) -> None:
    words = loaded(with_property("df_push_optin", "{column: c, true: [예], false: [아니오]}"))
    constant = loaded(with_property("df_push_optin", "{value: true}"))

    assert words.rules().properties == (
        PropertyRule("df_push_optin", column="c", kind="boolean", true=("예",), false=("아니오",)),
    )
    assert constant.rules().properties == (PropertyRule("df_push_optin", value="true", kind="boolean"),)


def test_the_whole_mapping_becomes_plain_data(loaded: Load) -> None:
    settings = loaded(
        API
        + """\
source: {null_values: [NULL]}
mapping:
  identity: {email: mail, external_id: id}
  properties: {b: b, a: {column: a, when_empty: omit}}
  when_empty: "null"
  other_columns: send
  request_datetime: {column: at, format: "%Y-%m-%d %H:%M", timezone: Europe/Berlin}
"""
    )

    assert settings.rules() == MappingRules(
        identity=identity_rules({"external_id": "id", "email": "mail"}),
        properties=(
            PropertyRule("b", column="b", when_empty="null"),
            PropertyRule("a", column="a", when_empty="omit"),
        ),
        null_values=("NULL",),
        when_empty="null",
        other_columns="send",
        request_datetime=MomentRule("at", ("%Y-%m-%d %H:%M",), "Europe/Berlin"),
    )


def test_other_columns_may_be_all_that_is_sent(loaded: Load) -> None:
    settings = loaded(f"{API}mapping: {{identity: {{email: mail}}, other_columns: send}}\n")

    assert settings.rules() == MappingRules(identity_rules({"email": "mail"}), other_columns="send")


EITHER = "give the one that it is made from"
KIND_NAMES = ", ".join(KINDS)
ARRAYS = "array<string> or array<long> or array<double>"
EXAMPLE = 'write for example "%Y-%m-%d" or "%Y%m%d%H%M%S"'
RESERVED = "is a column that retry files add, which can't be mapped; name a column of your own"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", " has no value; write one, or delete the key"),
        ("[a]", ": a list is not a property; write the name of a column, or {column: NAME, type: long}"),
        ("{}", f" has neither column nor value; {EITHER}"),
        ("{type: long}", f" has neither column nor value; {EITHER}"),
        ("{column: a, value: b}", f" has both column and value; {EITHER}"),
        ("{column: }", ".column has no value; write one, or delete the key"),
        ("{column: ''}", ".column: '' is not a text; write one value"),
        ("_raw", f".column: '_raw' {RESERVED}"),
        ("{column: _row}", f".column: '_row' {RESERVED}"),
        ("{colum: a}", ".colum is not a key; did you mean {name}.column?"),
        ("{column: a, type: lng}", f".type: 'lng' is not one of {KIND_NAMES}; did you mean long?"),
        ("{column: a, type: int}", f".type: 'int' is not one of {KIND_NAMES}"),
        ("{column: a, format: '%Y%m%d'}", ".format needs type: date or datetime; write it, or delete format"),
        ("{column: a, type: date, timezone: UTC}", ".timezone needs type: datetime; write it, or delete timezone"),
        ("{column: a, type: long, separator: x}", f".separator needs type: {ARRAYS}; write it, or delete separator"),
        ("{column: a, type: array<long>, separator: ''}", ".separator: '' is not a text; write one value"),
        ("{column: a, true: [x]}", ".true needs type: boolean; write it, or delete true"),
        ("{column: a, trim: yes}", ".trim: 'yes' is not one of true, false"),
        (
            "{value: a, trim: true}",
            ".trim repairs a column, and this is a constant; write value as it is meant, and delete trim",
        ),
        (
            "{value: '1,000', type: long, thousands: ','}",
            ".thousands repairs a column, and this is a constant; write value as it is meant, and delete thousands",
        ),
        ("{column: a, thousands: ','}", ".thousands needs type: long or double; write it, or delete thousands"),
        (
            "{column: a, type: string, thousands: ','}",
            ".thousands needs type: long or double; write it, or delete thousands",
        ),
        (
            "{column: a, type: array<long>, thousands: ','}",
            ".thousands needs type: long or double; write it, or delete thousands",
        ),
        (
            "{column: a, type: double, thousands: '.'}",
            ".thousands: '.' is the decimal point of a double; write another character, or type: long",
        ),
        *(
            (
                f"{{column: a, type: long, thousands: '{wrong}'}}",
                (
                    f".thousands: '{wrong}' is not one character that parts thousands; "
                    'write ",", ".", "\'", or a space in quotes'
                ),
            )
            for wrong in (",,", "1", "-", "a", "|")
        ),
        ("{column: a, type: boolean, true: [x]}", " has no word in false beside true; give both lists"),
        ("{column: a, type: boolean, true: [], false: [y]}", " has no word in true beside false; give both lists"),
        ("{column: a, type: boolean, true: [], false: []}", " has no word in true beside false; give both lists"),
        ("{column: a, type: boolean, true: [x, Y], false: [y]}", " has a word in both true and false; leave it in one"),
        (
            "{column: a, type: boolean, true: x, false: [y]}",
            ".true: 'x' is not a list; write it in brackets, for example [a, b]",
        ),
        ("{column: a, type: boolean, true: [''], false: [y]}", ".true[0]: '' is not a text; write one value"),
        ("{value: [a]}", f".value: a list needs type: {ARRAYS}; write it"),
        ("{value: {a: b}}", ".value: a section is not a constant; write one text, or a list of texts"),
        ("{value: [[a]], type: array<long>}", ".value: a list is not a constant; write one text, or a list of texts"),
        ("{column: a, when_empty: nul}", ".when_empty: 'nul' is not one of omit, null; did you mean null?"),
        (
            "{column: a, type: datetime, timezone: asia/seol}",
            ".timezone: 'asia/seol' is not a time zone; did you mean Asia/Seoul?",
        ),
        (
            "{column: a, type: datetime, timezone: Qqq}",
            ".timezone: 'Qqq' is not a time zone; write for example Asia/Seoul",
        ),
        (
            "{column: a, type: datetime, timezone: ../../etc}",
            ".timezone: '../../etc' is not a time zone; write for example Asia/Seoul",
        ),
        (
            "{column: a, type: datetime, timezone: []}",
            ".timezone: a list is not a time zone; write for example Asia/Seoul",
        ),
        ("{column: a, type: date, format: []}", f".format: a list names no format; {EXAMPLE}"),
        *(
            (
                f"{{column: a, type: date, format: '{pattern}'}}",
                f".format: '{pattern}' is not a pattern that reads year, month and day; {EXAMPLE}",
            )
            for pattern in ("yyyyMMdd", "%d.%m.", "%Y-%m", "%Y-%d-%d", "%Y%m%d%Q", "%-d.%m.%Y", "%")
        ),
        (
            "{column: a, type: datetime, format: '%d %Z'}",
            f".format: '%d %Z' reads the name of a zone (%Z), which is no offset; write %z, or timezone; {EXAMPLE}",
        ),
        (
            "{column: a, type: datetime, format: '%Y-%m-%d %I:%M'}",
            f".format: '%Y-%m-%d %I:%M' reads hours of 12 (%I) without their half of the day (%p); {EXAMPLE}",
        ),
    ],
)
def test_a_property_that_can_not_be_made_is_refused(complaint: Callable[..., str], text: str, words: str) -> None:
    name = "mapping.properties.p"

    assert complaint(with_property("p", text)) == f"config.yaml line 5: {name}{words.replace('{name}', name)}"


@pytest.mark.parametrize("consent", CONSENTS)
def test_a_consent_that_could_be_lost_is_refused(complaint: Callable[..., str], consent: str) -> None:
    name = f"config.yaml line 5: mapping.properties.{consent}"

    assert complaint(with_property(consent, '{column: c, when_empty: "null"}')) == (
        f"{name}.when_empty: a consent is never cleared; write omit, or delete when_empty"
    )
    for kind in set(KINDS) - {"boolean"}:
        assert complaint(with_property(consent, f'{{column: c, type: "{kind}"}}')) == (
            f"{name}.type: a consent is a boolean; write boolean, or delete type"
        )


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("", "mapping has no value; write one, or delete the key"),
        ("x", "mapping is not a section; write its keys below it, indented"),
        (
            "{properties: {a: a}}",
            "mapping.identity is missing; write for example identity: {external_id: user_id}",
        ),
        (
            "{identity: {}, properties: {a: a}}",
            (
                "mapping.identity names no column; give one at least of "
                "external_id, phone_no, email, kakao_user_id, line_user_id"
            ),
        ),
        (
            "{identity: {email: }, properties: {a: a}}",
            "mapping.identity.email has no value; write one, or delete the key",
        ),
        (
            "{identity: {mail: m}, properties: {a: a}}",
            "mapping.identity.mail is not a key; did you mean mapping.identity.email?",
        ),
        ("{identity: {email: _kind}, properties: {a: a}}", f"mapping.identity.email: '_kind' {RESERVED}"),
        (
            "{identity: {email: [m]}, properties: {a: a}}",
            "mapping.identity.email: a list is not a text; write one value",
        ),
        *(
            (
                text,
                (
                    "mapping.properties maps no column, and mapping.other_columns is ignore: nothing would be sent; "
                    "map one, or write other_columns: send"
                ),
            )
            for text in ("{identity: {email: m}}", "{identity: {email: m}, properties: {}}")
        ),
        (
            "{identity: {email: m}, properties: [a]}",
            "mapping.properties is not a section; write its keys below it, indented",
        ),
        (
            "{identity: {email: m}, properties: {'': a}}",
            "mapping.properties has a key without a name; write the property's name",
        ),
        (
            "{identity: {email: m}, properties: {a: a}, request_datetime: today}",
            (
                "mapping.request_datetime: 'today' is neither now nor a column; "
                "write now, or {column: updated_at, timezone: Asia/Seoul}"
            ),
        ),
        (
            "{identity: {email: m}, properties: {a: a}, request_datetime: {timezone: UTC}}",
            "mapping.request_datetime.column is missing; write for example request_datetime: {column: updated_at}",
        ),
        (
            "{identity: {email: m}, properties: {a: a}, request_datetime: {colum: a, column: b}}",
            "mapping.request_datetime.colum is not a key; did you mean mapping.request_datetime.column?",
        ),
        (
            "{identity: {email: m}, properties: {a: a}, other_columns: no}",
            "mapping.other_columns: 'no' is not one of ignore, send",
        ),
    ],
)
def test_a_mapping_that_can_not_work_is_refused(complaint: Callable[..., str], mapping: str, words: str) -> None:
    assert complaint(f"{API}mapping: {mapping}\n") == f"config.yaml line 2: {words}"


def test_a_configuration_without_a_mapping_is_refused(complaint: Callable[..., str]) -> None:
    assert (
        complaint(API)
        == "config.yaml: mapping is missing; move the file away, and `uploader init SOURCE` writes one that has it"
    )
