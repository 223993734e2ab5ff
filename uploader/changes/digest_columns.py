"""Look up, merge and write digests in columns, for many people at once.

A frame of digests has the columns `person`, `head` and `tail` and is sorted by person; each person stands there once.
Head and tail are the bytes of the digest; null means that there is no digest of the person.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from io import BytesIO
from typing import Final
from zlib import crc32

import polars as pl

from uploader.changes.digests import Digests
from uploader.changes.sorted_digests import HEAD_BYTES, PERSON_BYTES, TAIL_BYTES, Columns, Part, SortedDigests
from uploader.errors import StorageError

PEOPLE_OF_PART: Final = 2**18
_TEXTS_AT_ONCE: Final = 16_384

_SCHEMA: Final = {"person": pl.Int64, "head": pl.UInt64, "tail": pl.UInt32}
_ENDS: Final = pl.DataFrame(schema={"head": pl.UInt64, "tail": pl.UInt32})
_END: Final = b"\xff\xff\xff\xff\0\0\0\0"
"""The last message of an Arrow stream."""


def digest_frame(people: Sequence[int], bodies: Sequence[bytes | None]) -> pl.DataFrame:
    """Return the frame of *people*, which are sorted, and of their *bodies* (digests of 12 bytes)."""
    head, tail = _split(pl.Series(bodies, dtype=pl.Binary))
    return pl.DataFrame({"person": pl.Series(people, dtype=pl.Int64).set_sorted(), "head": head, "tail": tail})


def number_columns(identity: pl.DataFrame, bodies: pl.Series, digests: Digests) -> tuple[pl.DataFrame, pl.Series]:
    """Return the numbers of the people in *identity*, and the digests of *bodies* (texts or null); see `compare`.

    *identity* has a column of texts for each identity field, named by it.
    """
    people = {name: _digested(f"{name}=" + values, digests.people_of) for name, values in identity.to_dict().items()}
    numbers = pl.DataFrame(people).select(pl.all().bin.reinterpret(dtype=pl.Int64, endianness="big"))
    return numbers, _digested(bodies, digests.bodies_of)


def joined(numbers: Sequence[tuple[pl.DataFrame, pl.Series]]) -> tuple[pl.DataFrame, pl.Series]:
    """Return what `number_columns` returned several times as one."""
    return pl.concat(people for people, _ in numbers), pl.concat(digests for _, digests in numbers)


def without(people: pl.DataFrame, others: Iterable[int]) -> pl.Series:
    """Return for each row whether none of its *people* (see `compare`) is one of *others*."""
    wanted = pl.Series(others, dtype=pl.Int64).unique().implode()
    return people.select(~pl.any_horizontal(pl.all().is_in(wanted).fill_null(value=False))).to_series()


def people_in(people: pl.DataFrame) -> list[int]:
    """Return all numbers in *people*."""
    return [number for column in people.iter_columns() for number in column.drop_nulls()]


def none_of(rows: int) -> pl.Series:
    """Return False for each of *rows* rows."""
    return nothing_known(rows).fill_null(value=False)


def nothing_known(rows: int) -> pl.Series:
    """Return what `compare` returns for *rows* rows where there are no digests."""
    return pl.DataFrame(schema={"unchanged": pl.Boolean}).clear(rows)["unchanged"]


def compare(
    people: pl.DataFrame,
    bodies: pl.Series,
    layers: Callable[[pl.Series], Iterable[Iterable[pl.DataFrame]]],
) -> pl.Series:
    """Return for each row whether the digest accepted last for its *people* is that in *bodies*; null: not known.

    *people* has a column of numbers for each identity field, null where the row has no such value: they are one person,
    who is known if all of them have the same digest. *bodies* are digests (Binary). *layers* returns for sorted people
    the frames of digests of each layer, ascending and without overlap; a layer takes the place of those before it.
    """
    head, tail = _split(bodies)
    columns = {"body_head": head, "body_tail": tail}
    numbers = range(people.width)
    for number, asked in enumerate(people.iter_columns()):
        found = _find(asked, layers)
        columns |= {f"person{number}": asked, f"head{number}": found["head"], f"tail{number}": found["tail"]}
    # Where all that are there agree, the first of them is as good as any.
    first_head, first_tail = (pl.coalesce(f"{end}{number}" for number in numbers) for end in ("head", "tail"))
    agree = pl.all_horizontal(
        pl.col(f"person{number}").is_null()
        | ((pl.col(f"head{number}") == first_head) & (pl.col(f"tail{number}") == first_tail)).fill_null(value=False)
        for number in numbers
    )
    is_same = (first_head == pl.col("body_head")) & (first_tail == pl.col("body_tail"))
    return pl.DataFrame(columns).select(pl.when(agree).then(is_same).alias("unchanged")).to_series()


def parts_with(people: pl.Series, digests: SortedDigests) -> Iterator[pl.DataFrame]:
    """Yield the frames of those parts of *digests* that may have some of *people*, which are sorted."""
    return _frames(
        digests,
        (
            at
            for at, part in enumerate(digests.parts)
            if people.search_sorted(part.first, "left") < people.search_sorted(part.last, "right")
        ),
    )


def all_parts(digests: SortedDigests) -> Iterator[pl.DataFrame]:
    """Yield the frames of all parts of *digests*."""
    return _frames(digests, range(len(digests.parts)))


def merged(old: Iterator[pl.DataFrame], new: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the frames of *old* and *new* as one ascending row of frames, in which all have a digest.

    A person of *new* takes the place of the same one of *old*; without a digest they are left out.
    """
    one, other = next(old, None), next(new, None)
    while one is not None or other is not None:
        # Up to here, nothing that comes later can be in between.
        bound = min(frame["person"][-1] for frame in (one, other) if frame is not None)
        before, one = _cut(one, bound, old)
        after, other = _cut(other, bound, new)
        kept = before.join(after, on="person", how="anti")
        yield pl.concat([kept, after.filter(pl.col("head").is_not_null())]).sort("person")


