"""Look names up without blocking the end of the process when the name service does not answer."""

import asyncio
import contextlib
import socket
import threading
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_ADDRESSES_OF_USE: Final = socket.AI_ADDRCONFIG & getattr(socket, "AI_MASK", -1)
_NUMERIC_NAMES: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class Resolver(AbstractResolver):
    """Asks the machine's own resolver, each time in a thread that the end of loop and process does not wait for.

    The loop's own way (its executor, or uvloop's pool of threads) delays both until the last answer has come. aiohttp
    caches the answers, and sends one query at a time for each name.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host*; raises OSError."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def answer(addresses: list[ResolveResult] | None, error: OSError | None) -> None:
            if found.done():
                # The wait for it was cancelled.
                return
            if addresses is not None:
                found.set_result(addresses)
            else:
                found.set_exception(error or OSError())

        def ask() -> None:
            addresses, trouble = None, None
            try:
                addresses = _addresses(host, port, family)
            except (OSError, UnicodeError) as error:
                trouble = error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, "not a name")
            # The loop may be closed by now.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(answer, addresses, trouble)

        try:
            threading.Thread(target=ask, name="resolver", daemon=True).start()
        except RuntimeError:
            raise OSError(socket.EAI_AGAIN, "no thread left to look a name up") from None
        return await found

    async def close(self) -> None:
        """Do nothing: pending queries end by themselves."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=_ADDRESSES_OF_USE)
    return [
        ResolveResult(
            hostname=host,
            # The text has the zone of an address, if it has one.
            host=socket.getnameinfo(address, _NUMERIC_NAMES)[0],
            port=port,
            family=kind,
            proto=protocol,
            flags=_NUMERIC,
        )
        for kind, _, protocol, _, address in found
    ]
