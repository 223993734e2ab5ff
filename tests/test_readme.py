"""Hold the documentation to what the program does: every option, key, example, value and status."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, cast, get_args

import click
import pytest
import yaml

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader import errors
from uploader.api import CONSENTS, IDENTITY_FIELDS, PropertyType
from uploader.app.check_report import CheckReport
from uploader.check.source_summary import CheckSummary
from uploader.cli.entry_point import cli, every_command
from uploader.config import Settings, load
from uploader.config.settings import keys_of
from uploader.errors import ConfigError, UploaderError
from uploader.mapping.rules import CleaningRules, MappingRules, PropertyRule, TimeRule
from uploader.model import Request, Row
from uploader.outputs.summary import summary_facts
from uploader.rate import Pace
from uploader.run.results import SourceResult
from uploader.run_record import RunRecord
from uploader.sandbox import FAULT_KINDS, Fault

ROOT = Path(__file__).parents[1]
INSIDE = ("api.md", "architecture.md", "development.md", "performance.md")
"""Pages about other things than the command line and the configuration."""
PAGES = (
    *(file.name for file in sorted(ROOT.glob("README*.md"))),
    *(f"docs/{file.name}" for file in sorted((ROOT / "docs").glob("*.md")) if file.name not in INSIDE),
)
LEAST: Mapping[str, Any] = {
    "api": {"service_id": "svc", "access_token": "canary"},
    "mapping": {"identity": {"external_id": "user_id"}, "properties": {"df_name": "name"}},
}
NOW = "2026-06-01T00:00:00.000Z"


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the blocks of all pages that are written in *language*."""
    found = re.compile(
        rf"^(?P<indent> *)```{language}(?: title=\"[^\"\n]+\")?\n(?P<block>.*?)^ *```$", re.DOTALL | re.MULTILINE
    )
    return [
        "".join(line.removeprefix(match["indent"]) for line in match["block"].splitlines(keepends=True))
        for name in PAGES
        for match in found.finditer(page(name))
    ]


def tables(name: str, heading: str) -> list[dict[str, str]]:
    """Return the rows of the table of page *name* whose first column is called *heading*, of all such tables."""
    rows: list[dict[str, str]] = []
    titles: list[str] = []
    for line in page(name).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if not cells:
            titles = []
        elif not titles:
            titles = cells
        elif titles[0] == heading and not set("".join(cells)) <= {"-"}:
            rows.append(dict(zip(titles, cells, strict=True)))
    return rows


def spans(cell: str) -> list[str]:
    """Return what stands in backquotes in *cell*, as it is meant."""
    return [span.replace("\\|", "|") for span in re.findall(r"`([^`]+)`", cell)]


def commands() -> dict[str, click.Command]:
    return every_command()


# Commands and options


def typed_lines() -> Iterator[str]:
    """Yield every command line of `uploader` that the pages show."""
    typed = (re.findall(r"^\$ (.*)", block, re.MULTILINE) for block in blocks("console"))
    scripts = (block.replace("\\\n", " ").splitlines() for block in (*blocks("sh"), *blocks("cron")))
    for line in chain.from_iterable((*typed, *scripts)):
        _, found, words = line.partition("uploader ")
        if found and not line.lstrip().startswith("#"):
            yield words
    for name in PAGES:
        yield from re.findall(r"`uploader ((?:run|check|init|runs|sandbox) [^`]+)`", page(name))


