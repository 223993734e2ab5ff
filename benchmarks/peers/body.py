"""Make of a row of the benchmark's file what is posted for it: what every contender written in Python sends."""

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import orjson

_SEOUL: Final = ZoneInfo("Asia/Seoul")


def profile(row: Mapping[str, str]) -> dict[str, object]:
    """Return the body of *row*, as a dictionary."""
    birth, joined = row["birth"], datetime.fromisoformat(row["joined"]).replace(tzinfo=_SEOUL)
    return {
        "identity": {"external_id": row["user_id"], "phone_no": row["phone"], "email": row["email"]},
        "user_properties": {
            "df_name": row["name"],
            "df_birth": f"{birth[:4]}-{birth[4:6]}-{birth[6:]}",
            "age": int(row["age"]),
            "score": float(row["score"]),
            "joined_at": _iso(joined.astimezone(UTC)),
        },
        "request_datetime": _iso(datetime.now(UTC)),
    }


def bodies(path: Path) -> Iterator[bytes]:
    """Yield the body of each row of *path*, as it goes over the wire."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield orjson.dumps(profile(row))


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
