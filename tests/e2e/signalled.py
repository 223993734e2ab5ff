"""Run the command, which gets SIGTERM while it closes the record of its start: `signalled.py TIME MOMENT WORDS…`.

TIME is which of these times it is, from 1 on; MOMENT is `before` the file is closed, or `after`.
"""

import itertools
import os
import signal
import sys
import time
from typing import Final
from unittest.mock import patch

from uploader.cli import main
from uploader.state.history import OpenRecord

CLOSE: Final = OpenRecord._close  # noqa: SLF001 — it is what is stopped
TIMES: Final = itertools.count(1)


def close(handle: int | None) -> None:
    """Close *handle* as ever, and send the signal the wanted time."""
    is_wanted = next(TIMES) == at
    if moment == "after":
        CLOSE(handle)
    if is_wanted:
        os.kill(os.getpid(), signal.SIGTERM)
        # What hears the signals raises here.
        time.sleep(30)
    if moment == "before":
        CLOSE(handle)


if __name__ == "__main__":
    at, moment = int(sys.argv.pop(1)), sys.argv.pop(1)
    with patch.object(OpenRecord, "_close", staticmethod(close)):
        main()
