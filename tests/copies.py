"""Find the files without a name that a process keeps open."""

import stat
from pathlib import Path

_DELETED = " (deleted)"


def nameless_in(folder: Path, process: int | str = "self") -> list[Path]:
    """Return where *process* has files of *folder* open that have no name there any more, or never had one."""
    found = []
    for opened in Path(f"/proc/{process}/fd").iterdir():
        try:
            target = str(opened.readlink())
        except OSError:
            continue
        if target.startswith(f"{folder}/") and target.endswith(_DELETED):
            found.append(opened)
    return found


def mode_of(path: Path) -> int:
    """Return who may read and write the file at *path*."""
    return stat.S_IMODE(path.stat().st_mode)
