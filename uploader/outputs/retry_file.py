"""Write the rows that must be sent again to a file that is itself a source."""

import codecs
import errno
import glob
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, Self

from uploader.errors import StorageError
from uploader.model import Record, RetryOf
from uploader.outputs.retry_format import RetryFormat, RetryRemark, encodable, header, origin_of, spell
from uploader.outputs.shorten_file_names import MOST_BYTES, fitting
from uploader.private_files import open_private, private_folder

__all__ = ["RetryFile", "RetryFormat", "RetryRemark"]

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_MODE: Final = 0o600
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""What the system says where this user may not write, or nobody may."""

_ROOM: Final = len("..12345678.new") + 8
"""How many bytes of a name are reserved for the prefix and suffixes of the files beside it."""


class RetryFile:
    """The retry file of a source, made with its first row: `people.retry.csv`, else `people.retry.2.csv` and so on.

    It never overwrites another file. Every row is written at once, whole or not at all. The mode is 0600, since it
    holds data of the source. When a run is resumed, the file is rebuilt from the rows that the journal lists
    (`rebuild`), and replaces the one from before (`put_in_place`): so each row is in it once, and whole.

    Where the folder of its path can't be written by this user, it lies at *otherwise*, if there is such a path.

    States: without a file, until the first row; rebuilding, in a new file beside the one from before; and appending, to
    the file at *path*.
    """

    def __init__(self, wanted: Path, retry_format: RetryFormat, *, otherwise: Path | None = None) -> None:
        """Use the path *wanted* (else *otherwise*), or the next free one; nothing is made yet."""
        self._wanted = wanted
        self._otherwise = None if otherwise == wanted else otherwise
        self._format = retry_format
        self._file: BinaryIO | None = None
        self._size = 0
        self._made: list[Path] = []
        self._beside: Path | None = None
        self._on_path: Callable[[Path], None] = lambda _: None
        self._encoder = codecs.getincrementalencoder(retry_format.encoding)()
        self.path: Path | None = None
        self.is_dirty = False
        self._is_new = True

    def __enter__(self) -> Self:
        """Test that the file can be made here; the test leaves nothing behind.

        Raises:
            StorageError: it can't be made.
        """
        try:
            self._try_to_make()
        except OSError as error:
            if self._otherwise is None or error.errno not in _FORBIDDEN:
                raise self._no_file(error) from None
            private_folder(self._otherwise.parent)
            self._wanted = self._otherwise
            try:
                self._try_to_make()
            except OSError as trouble:
                raise self._no_file(trouble) from None
        return self

    @property
    def folder(self) -> Path:
        """The folder in which the file is made."""
        return self._wanted.parent

    @property
    def is_elsewhere(self) -> bool:
        """Whether it lies at *otherwise*, since the folder of the wanted path can't be written."""
        return self._otherwise is not None and self._wanted == self._otherwise

    def _try_to_make(self) -> None:
        """Test that the file can be made, and leave nothing behind; raises OSError."""
        trial = self._wanted.with_name(f".{_hidden(self._wanted)}.{os.getpid()}.try")
        try:
            self._made = [folder for folder in trial.parents if not folder.exists()]
            if self._made:
                trial.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
            trial.unlink()
            _clear_away(self._wanted)
        except OSError:
            self._leave_no_empty_folder()
            raise

    def __exit__(self, *_: object) -> None:
        """Close the file, if there is one; a rebuilt one that was not put in place is deleted."""
        self.discard()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._leave_no_empty_folder()

    def set_has_raw(self, *, damaged: bool) -> None:
        """Set, before the first row, whether some record can't be split into fields."""
        self._format = replace(self._format, raw=damaged)

    def set_run(self, run: str) -> None:
        """Set the *run* that the column `_run` names for rows without an origin of their own."""
        self._format = replace(self._format, run=run)

    def origin_of(self, record: Record) -> RetryOf:
        """Return the run and row that the line of *record* names."""
        return origin_of(record, self._format.run)

    def call_before_created(self, on_path: Callable[[Path], None]) -> None:
        """Have *on_path* called with the path before the file is made."""
        self._on_path = on_path

    def write(self, record: Record, remark: RetryRemark) -> None:
        """Append *record* as it was read, with its *remark*.

        Raises:
            StorageError: the disk did not take the whole row; then the file ends with the row before it.
        """
        if self._file is None:
            self._begin()
        self._append(self._spelled(record, remark))

    def rebuild(self, record: Record, remark: RetryRemark) -> None:
        """Write *record* with its *remark* to a new file beside the one from before; raises StorageError."""
        if self._file is None:
            self._beside = self._wanted.with_name(f".{_hidden(self._wanted)}.{os.getpid()}.new")
            self._open(self._beside)
        self._append(self._spelled(record, remark))

    def discard(self) -> None:
        """Delete a rebuilt file that was not put in place."""
        if self._beside is None:
            return
        if self._file is not None:
            self._file.close()
        with suppress(OSError):
            self._beside.unlink()
        self._file = self._beside = None
        self._size = 0

    def put_in_place(self, path: Path | None) -> None:
        """Move the rebuilt file to *path*, where the run had its file before it was resumed (None: it had none).

        Raises:
            StorageError: it can't be moved there.
        """
        try:
            if self._beside is None:
                # The journal lists no row for it, so no row in it was settled.
                if path is not None:
                    path.unlink(missing_ok=True)
                return
            self.sync()
            self.path = path or self._free_place()
            self._beside.replace(self.path)
            self._sync_folder()
        except OSError as error:
            raise self._no_file(error) from None
        self._beside = None

    def sync(self) -> None:
        """Sync the file, so that it survives a power cut; raises StorageError."""
        if self._file is None or not self.is_dirty:
            return
        self.is_dirty = False
        try:
            os.fdatasync(self._file.fileno())
            if self._is_new:
                self._sync_folder()
        except OSError as error:
            raise self._no_file(error) from None

    def _sync_folder(self) -> None:
        """Sync the folder, so that the file's name survives as well."""
        handle = os.open(self._wanted.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        self._is_new = False

    def _begin(self) -> None:
        self.path = self._free_place()
        self._open(self.path)

    def _free_place(self) -> Path:
        """Return the first free path, reserved by an empty file."""
        number = 1
        while True:
            path = self._wanted if number == 1 else self._wanted.with_suffix(f".{number}{self._wanted.suffix}")
            number += 1
            if os.path.lexists(path):
                continue
            self._on_path(path)
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
            except FileExistsError:
                continue
            except OSError as error:
                raise self._no_file(error) from None
            return path

    def _open(self, path: Path) -> None:
        try:
            self._file = os.fdopen(open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb", buffering=0)
        except OSError as error:
            raise self._no_file(error) from None
        self._encoder.reset()
        first = header(self._format)
        if first:
            self._append(first)

    def _append(self, text: str) -> None:
        assert self._file is not None  # noqa: S101 — _open has set it
        data = self._encoded(text)
        try:
            written = self._file.write(data)
        except OSError as error:
            raise self._cut_back(f"can't be extended ({error.strerror})") from None
        if written != len(data):
            raise self._cut_back("could take only a part of a row")
        self._size += written
        self.is_dirty = True

    def _spelled(self, record: Record, remark: RetryRemark) -> str:
        """Return the line of *record*; the encoding of the source may lack characters of the reason."""
        if self._format.format == "csv" and not remark.reason.isascii():
            remark = replace(remark, reason=encodable(remark.reason, self._format.encoding))
        return spell(record, remark, self._format)

    def _encoded(self, text: str) -> bytes:
        before = self._encoder.getstate()
        try:
            return self._encoder.encode(text)
        except UnicodeEncodeError:
            if self._format.format == "csv":
                raise
            # The encoder has switched its character set (ISO-2022) without returning the bytes for that.
            self._encoder.setstate(before)
            # The source wrote these characters as escapes, since its encoding lacks them; so does this file.
            return self._encoder.encode(_NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text))

    def _cut_back(self, why: str) -> StorageError:
        """Truncate the file to its whole rows, or delete it where there are none, and return the error."""
        path = self._beside or self.path
        trouble = StorageError(f"{self.path or self._wanted}: {why}. Free some space there, then run again.")
        assert self._file is not None  # noqa: S101 — something was written to it
        assert path is not None  # noqa: S101 — the same
        with suppress(OSError):
            self._file.seek(self._size)
            self._file.truncate()
            if not self._size:
                self._file.close()
                path.unlink()
                self._file = self.path = self._beside = None
        return trouble

    def _no_file(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._wanted}: can't be written ({error.strerror}). Allow writing there, or name another --retry-file."
        )

    def _leave_no_empty_folder(self) -> None:
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()


def _clear_away(wanted: Path) -> None:
    """Delete the files that dead processes left beside the retry file *wanted*: they hold data of the source."""
    for left in wanted.parent.glob(f".{glob.escape(_hidden(wanted))}.*"):
        process = left.name.removeprefix(f".{_hidden(wanted)}.").removesuffix(".new").removesuffix(".try")
        if process.isdecimal() and not _is_alive(int(process)):
            left.unlink(missing_ok=True)


def _hidden(wanted: Path) -> str:
    """Return the name that the files beside the retry file *wanted* contain: its own, shortened to fit."""
    return fitting(wanted.name, MOST_BYTES - _ROOM)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