def stream(frames: Iterable[pl.DataFrame], parts: list[Part]) -> Iterator[bytes]:
    """Yield the bytes of the sorted file of *frames*, which are ascending; *parts* gets its index.

    Raises:
        StorageError: this version of polars lays the columns out in another way.
    """
    yield _header()
    start = len(_header())
    for frame in _of_one_size(frames):
        message = _message(frame)
        people = frame["person"]
        parts.append(Part(people[0], people[-1], len(people), start, len(message), crc32(message)))
        start += len(message)
        yield message
    yield _END


def _digested(texts: pl.Series, digests_of: Callable[[Sequence[bytes | None]], Sequence[bytes | None]]) -> pl.Series:
    """Return what *digests_of* returns of *texts*, a part of them at a time: objects of Python take more room."""
    begins = range(0, len(texts) or 1, _TEXTS_AT_ONCE)
    parts = (texts[begin : begin + _TEXTS_AT_ONCE].cast(pl.Binary).to_list() for begin in begins)
    return pl.concat(pl.Series(digests_of(part), dtype=pl.Binary) for part in parts)


def _find(asked: pl.Series, layers: Callable[[pl.Series], Iterable[Iterable[pl.DataFrame]]]) -> pl.DataFrame:
    """Return head and tail for each of *asked*, in its order."""
    rows = pl.DataFrame({"person": asked}).with_row_index("row").sort("person", nulls_last=True)
    people = rows["person"].drop_nulls().set_sorted()
    found = _ENDS.clear(len(people))
    for layer in layers(people):
        matched = _matched(people, layer)
        found = pl.DataFrame({name: matched[name].zip_with(matched["is_there"], found[name]) for name in _ENDS.columns})
    return pl.concat([found, _ENDS.clear(rows.height - len(people))]).insert_column(0, rows["row"]).sort("row")


