import pytest

from uploader.model import Json
from uploader.sandbox.property_types import is_moment, misfit

FITS: list[tuple[str | None, Json]] = [
    ("string", ""),
    ("string", "foo"),
    ("long", 0),
    ("long", 2**63 - 1),
    ("long", -(2**63)),
    ("double", 1.0),
    ("double", -0.5),
    ("boolean", True),
    ("date", "2024-02-29"),
    ("datetime", "2023-08-15T12:30:00Z"),
    ("datetime", "2023-08-15T12:30:00.000Z"),
    ("array<string>", ["foo", "bar"]),
    ("array<string>", []),
    ("array<long>", [0, 1]),
    ("array<double>", [0.0, 1.0]),
    (None, "foo"),
    (None, 1),
    (None, 1.5),
    (None, False),
    (None, []),
    (None, ["a"]),
    ("long", None),
    (None, None),
]

MISFITS: list[tuple[str | None, Json, str]] = [
    ("string", 1, "wanted string, found long"),
    ("long", True, "wanted long, found boolean"),
    ("long", 1.0, "wanted long, found double"),
    ("long", "1", "wanted long, found string"),
    ("long", 2**63, "wanted long, found an integer beyond 64 bits"),
    ("double", 1, "wanted double, found long"),
    ("boolean", 1, "wanted boolean, found long"),
    ("boolean", "true", "wanted boolean, found string"),
    ("date", 20240229, "wanted date, found long"),
    ("date", "20240229", "wanted date, found a string of another form"),
    ("date", "2023-02-29", "wanted date, found a string of another form"),
    ("date", "2024-02-29\n", "wanted date, found a string of another form"),
    ("datetime", "2023-08-15", "wanted datetime, found a string of another form"),
    ("datetime", "2023-08-15T12:30:00+09:00", "wanted datetime, found a string of another form"),
    ("datetime", "2023-08-15T12:30:00.0Z", "wanted datetime, found a string of another form"),
    ("datetime", "2023-08-15T24:00:00Z", "wanted datetime, found a string of another form"),
    ("datetime", "2023-02-29T12:30:00Z", "wanted datetime, found a string of another form"),
    ("array<string>", "foo", "wanted array<string>, found string"),
    ("array<long>", [0.5], "wanted array<long>, found array<double>"),
    ("array<long>", [1, "1"], "wanted array<long>, found another array"),
    ("array<string>", ["a", None], "wanted array<string>, found another array"),
    ("string", {}, "wanted string, found object"),
    (None, {}, "no type of the API: object"),
    (None, [[]], "no type of the API: another array"),
    (None, 2**64, "no type of the API: an integer beyond 64 bits"),
]


@pytest.mark.parametrize(("kind", "value"), FITS)
def test_a_value_of_the_type_fits(kind: str | None, value: Json) -> None:
    assert misfit(value, kind) is None


@pytest.mark.parametrize(("kind", "value", "why"), MISFITS)
def test_a_value_of_another_type_does_not_fit(kind: str | None, value: Json, why: str) -> None:
    assert misfit(value, kind) == why


@pytest.mark.parametrize(
    "text", ["2024-06-24T06:42:25.394Z", "2024-06-24T06:42:25Z", "2024-06-24T06:42Z", "2024-06-24T06:42:25.394123Z"]
)
def test_a_moment_in_utc_is_one(text: str) -> None:
    assert is_moment(text)


@pytest.mark.parametrize(
    "text", ["", "now", "2024-06-24", "2024-06-24T06:42:25", "2024-06-24T06:42:25+00:00", "2024-06-31T06:42:25Z"]
)
def test_anything_else_is_no_moment(text: str) -> None:
    assert not is_moment(text)