@pytest.mark.parametrize("words", sorted(set(typed_lines())))
def test_every_command_line_that_is_shown_is_understood(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *arguments = shlex.split(words, comments=True)

    if name in ("--help", "--version"):
        assert arguments == []
    else:
        # A command keeps the help option that its first context gives it.
        with click.Context(cli, **cli.context_settings) as above:
            assert commands()[name].make_context(name, arguments, parent=above).params


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_option_is_documented(command: str) -> None:
    options = {name for param in commands()[command].params if isinstance(param, click.Option) for name in param.opts}

    shown = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", page("docs/command-line.md")))

    assert options - shown == set()


def test_no_option_is_documented_that_does_not_exist() -> None:
    known = {name for command in commands().values() for param in command.params for name in param.opts}

    shown = {name for one in PAGES for name in re.findall(r"`[^`\n]*?(--[a-z][a-z-]*)", page(one))}

    assert shown - known - {"--help", "--version"} == set()


def test_every_command_is_documented() -> None:
    documented = {span.split()[1] for row in tables("README.md", "command") for span in spans(row["command"])}

    assert documented == set(commands())


def test_the_version_is_said() -> None:
    assert "uploader --version" in page("README.md")


# Configuration


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree over another."""
    both = {
        key: merged(below[key], above[key])
        for key in below.keys() & above.keys()
        if isinstance(below[key], dict) and isinstance(above[key], dict)
    }
    return {**below, **above, **both}


def loaded(folder: Path, tree: Mapping[str, Any] = LEAST, *overrides: str) -> Settings:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    return load(file, overrides=overrides, environ={}, credentials=False)


@pytest.mark.parametrize("block", dict.fromkeys(blocks("yaml")))
def test_every_example_of_a_configuration_loads(block: str, tmp_path: Path) -> None:
    tree = yaml.load(block, Loader=yaml.BaseLoader)  # noqa: S506 — it makes nothing but text, lists and sections

    # The variables of the examples are nobody's, and a token file stands in the place of the token.
    api = {**LEAST["api"], **tree.get("api", {}), "service_id": "svc", "access_token": "canary"}
    if {"access_token_file", "access_token_command"} & api.keys():
        del api["access_token"]
    settings = loaded(tmp_path, merged(LEAST, {**tree, "api": api}) | {"api": api})

    assert settings.mapping.identity.columns()


def keys() -> list[dict[str, str]]:
    return [row for row in tables("docs/configuration.md", "key") if ".NAME." not in row["key"]]


def test_every_key_is_documented_once() -> None:
    documented = [key for row in tables("docs/configuration.md", "key") for key in spans(row["key"])]

    sections = [name for name in keys_of(()) if keys_of((name,))]
    expected = [
        *(f"{section}.{key}" for section in sections for key in keys_of((section,))),
        *(f"mapping.properties.NAME.{key}" for key in keys_of(("mapping", "properties", "x"))),
        *(key for key in keys_of(()) if key not in sections),
    ]
    assert sorted(documented) == sorted(expected)


def test_every_key_that_a_symptom_leads_to_exists() -> None:
    full = {key for row in tables("docs/configuration.md", "key") for key in spans(row["key"])}
    rules = {key.rpartition(".")[2] for key in full if ".NAME." in key}
    sections = {key.partition(".")[0] for key in full}

    named = {key for row in tables("docs/which-feature.md", "symptom") for key in spans(row["key or option"])}

    assert {key for key in named if re.fullmatch(r"[a-z_.]+", key)} - full - rules - sections == set()


@pytest.mark.parametrize("row", [row for row in keys() if row["default"]], ids=lambda row: row["key"])
def test_a_documented_default_is_what_holds(row: Mapping[str, str], tmp_path: Path) -> None:
    (key,), (default,) = spans(row["key"]), spans(row["default"])

    settings = loaded(tmp_path, LEAST, f'{key}="{default}"' if "{dir}" in default else f"{key}={default}")

    # Without its section, there is no guard.
    assert settings == loaded(tmp_path, {**LEAST, "guard": {}} if key.startswith("guard.") else LEAST)


@pytest.mark.parametrize("row", keys(), ids=lambda row: row["key"])
def test_a_documented_example_is_taken_and_differs_from_the_default(row: Mapping[str, str], tmp_path: Path) -> None:
    (key,), (example,) = spans(row["key"]), spans(row["example"])
    if key not in {"api.access_token", "mapping.hash_key"} and "$" in example:
        example = "from-the-environment"
    elif key == "api.access_token_file":
        (tmp_path / example).touch(mode=0o600)
    tree = dict(LEAST)
    if key in {"api.access_token_file", "api.access_token_command"}:
        tree["api"] = {"service_id": "svc"}

    settings = loaded(tmp_path, tree, f"{key}={example}")

    assert example != (spans(row["default"]) or [""])[0]
    # Every configuration must have an identity.
    assert settings != loaded(tmp_path, tree) or key == "mapping.identity"


@pytest.mark.parametrize(
    "row",
    [row for row in keys() if all(re.fullmatch(r"`[a-z]+`", word) for word in row["takes"].split(", "))],
    ids=lambda row: row["key"],
)
def test_every_documented_word_is_taken_and_no_other(row: Mapping[str, str], tmp_path: Path) -> None:
    (key,), words = spans(row["key"]), spans(row["takes"])

    for word in words:
        loaded(tmp_path, LEAST, f"{key}={word}")
    with pytest.raises(ConfigError, match=", ".join(words)):
        loaded(tmp_path, LEAST, f"{key}=zebra")


# Values


@pytest.mark.parametrize("kind", ["Without a type", *get_args(PropertyType)])
def test_every_type_has_its_table(kind: str) -> None:
    assert values_of(kind)


def values_of(kind: str) -> list[tuple[str, str]]:
    """Return the values that `docs/types.md` shows below the heading *kind*, each with what becomes of it."""
    _, _, below = page("docs/types.md").replace("## `", "## ").replace("`\n", "\n").partition(f"\n## {kind}\n")
    section, _, _ = below.partition("\n## ")
    rows = re.findall(r"^\| (`.+`) \| (.+) \|$", section, re.MULTILINE)
    return [
        (value, spans(sent)[0] if sent.startswith("`") else sent) for values, sent in rows for value in spans(values)
    ]


def carried(kind: PropertyType | None, value: object) -> str:
    """Return as JSON what is sent for *value*; where it is refused, why."""
    zone = "Europe/Berlin" if kind == "datetime" else None
    return carried_by(PropertyRule("it", "it", kind=kind, times=TimeRule(timezone=zone)), {"it": value})


def carried_by(rule: PropertyRule, fields: Mapping[str, object]) -> str:
    """Return as JSON what *rule* makes of a row with *fields*; where it is refused, why."""
    rules = MappingRules(identity_rules({"external_id": "id"}), (rule, PropertyRule("kept", value="k")))
    plan = compile_plan(rules, source="s", config="c", columns=None)
    work = plan.map_row(Row(1, {"id": "1", **fields}), NOW)
    if isinstance(work, Request):
        sent = json.loads(work.body)["user_properties"]
        return json.dumps(sent[rule.key], separators=(",", ":")) if rule.key in sent else "nothing: it is empty"
    return "refused: " + work.reason.phrase.partition(": ")[2]


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [(kind, *row) for kind in ("Without a type", *get_args(PropertyType)) for row in values_of(kind)],
)
def test_every_value_becomes_what_is_documented(kind: str, value: str, sent: str) -> None:
    found = carried(None if kind == "Without a type" else cast("PropertyType", kind), json.loads(value))

    assert found == sent


def test_every_value_becomes_what_is_documented_of_formats() -> None:
    formats = ("unix_us", "unix_ms", "unix", "excel", "%Y-%m-%d %p %I:%M:%S.%f")
    rule = PropertyRule("it", "it", kind="datetime", times=TimeRule(formats=formats, timezone="Asia/Seoul"))
    shown = [(value, sent) for value, sent in values_of("Formats") if value not in formats]

    assert [carried_by(rule, {"it": json.loads(value)}) for value, _ in shown] == [sent for _, sent in shown]


PARQUET: Mapping[str, tuple[object, ...]] = {
    "String, Categorical, Enum": ("1",),
    "integers, also `DECIMAL(n,0)`": (1, Decimal(1)),
    "floats": (1.5,),
    "Boolean": (True,),
    "Date": (date(2024, 3, 5),),
    "Datetime with a zone": (datetime(2024, 3, 5, tzinfo=UTC),),
    "Datetime without a zone": (datetime(2024, 3, 5),),  # noqa: DTZ001 — that is its point
    "lists of texts": (["1"],),
    "lists of integers": ([1],),
    "lists of floats": ([1.5],),
    "Decimal with a fraction": (Decimal("1.5"),),
    "Time, Duration, Binary, Struct": (
        datetime(2024, 3, 5, tzinfo=UTC).timetz(),
        datetime(2024, 3, 5, tzinfo=UTC) - datetime(2024, 3, 4, tzinfo=UTC),
        b"1",
        {"a": 1},
    ),
    "lists of anything else, Map": ([True], [[1]], [date(2024, 3, 5)], [{"key": "a", "value": 1}]),
}
"""Values of each kind of column that `docs/types.md` names; the text is one that most types can read."""


def test_what_parquet_columns_can_be_declared_as_is_documented() -> None:
    documented = {row["column"]: row["can be declared as"] for row in tables("docs/types.md", "column")}

    found = {
        name: {
            kind
            for value in values
            for kind in get_args(PropertyType)
            if not carried(kind, value).startswith("refused")
        }
        for name, values in PARQUET.items()
    }

    texts = {"date", "datetime"}  # which read a text too, only not this one
    found["String, Categorical, Enum"] |= texts
    shown = {"every type": set(get_args(PropertyType)), "nothing": set()}
    assert found == {name: shown.get(cell, set(spans(cell))) for name, cell in documented.items()}


def test_what_the_short_form_makes_of_parquet_columns_is_documented() -> None:
    documented = {row["column"]: row["short form sends"] == "refused" for row in tables("docs/types.md", "column")}

    found = {name: carried(None, values[0]).startswith("refused") for name, values in PARQUET.items()}

    assert found == documented


def test_every_identity_field_and_every_consent_is_named() -> None:
    named = {name for one in PAGES for name in re.findall(r"`(\w+)`", page(one))}

    assert {*IDENTITY_FIELDS, *CONSENTS} - named == set()


def repaired(heading: str) -> list[tuple[str, str]]:
    """Return the values of the table of `docs/mapping.md` below the smaller *heading*, and what becomes of each."""
    _, _, below = page("docs/mapping.md").partition(f"\n### {heading}\n")
    section, _, _ = below.partition("\n##")
    rows = re.findall(r"^\| (`.+`) \| (.+) \|$", section, re.MULTILINE)
    return [
        (value, spans(sent)[0] if sent.startswith("`") else sent) for values, sent in rows for value in spans(values)
    ]


REPAIRS = {
    "strip": PropertyRule("it", "it", kind="long", cleaning=CleaningRules(strip=("원", "₩"), thousands=",")),
    "values": PropertyRule("it", "it", cleaning=CleaningRules(values=(("남", "Male"), ("여", "Female")))),
    "phone": PropertyRule("it", "it", cleaning=CleaningRules(phone="KR")),
    "decimal": PropertyRule("it", "it", kind="double", cleaning=CleaningRules(thousands=".", decimal=",")),
    "thousands": PropertyRule("it", "it", kind="long", cleaning=CleaningRules(thousands=",")),
    "trim": PropertyRule("it", "it", kind="string", cleaning=CleaningRules(trim=True)),
}


@pytest.mark.parametrize(
    ("heading", "value", "sent"), [(heading, *row) for heading in REPAIRS for row in repaired(heading)]
)
def test_every_value_is_repaired_as_documented(heading: str, value: str, sent: str) -> None:
    assert carried_by(REPAIRS[heading], {"it": json.loads(value)}) == sent


@pytest.mark.parametrize("row", tables("docs/mapping.md", "row"), ids=lambda row: row["row"])
def test_a_path_leads_where_it_is_documented_to_lead(row: Mapping[str, str]) -> None:
    sent = row["is sent as"]

    for fields in spans(row["row"]):
        found = carried_by(PropertyRule("it", "a.b"), json.loads(fields))
        assert found == (spans(sent)[0] if sent.startswith("`") else sent)


# What is written for programs


def example_with(key: str) -> dict[str, object]:
    (found,) = (block for block in map(json.loads, blocks("json")) if key in block)
    return cast("dict[str, object]", found)


def test_the_summary_that_is_shown_has_the_keys_of_a_summary() -> None:
    shown = example_with("run_id")

    of_source = SourceResult("run-1", "customers.csv", "2024-03-05T02:15:00+00:00").summary()
    assert list(shown) == list(summary_facts(RunRecord("", ""), [of_source], of_source))


def test_the_findings_that_are_shown_have_the_keys_of_findings() -> None:
    shown = example_with("sendable")

    account = SourceResult("run-1", "customers.csv", "2024-03-05T02:15:00+00:00")
    assert list(shown) == list(CheckReport(account, CheckSummary(), Pace(1, 1.0, 1)).facts())


# The sandbox


def test_every_fault_is_documented_and_read() -> None:
    rows = tables("docs/sandbox.md", "fault")

    assert {re.split(r"[=\[]", spans(row["fault"])[0])[0] for row in rows} == set(FAULT_KINDS)


@pytest.mark.parametrize(
    "text", sorted({text for block in blocks("sh") for text in re.findall(r'--fault "([^"]+)"', block)})
)
def test_every_fault_that_is_shown_is_read(text: str) -> None:
    assert Fault.parse(text).kind == re.split(r"[= ]", text)[0]


# Exit statuses

CONTRACT = {
    "0": "every row",
    "1": "a bug in this program",
    "2": "configuration",
    "3": "finished; some rows were rejected or failed: see the retry file",
    "4": "nothing was sent",
    "5": "refuses us",
    "6": "`retry.outage_timeout`",
    "7": "disk",
    "8": "another run",
    "9": "changed",
    "10": "time limit",
    "129, 130, 143": "SIGHUP, SIGINT or SIGTERM",
}


def test_the_exit_statuses_are_those_of_the_contract() -> None:
    rows = {row["status"]: row["means"] for row in tables("docs/exit-statuses.md", "status")}

    assert {status: words for status, words in CONTRACT.items() if words not in rows.get(status, "")} == {}
    assert rows.keys() == CONTRACT.keys()


def test_every_exit_status_of_the_program_is_documented() -> None:
    rows = tables("docs/exit-statuses.md", "status")
    documented = {int(number) for row in rows for number in row["status"].split(", ")}

    known = {
        kind.exit_status for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UploaderError)
    }

    assert known - documented == set()