def _matched(people: pl.Series, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return for each of *people*, who are sorted, whether one of *frames* has them (`is_there`), head and tail."""
    found, done = list[pl.DataFrame](), 0
    for frame in frames:
        begin = people.search_sorted(frame["person"][0], "left")
        end = people.search_sorted(frame["person"][-1], "right")
        found.append(_missing(begin - done))
        asked = people[begin:end]
        places = frame["person"].search_sorted(asked, "left")
        there = frame[places]
        found.append(there.select((pl.col("person") == asked).alias("is_there"), *_ENDS.columns))
        done = end
    found.append(_missing(len(people) - done))
    return pl.concat(found)


def _missing(count: int) -> pl.DataFrame:
    return _ENDS.clear(count).select(pl.lit(value=False).alias("is_there"), *_ENDS.columns)


def _split(bodies: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the heads and the tails of *bodies* (digests of 12 bytes, or null)."""
    head, tail = bodies.bin.slice(0, HEAD_BYTES), bodies.bin.slice(HEAD_BYTES, TAIL_BYTES)
    return (
        head.bin.reinterpret(dtype=pl.UInt64, endianness="little"),
        tail.bin.reinterpret(dtype=pl.UInt32, endianness="little"),
    )


def _cut(
    frame: pl.DataFrame | None, bound: int, following: Iterator[pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Return the people of *frame* up to *bound*, and those behind it, which are the next frame where none is left."""
    if frame is None:
        return pl.DataFrame(schema=_SCHEMA), None
    end = int(frame["person"].search_sorted(bound, "right"))
    return frame[:end], frame[end:] if end < frame.height else next(following, None)


def _of_one_size(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the rows of *frames* in frames of one part each."""
    waiting = pl.DataFrame(schema=_SCHEMA)
    for frame in frames:
        waiting = pl.concat([waiting, frame])
        while waiting.height >= PEOPLE_OF_PART:
            yield waiting[:PEOPLE_OF_PART].rechunk()
            waiting = waiting[PEOPLE_OF_PART:]
    if waiting.height:
        yield waiting.rechunk()


def _message(frame: pl.DataFrame) -> bytes:
    """Return the Arrow message of *frame*; raises StorageError if its columns are not where a look-up expects them."""
    written = frame.write_ipc_stream(None).getvalue()
    message = written[len(_header()) : -len(_END)]
    columns = Columns.of(message, frame.height)
    good = written == b"".join((_header(), message, _END)) and columns.end == len(message)
    good = good and all(_row(message, columns, at) == frame.row(at) for at in (0, frame.height // 2, frame.height - 1))
    if not good or not pl.read_ipc_stream(BytesIO(written)).equals(frame):
        raise StorageError("This version of polars writes Arrow in another way than the digest store reads it.")
    return message


def _row(message: bytes, columns: Columns, at: int) -> tuple[int, int, int]:
    (person,) = struct.unpack_from("q", message, columns.people + at * PERSON_BYTES)
    (head,) = struct.unpack_from("Q", message, columns.heads + at * HEAD_BYTES)
    (tail,) = struct.unpack_from("I", message, columns.tails + at * TAIL_BYTES)
    return person, head, tail


def _frames(digests: SortedDigests, places: Iterable[int]) -> Iterator[pl.DataFrame]:
    """Yield the frames of the parts of *digests* at *places*."""
    begin = len(_header())
    # All parts are read into the same memory: to allocate some megabytes for each takes longer than to read them.
    room = bytearray(begin + max((part.length for part in digests.parts), default=0) + len(_END))
    room[:begin] = _header()
    for at in places:
        end = begin + digests.parts[at].length
        stream = memoryview(room)[: end + len(_END)]
        digests.read_message(at, stream[begin:end])
        stream[end:] = _END
        # BytesIO copies it, so the frame stays as it is.
        yield pl.read_ipc_stream(BytesIO(stream))


@cache
def _header() -> bytes:
    """Return the first message of the stream, which is its schema."""
    written = pl.DataFrame(schema=_SCHEMA).write_ipc_stream(None).getvalue()
    length = 8 + int.from_bytes(written[4:8], "little")
    return written[:length]
