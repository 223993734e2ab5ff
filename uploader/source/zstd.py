"""Find the zstd of this Python: its own from 3.14 on, before that the same one as a package."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["ZstdError", "new_decompressor", "zstd"]

ZstdError = zstd.ZstdError


def new_decompressor(window_log: int) -> zstd.ZstdDecompressor:
    """Return what unpacks one frame, in at most 2 to the power of *window_log* bytes of memory."""
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})
