"""Import zstd: from the standard library since Python 3.14, else from the package backports.zstd."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["ZstdError", "new_decompressor", "zstd"]

ZstdError = zstd.ZstdError


def new_decompressor(window_log: int) -> zstd.ZstdDecompressor:
    """Return a decompressor of one frame that uses at most 2 to the power of *window_log* bytes of memory."""
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})
