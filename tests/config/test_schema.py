"""The JSON Schema of the configuration takes what the settings take, and refuses what they refuse by itself."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from tests.make import Load
from uploader.app.init import init_config
from uploader.config.schema import json_schema
from uploader.config.settings import Settings, homes_of, keys_of, names_of
from uploader.config.value_parsers import one_of
from uploader.config.written_form import forms_of
from uploader.run.environment import Environment

ROOT: Final = Path(__file__).parents[2]
CASES: Final = ROOT / "tests/cases"
PAGES: Final = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])
EXAMPLES: Final = [
    ROOT / "config.yaml",
    ROOT / "samples/crm_config.yaml",
    *sorted(ROOT.glob("tests/cases/*/config.yaml")),
]
WRONG: Final = CASES / "errors-at-once/config.yaml"
"""It shows how errors are named."""


class CoreLoader(yaml.SafeLoader):
    """Reads YAML 1.2, as editors do: `yes`, `on` and `off` are texts."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 — PyYAML's own attribute


for tag, expression, first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{expression})$"), list(first))


def read(text: str) -> Any:  # noqa: ANN401 — what the text is
    """Return *text* as an editor reads it; the keys of JSON are texts."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {
                str(key).lower() if isinstance(key, bool) else str(key): plain(below) for key, below in value.items()
            }
        return [plain(item) for item in value] if isinstance(value, list) else value

    return plain(yaml.load(text, CoreLoader))  # noqa: S506 — a SafeLoader with other rules for scalars


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


def refusals(tree: object) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(tree)]


def fenced() -> Iterator[tuple[str, str]]:
    """Yield each configuration, or part of one, that the pages show, with the place of it."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```yaml[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, found.start()) + 1
            tree = read(found[1])
            if isinstance(tree, dict) and set(tree) <= set(names_of(Settings)):
                yield f"{page.name}:{line}", found[1]


def test_the_published_schema_is_what_the_command_prints() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "uploader", "schema"], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert (ROOT / "docs/config.schema.json").read_text(encoding="utf-8") == printed


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "file", [file for file in EXAMPLES if file != WRONG], ids=lambda file: str(file.relative_to(ROOT))
)
def test_every_example_is_taken(file: Path) -> None:
    assert refusals(read(file.read_text(encoding="utf-8"))) == []


def test_the_example_of_a_wrong_configuration_is_refused() -> None:
    assert len(refusals(read(WRONG.read_text(encoding="utf-8")))) > 3


@pytest.mark.parametrize("name", ["config.yaml", "samples/crm_config.yaml"])
def test_an_example_names_the_schema_for_editors(name: str) -> None:
    first = (ROOT / name).read_text(encoding="utf-8").partition("\n")[0]

    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)

    assert found is not None
    assert ((ROOT / name).parent / found[1]).resolve() == ROOT / "docs/config.schema.json"


def test_the_schema_that_init_names_stands_where_it_says_and_takes_what_init_wrote(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("user_id,name,push_optin,joined\n1,Kim,Y,2024-01-02 03:04:05\n", "utf-8")

    init_config(str(tmp_path / "people.csv"), tmp_path / "config.yaml", Environment(environ={}, stdin=None))

    text = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", text.partition("\n")[0])
    assert named is not None
    schema = json.loads((tmp_path / named[1]).read_text(encoding="utf-8"))
    assert schema == json_schema()
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(read(text))) == []
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(read(text.replace("mapping:", "maping:")))) != []


def test_the_example_is_taken_with_all_that_it_comments_out() -> None:
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    spelt_out = re.sub(r"(?m)^( *)# (?=( {2})*[a-z_]+:( |$))(.*)$", r"\1\4", text)

    assert set(read(spelt_out)) > {"source", "retry", "limits", "guard", "state_dir"}
    assert refusals(read(spelt_out)) == []


@pytest.mark.parametrize(("place", "text"), [*fenced()], ids=lambda value: value if "\n" not in value else "")
def test_every_configuration_of_a_page_is_taken(place: str, text: str) -> None:
    tree = {"mapping": {"identity": {"external_id": "id"}}, **read(text)}
    tree["mapping"] = {"identity": {"external_id": "id"}, **tree["mapping"]}

    assert refusals(tree) == [], place


def test_the_pages_show_configurations() -> None:
    assert len([*fenced()]) > 20


def test_every_key_says_what_it_means() -> None:
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]

    said = {key: value.get("description", "") for part in parts for key, value in part.get("properties", {}).items()}

    assert {key for key, words in said.items() if not words.endswith(".") or len(words) < 15} == set()
    assert {key for section in ((), *((name,) for name in names_of(Settings))) for key in keys_of(section)} <= set(said)


def test_no_default_is_a_credential() -> None:
    assert "dry-run" not in json.dumps(json_schema())


IDENTIFIED: Final = "mapping: {identity: {external_id: 0123}, properties: "
LEAST: Final = "mapping: {identity: {external_id: id}, properties: {df_name: name}}\n"


