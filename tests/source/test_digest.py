"""A source is known by its content before it is read."""

import io
from pathlib import Path

import pytest

from uploader.source import open_source

CONTENT = b"id,name\n1,Kim\n2,Lee\n"


def _digests(name: str, *, stdin: bytes = b"", folder: Path | None = None) -> tuple[str, str]:
    """Return the digest of the source *name*, and the one that a reading finds after it."""
    with open_source(
        name, format="csv", encoding="auto", delimiter=",", stdin=io.BytesIO(stdin), spool_dir=folder
    ) as source:
        digest, reading = source.digest(), source.read()
        with reading:
            rows = sum(1 for _ in reading)
        assert rows == 2
        return digest, reading.fingerprint.digest


def test_the_digest_is_that_of_a_whole_reading_and_leaves_the_reading_whole(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(CONTENT)

    before, after = _digests(str(path))

    assert before == after


def test_standard_input_is_known_by_its_content_wherever_it_is_spooled(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(CONTENT)

    assert _digests("-", stdin=CONTENT, folder=tmp_path)[0] == _digests(str(path))[0]


@pytest.mark.parametrize("other", [CONTENT[:-1], CONTENT + b"\n", CONTENT.replace(b"Kim", b"Kin")])
def test_another_content_has_another_digest(tmp_path: Path, other: bytes) -> None:
    first, second = (_digests("-", stdin=stdin, folder=tmp_path)[0] for stdin in (CONTENT, other))

    assert first != second
