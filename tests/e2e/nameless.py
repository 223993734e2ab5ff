"""Run the command on a machine whose name service goes away as long as a file is there."""

import os
import socket
import sys
from pathlib import Path
from ssl import SSLContext
from unittest.mock import patch

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from uploader.cli import main

outage_lasts = Path(sys.argv.pop(1)).exists


class Resolver(aiohttp.ThreadedResolver):
    """Finds nothing during the outage."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if outage_lasts():
            raise OSError(socket.EAI_AGAIN, os.strerror(socket.EAI_AGAIN))
        return await super().resolve(host, port, family)


class Connector(aiohttp.TCPConnector):
    """Asks for the name for every request: no connection is kept, and no answer."""

    def __init__(self, *, limit: int, ttl_dns_cache: int, resolver: AbstractResolver, ssl: SSLContext | bool) -> None:
        assert ttl_dns_cache
        assert isinstance(resolver, AbstractResolver)
        super().__init__(limit=limit, resolver=Resolver(), use_dns_cache=False, force_close=True, ssl=ssl)


if __name__ == "__main__":
    with patch("aiohttp.TCPConnector", Connector):
        main()
