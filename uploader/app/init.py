"""Write a first configuration, guessed from a whole file."""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal, TypeAlias

from uploader.errors import ConfigError, InputError, StorageError, UploaderError
from uploader.inference import (
    SCHEMA_FILE,
    FileProfile,
    MappingGuess,
    SharedValues,
    SourceText,
    guess_identities,
    guess_mapping,
    looks_personal,
    spell,
)
from uploader.model import MAX_JOINED, Record, looks_like_data
from uploader.run.environment import Environment
from uploader.source import Columnar, FileDialect, Source, Suspicion, open_unknown

_MODE: Final = 0o644
_MOST_BYTES: Final = 1 << 20

_MOST_REASONS: Final = 5

_BY_HAND: Final = "see docs/configuration.md for how to write a configuration by hand"


SchemaFile: TypeAlias = Literal["written", "there", "different", "not written"]
"""What became of the schema beside a configuration: a file that is there stays, also if it is *different*."""


@dataclass(frozen=True, slots=True)
class InitResult:
    """The mapping guessed for a source, the format in which it is written, and what looks wrong at its end."""

    guess: MappingGuess
    written: SourceText
    schema_file: SchemaFile
    suspicion: Suspicion | None = None


def init_config(source: str, config: Path, environment: Environment, *, columnar: Columnar = "auto") -> InitResult:
    """Read the whole *source*, guess its mapping, and write it to *config*, which must not exist.

    Its first line names a schema for editors, which is written beside it unless a file of that name is there.
    *columnar* is whether the source is read in batches, which changes nothing but the time that it takes.

    Raises:
        ConfigError: *config* exists, or its folder does not.
        InputError: the source can't be read, or has nothing to send.
        StorageError: *config* can't be written.
    """
    _refuse_existing(config)
    opened, dialect = open_unknown(source, stdin=environment.stdin)
    with opened:
        guess = _guessed(opened, environment.today(), columnar)
    _refuse_empty(source, guess)
    written = _written(source, dialect)
    text = spell(guess, written).encode()
    if len(text) > _MOST_BYTES:
        raise InputError(f"{source} has more columns than a configuration of 1 MiB can hold; {_BY_HAND}.")
    _write(config, text)
    return InitResult(guess, written, _schema_beside(config), opened.suspicion)


def _schema_beside(config: Path) -> SchemaFile:
    """Write the schema that the first line of *config* names, and return what became of it."""
    from uploader.config.schema import schema_text  # noqa: PLC0415 pydantic starts slowly

    path, text = config.with_name(SCHEMA_FILE), schema_text().encode()
    try:
        if os.path.lexists(path):
            return "there" if path.is_file() and path.read_bytes() == text else "different"
        _write(path, text)
    except (UploaderError, OSError):
        # The configuration is written, and means the same without it.
        return "not written"
    return "written"


def _guessed(source: Source, today: date, columnar: Columnar) -> MappingGuess:
    profile = _profiled(source, columnar)
    people = guess_identities(profile)

    if source.is_columnar(columnar):
        from uploader.inference.shared_in_batches import SharedInBatches  # noqa: PLC0415 polars starts slowly

        found = SharedInBatches([each.rule for each in people], MAX_JOINED).find(source.batches)
        return guess_mapping(profile, today=today, people=people, shared=found)

    def records() -> Iterator[Record]:
        with source.read() as reading:
            yield from reading

    shared = SharedValues([each.rule for each in people], MAX_JOINED).find(records)
    return guess_mapping(profile, today=today, people=people, shared=shared)


def _profiled(source: Source, columnar: Columnar) -> FileProfile:
    columns = source.columns or ()
    if any(map(looks_personal, columns)) or (source.format == "csv" and any(map(looks_like_data, columns))):
        # The names may be a person's data, so the message does not show them.
        raise InputError(
            f"{source.name}: its first line looks like a row, not like a header: a cell of it is an e-mail address or "
            "a phone number, or looks like other data. Put a line with the names of the columns above it."
        )
    null_is_empty = source.format == "parquet"
    if source.is_columnar(columnar):
        from uploader.inference.batch_profile import BatchProfile  # noqa: PLC0415 polars starts slowly

        of_batches = BatchProfile(source.columns, source.kinds, null_is_empty=null_is_empty)
        with source.batches() as batches:
            for batch in batches:
                of_batches.add_batch(batch)
        return of_batches
    profile = FileProfile(source.columns, source.kinds, null_is_empty=null_is_empty)
    with source.read() as reading:
        for record in reading:
            profile.add_record(record)
    return profile


def _refuse_empty(source: str, guess: MappingGuess) -> None:
    if not guess.identities:
        raise InputError(
            f"{source}: no column says whose row it is: none is called like an identity, looks like e-mail addresses "
            "or phone numbers, or is filled and different in nearly every row. Add one with a telling name, "
            f"such as user_id; {_BY_HAND}."
        )
    if not guess.properties:
        reasons = "; ".join(f"'{left.column}': {left.why}" for left in guess.omissions[:_MOST_REASONS])
        left_out = f" Left out are {reasons}." if reasons else ""
        raise InputError(
            f"{source}: there is no column to store, besides who a row is about.{left_out} Add one; {_BY_HAND}."
        )


def _written(source: str, dialect: FileDialect) -> SourceText:
    return SourceText(
        source,
        encoding=None if dialect.encoding == "auto" else dialect.encoding,
        delimiter=None if dialect.delimiter == "," else dialect.delimiter,
        format=None if dialect.format == "auto" else dialect.format,
        skip_lines=dialect.skip_lines or None,
    )


def _refuse_existing(config: Path) -> None:
    if os.path.lexists(config):
        raise ConfigError(f"{config} exists, and is never overwritten. Name another one with --config.")
    if not config.parent.is_dir():
        raise ConfigError(f"{config.parent} is no folder. Make it, or name another file with --config.")


def _write(config: Path, text: bytes) -> None:
    """Write *text* to *config* completely or not at all, and never over another file."""
    beside = config.with_name(f".{secrets.token_hex(8)}.new")
    try:
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            _place(beside, config)
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()
    except FileExistsError:
        raise ConfigError(
            f"{config} exists by now, and is never overwritten. Name another one with --config."
        ) from None
    except OSError as error:
        raise StorageError(f"{config} can't be written: {error.strerror}. Name another one with --config.") from error


def _place(beside: Path, config: Path) -> None:
    try:
        # Unlike a rename, a link never replaces another file.
        os.link(beside, config)
    except FileExistsError:
        raise
    except OSError:
        # The file system has no links.
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as file:
            file.write(beside.read_bytes())
