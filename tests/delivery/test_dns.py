"""Names are looked up in threads that hold nobody up."""

import asyncio
import socket
import threading
from typing import NoReturn

import pytest
import uvloop

from uploader.delivery.dns import Resolver


async def test_a_name_is_given_the_addresses_that_the_machine_knows() -> None:
    found = await Resolver().resolve("localhost", 80, socket.AF_INET)

    assert [(one["hostname"], one["host"], one["port"], one["family"]) for one in found] == [
        ("localhost", "127.0.0.1", 80, socket.AF_INET)
    ]


@pytest.mark.parametrize("trouble", [socket.gaierror(socket.EAI_NONAME, "no"), UnicodeError("label too long")])
async def test_a_name_that_is_not_known_is_an_os_error(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise trouble

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(OSError, match="no"):
        await Resolver().resolve("nowhere.invalid")


def test_a_loop_ends_although_an_answer_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        asked.set()
        answer.wait()
        return []

    async def give_up() -> None:
        looking = asyncio.create_task(Resolver().resolve("nowhere.invalid"))
        await asyncio.to_thread(asked.wait)
        looking.cancel()
        await asyncio.wait([looking])

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(give_up())

    # It is over; what comes now finds nobody.
    (thread,) = (one for one in threading.enumerate() if one.name == "resolver")
    assert thread.daemon
    answer.set()
    thread.join()