@pytest.mark.parametrize(
    "text",
    [
        "rate: {requests: 0}",
        "rate: {requests: many}",
        "rate: {per: 30}",
        "rate: {per: 30 seconds}",
        "rate: {share: 1.5}",
        "rate: {share: a lot}",
        "rate: {share: 0}",
        "rate: {share: 0%}",
        "rate: {share: 00.0%}",
        "rate: {share: 150%}",
        "limits: {max_rejected: 100.5%}",
        "limits: {max_rejected: '1.01'}",
        "limits: {tolerate: 1.5}",
        "limits: {tolerate: '1.5'}",
        "limits: {tolerate: '1.0'}",
        "limits: {tolerate: 150%}",
        "limits: {tolerate: -1}",
        "api: {service_id: svc, access_token_command: []}",
        "rate: {concurrency: 1001}",
        "rat: {requests: 5}",
        "rate: {request: 5}",
        "rate: 5",
        "rate: [5]",
        "rate:",
        "when_changed: frsh",
        "changed_only: maybe",
        "full_every: 30 days",
        "source: {format: xml}",
        "source: {null_values: NULL}",
        "source: {delimiter: ab}",
        "source: {skip_lines: -1}",
        "api: {base_url: ftp://host}",
        "api: {proxy: 'socks5://host:1'}",
        "limits: {max_unpacked: 200}",
        "limits: {max_joined: 0}",
        "limits: {max_joined: {name: 5}}",
        "limits: {odd_identities: keep}",
        "registered: {age: lnog}",
        "journal_days: 0",
        "state_dir: ''",
        "mapping: {identity: {external_id: id}, properties: {age: {column: age, type: lnog}}}",
        "mapping: {identity: {external_id: id}, properties: {age: {colum: age}}}",
        "mapping: {identity: {external_id: id}, properties: {age: [age]}}",
        "mapping: {identity: {external_id: id}, properties: {at: {column: at, type: date, format: year}}}",
        "mapping: {identity: {name: id}, properties: {df_name: name}}",
        "mapping: {identity: {phone_no: {column: p, phone: US}}, properties: {df_name: name}}",
        "mapping: {identity: {external_id: id}, properties: {n: {column: n, type: long, thousands: ab}}}",
        "mapping: {identity: {external_id: id}, properties: {n: {column: n, type: double, decimal: ';'}}}",
        "mapping: {identity: {external_id: id}, properties: {n: name}, request_datetime: later}",
        "mapping: {properties: {n: name}}",
        "mapping: {identity: {}, properties: {df_name: name}}",
    ],
)
def test_what_a_section_refuses_is_refused_by_the_schema(text: str, complaint: Callable[..., str]) -> None:
    whole = text if text.startswith("mapping") else f"{LEAST}{text}\n"

    assert complaint(whole, credentials=False)
    assert refusals(read(whole)) != []


@pytest.mark.parametrize(
    "text",
    [
        "rate: {requests: 0012, per: 500ms, share: 95%, burst: '3'}",
        "rate: {requests: '${REQUESTS}'}",
        "rate: {share: 100%}",
        "rate: {share: '0.05'}",
        "limits: {tolerate: 5, max_rejected: 0%}",
        "limits: {tolerate: 0.001}",
        "limits: {tolerate: '0.001'}",
        "limits: {tolerate: 0.7%}",
        "limits: {tolerate: 100%, max_rejected: 1}",
        "source: {null_values: [NULL, ~, '', no, 0], delimiter: tab}",
        "source: {delimiter: 1, name: true}",
        "api: {service_id: svc, base_url: 'HTTPS://host'}\nnotify: {url: 'HTTPS://host/hook', ping: 'Https://host'}",
        "mapping: {identity: {external_id: true}, properties: {df_name: name}, when_empty: null}",
        "mapping: {identity: {external_id: id}, properties: {a: {column: a, when_empty: null}, b: {value: null}}}",
        "mapping: {identity: {external_id: id}, properties: {}, other_columns: send}",
        "limits: {max_joined: off, max_unpacked: 1.5GiB}",
        "limits: {max_joined: {phone_no: 50, email: off}}",
        "registered: {age: Long, tags: Array of String, more: 'string[]'}",
        "changed_only: true\nfull_every: 30d\nstate_dir: 2024",
        f"{IDENTIFIED}{{flag: {{column: 1, type: boolean, true: [1], false: [0]}}}}}}",
        f"{IDENTIFIED}{{a: {{value: 5, type: long}}, b: {{value: [x], type: Array<string>}}}}}}",
        f"{IDENTIFIED}{{a: {{column: a, type: datetime, format: [unix_ms, '%Y-%m-%d']}}}}}}",
    ],
)
def test_what_the_settings_take_is_taken_by_the_schema(text: str, loaded: Load) -> None:
    whole = text if text.startswith("mapping") else f"{LEAST}{text}\n"

    loaded(whole, environ={"REQUESTS": "5"}, credentials=False)

    assert refusals(read(whole)) == []


@pytest.mark.parametrize("text", ["source: {skip_lines: 3.0}", "limits: {tolerate: 5.0}"])
def test_that_a_whole_number_has_a_point_is_seen_by_the_settings_alone(
    text: str, complaint: Callable[..., str]
) -> None:
    """In JSON, 3.0 and 3 are one number."""
    assert complaint(f"{LEAST}{text}\n", credentials=False)
    assert refusals(read(f"{LEAST}{text}\n")) == []


def test_a_reader_that_does_not_say_its_forms_makes_no_schema() -> None:
    with pytest.raises(TypeError, match="does not say how its values are written"):
        forms_of(str)

    assert forms_of(one_of("a", "b")) == ({"enum": ("a", "b")},)


def test_every_key_has_one_place_in_the_schema() -> None:
    schema: Mapping[str, Any] = json_schema()

    assert {key for key in schema["properties"] if not homes_of(key)} == set()
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values() if "properties" in part)
