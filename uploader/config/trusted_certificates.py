"""Read the certificate authorities that are trusted instead of those of the system."""

import os
import ssl
import stat
from pathlib import Path

from uploader.errors import ConfigError
from uploader.private_files import open_at_once

_MOST_BYTES = 1 << 24
_PEM = b"-----BEGIN"


def trusting(file: Path) -> ssl.SSLContext:
    """Return an SSL context that trusts only the certificate authorities in *file*: PEM, or one in DER.

    Raises:
        ConfigError: the file can't be read, or holds no certificate.
    """
    written = _read(file)
    try:
        # The text between the certificates is for people, in any encoding.
        context = ssl.create_default_context(cadata=written.decode("ascii", "ignore") if _PEM in written else written)
    except (ssl.SSLError, ValueError):
        raise ConfigError(
            f"api.ca_file: {file} holds no certificate that can be read; write one that begins with "
            "-----BEGIN CERTIFICATE-----"
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _read(file: Path) -> bytes:
    try:
        with open_at_once(file) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise ConfigError(f"api.ca_file: {file} is not a file; name the file of the certificate authority")
            written = opened.read(_MOST_BYTES)
    except FileNotFoundError:
        raise ConfigError(
            f"api.ca_file: {file} does not exist; name the file of the certificate authority, or delete the key"
        ) from None
    except OSError as error:
        raise ConfigError(f"api.ca_file: {file} can't be read ({error.strerror}); let this user read it") from None
    if not written.strip():
        raise ConfigError(f"api.ca_file: {file} is empty; write the certificate of the authority into it")
    return written
