"""No profile is sent before its person is registered, and what the registration says becomes of the row."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import pytest

from tests.make import body
from uploader.changes import DigestStores
from uploader.model import Failed, Outcome, Reason, Rejected, Request, Row, Sent, Unsettled
from uploader.run.registration import RegisterFirst

WHY = Reason("40001", "verification failed (code 40001)")


def kim(number: int = 1, **identity: str) -> Request:
    named = identity or {"external_id": "1", "email": "kim@mail.example"}
    person = tuple(f"{name}={value}" for name, value in named.items())
    return Request(Row(number, {}), person, body(named, {"df_name": "Kim"}))


@dataclass
class Call:
    """One of the two calls of a service, which may be out."""

    answer: Callable[[Request], Awaitable[Outcome | Unsettled]]
    outage: tuple[float, str] | None = None

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        return await self.answer(request)


@dataclass
class Service:
    """Says of each registration what is *told*, and accepts every profile unless told otherwise."""

    told: list[Outcome | Unsettled] = field(default_factory=list)
    profiles_told: list[Outcome | Unsettled] = field(default_factory=list)
    calls: list[tuple[str, object]] = field(default_factory=list)
    registered: list[tuple[int, int]] = field(default_factory=list)

    async def register(self, request: Request) -> Outcome | Unsettled:
        self.calls.append(("identities", orjson.loads(request.body)))
        return self.told.pop(0) if self.told else Sent(request, 2)

    async def send(self, request: Request) -> Outcome | Unsettled:
        self.calls.append(("user-profile", orjson.loads(request.body)))
        return self.profiles_told.pop(0) if self.profiles_told else Sent(request, 1)

    async def deliver(self, folder: Path, *requests: Request) -> list[Outcome | Unsettled]:
        with DigestStores(folder, wall=lambda: 1.0).registered_people("svc") as people:
            first = RegisterFirst(
                people, Call(self.register), Call(self.send), lambda *what: self.registered.append(what)
            )
            return [await first.deliver(request) for request in requests]

    def paths(self) -> list[str]:
        return [path for path, _ in self.calls]


async def test_the_identity_is_registered_before_the_profile_and_with_its_time(tmp_path: Path) -> None:
    service, request = Service(), kim()

    assert await service.deliver(tmp_path, request) == [Sent(request, 1)]

    profile = orjson.loads(request.body)
    assert service.calls == [
        ("identities", {name: profile[name] for name in ("identity", "request_datetime")}),
        ("user-profile", profile),
    ]
    assert service.registered == [(1, 2)]


async def test_a_person_is_registered_once_by_whatever_value_their_rows_name_them(tmp_path: Path) -> None:
    service = Service()
    rows = [kim(1, external_id="1"), kim(2, external_id="1", email="a@x"), kim(3, email="a@x")]

    await service.deliver(tmp_path, *rows)
    await service.deliver(tmp_path, *rows)

    assert service.paths() == ["identities", *["user-profile"] * 6]


async def test_a_value_that_the_service_has_not_accepted_yet_makes_nobody_known(tmp_path: Path) -> None:
    service = Service()
    rows = [kim(1, external_id="1"), kim(2, external_id="1", email="a@x"), kim(3, email="a@x")]
    service.profiles_told = [Sent(rows[0], 1), Failed(rows[1], WHY, 5), Sent(rows[2], 1)]

    await service.deliver(tmp_path, *rows)

    assert service.paths() == ["identities", "user-profile", "user-profile", "identities", "user-profile"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            Rejected(Row(1, {}), kim().person, WHY, 1, unsure=True, message="no such person"),
            Rejected(
                Row(1, {}),
                kim().person,
                Reason("40001", "registering the person: verification failed (code 40001)"),
                1,
                message="no such person",
            ),
        ),
        (
            Failed(kim(), WHY, 5, unsure=True),
            Failed(kim(), Reason("40001", "registering the person: verification failed (code 40001)"), 5),
        ),
        (Unsettled(kim(), 3, unsure=True), Unsettled(kim(), 3)),
    ],
)
async def test_a_registration_that_is_not_accepted_is_the_outcome_of_its_row(
    tmp_path: Path, told: Outcome | Unsettled, expected: Outcome | Unsettled
) -> None:
    service = Service([told])

    found = await service.deliver(tmp_path, kim(), kim(2))

    assert found == [expected, Sent(kim(2), 1)]
    assert service.paths() == ["identities", "identities", "user-profile"]
    assert service.registered == [(2, 2)]


async def test_rows_that_were_merged_are_registered_as_one_person(tmp_path: Path) -> None:
    service = Service()

    await service.deliver(tmp_path, replace(kim(2), merged=(kim(1),)))

    assert service.paths() == ["identities", "user-profile"]


@pytest.mark.parametrize(
    ("register", "send", "out"),
    [
        (None, None, None),
        ((1.0, "no reply"), None, (1.0, "no reply")),
        (None, (2.0, "HTTP 503"), (2.0, "HTTP 503")),
        ((3.0, "no reply"), (2.0, "HTTP 503"), (2.0, "HTTP 503")),
    ],
)
def test_an_outage_of_either_call_is_one_since_the_first_of_them(
    tmp_path: Path, register: tuple[float, str] | None, send: tuple[float, str] | None, out: tuple[float, str] | None
) -> None:
    service = Service()
    with DigestStores(tmp_path, wall=lambda: 1.0).registered_people("svc") as people:
        calls = Call(service.register, register), Call(service.send, send)

        assert RegisterFirst(people, *calls, lambda *_: None).outage == out
