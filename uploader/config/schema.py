"""Describe the configuration as JSON Schema, made from the sections of the settings."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import partial
from itertools import pairwise
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from uploader.config.credentials import PLACEHOLDER
from uploader.config.settings import Settings
from uploader.config.settings_section import Section
from uploader.config.written_form import TEXT, VARIABLE, Form, forms_of

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> Mapping[str, Any]:
    """Return the JSON Schema of a configuration: its keys, what each means, and how its value is written.

    What does not fit together (two keys, or a type and a format) is left to the settings themselves.
    """
    schema = TypeAdapter(Settings).json_schema(schema_generator=_SettingsSchema)
    definitions: dict[str, JsonSchemaValue] = schema.pop("$defs")
    for section in _sections(Section):
        known = definitions.get(section.__name__, schema if section is Settings else None)
        if known is not None:
            _describe(known, section)
    schema |= {"title": "Configuration of uploader", "description": "What `uploader` reads from config.yaml."}
    whole: dict[str, Any] = _with_references({"$schema": _DIALECT, **schema, "$defs": definitions})
    whole["$defs"]["Variable"] = {"description": "An environment variable, as ${NAME}.", **VARIABLE}
    return whole


def schema_text() -> str:
    """Return the JSON Schema of a configuration as the text of a file."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=2) + "\n"


class _SettingsSchema(GenerateJsonSchema):
    """Makes the schema of what is written, not of what is read from it."""

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401 — a schema of pydantic's core
        """Return how the values that a function of ours reads are written."""
        forms = forms_of(schema["function"]["function"])
        written = [self._in_json(form, schema["schema"]) for form in forms]
        if not any(form is TEXT or "inner" in form for form in forms):
            written.append(_as_json(VARIABLE))
        return written[0] if len(written) == 1 else {"anyOf": written}

    def _in_json(self, form: Form, inner: Any) -> JsonSchemaValue:  # noqa: ANN401 — a schema of pydantic's core
        """Return *form* as it is, or with what is written of the value itself."""
        said = _as_json(form)
        return {**self.generate_inner(inner), **said} if said.pop("inner", False) else said

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401 — a schema of pydantic's core
        """Return the schema of the value itself: a configuration leaves out what has none."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: ANN401 — a schema of pydantic's core
        """Return the schema with the default, where that can be written as it is."""
        inner, default = self.generate_inner(schema["schema"]), schema.get("default")
        if isinstance(default, (bool, int, str)) and default != PLACEHOLDER:
            return {**inner, "default": default}
        return inner

    def get_title_from_name(self, name: str) -> str:
        """Return *name*: a key has no other title."""
        return name

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 — any schema of pydantic
        """Leave titles out: they would repeat the keys."""
        del schema
        return False


def _as_json(form: Form) -> JsonSchemaValue:
    copied: JsonSchemaValue = json.loads(json.dumps(form))
    return copied


def _with_references(schema: Any) -> Any:  # noqa: ANN401 — any part of a schema
    """Return *schema* with a reference in place of each variable."""
    if schema == VARIABLE:
        return {"$ref": "#/$defs/Variable"}
    if isinstance(schema, dict):
        return {key: _with_references(below) for key, below in schema.items()}
    return [_with_references(below) for below in schema] if isinstance(schema, list) else schema


def _sections(above: type[Section]) -> Iterator[type[Section]]:
    for section in above.__subclasses__():
        yield section
        yield from _sections(section)


def _describe(schema: JsonSchemaValue, section: type[Section]) -> None:
    """Add to *schema* what the docstrings of *section* and of its fields say."""
    schema["description"] = _one_line((section.__doc__ or "").partition("\n\n")[0])
    schema.pop("title", None)
    said = {name: text for one in reversed(section.__mro__) if issubclass(one, Section) for name, text in _said(one)}
    for field in fields(section):
        of_field = schema["properties"][field.name]
        schema["properties"][field.name] = {"description": said[field.name], **of_field}


def _said(section: type[Section]) -> Iterator[tuple[str, str]]:
    """Yield each field that *section* itself defines, with the docstring below it."""
    (class_,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    body = class_.body if isinstance(class_, ast.ClassDef) else []
    for line, below in pairwise(body):
        if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield ast.unparse(line.target), _one_line(str(below.value.value))


_one_line = partial(textwrap.shorten, width=10_000)
