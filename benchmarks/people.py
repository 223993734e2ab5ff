"""Make up the people that all contenders send: 8 columns, the same in every format."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

COLUMNS: Final = ("user_id", "email", "phone", "name", "birth", "age", "score", "joined")

CONFIG: Final = """\
api: {{base_url: "{url}", service_id: bench, access_token: bench}}
mapping:
  identity: {{external_id: user_id, email: email, phone_no: phone}}
  properties:
    df_name: name
    df_birth: {{column: birth, type: date, format: "%Y%m%d"}}
    age: {{column: age, type: long}}
    score: {{column: score, type: double}}
    joined_at: {{column: joined, type: datetime, timezone: Asia/Seoul}}
rate: {rate}
"""
"""The configuration of a run that sends them; to be filled with the *url* of the server and the *rate*."""


def write_people(path: Path, rows: int) -> Path:
    """Write so many *rows* to *path*, in the format that its name ends with, unless it is there; return *path*."""
    if not path.exists():
        match path.suffix:
            case ".csv":
                _write_lines(path, [",".join(COLUMNS)], (",".join(cells) for cells in _people(rows)))
            case ".jsonl":
                objects = (dict(zip(COLUMNS, cells, strict=True)) for cells in _people(rows))
                _write_lines(path, [], (json.dumps(one, ensure_ascii=False) for one in objects))
            case _:
                _write_parquet(path, rows)
    return path


def _people(rows: int) -> Iterator[tuple[str, ...]]:
    for number in range(1, rows + 1):
        day, month = number % 28 + 1, number % 12 + 1
        yield (
            f"{number:08}",
            f"user{number}@example.com",
            f"8210{number % 10**8:08}",
            f"김민수{number}",
            f"1990{month:02}{day:02}",
            f"{number % 90}",
            f"{number % 1000 / 10}",
            f"2024-{month:02}-{day:02} 09:30:00",
        )


def _write_lines(path: Path, head: list[str], lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in head)
        file.writelines(f"{line}\n" for line in lines)


def _write_parquet(path: Path, rows: int) -> None:
    # Only who wants a Parquet waits for polars.
    import polars as pl  # noqa: PLC0415 — as said

    pl.DataFrame(list(_people(rows)), schema=COLUMNS, orient="row").write_parquet(path)
