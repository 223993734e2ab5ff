import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from uploader.clock import Clock, real_clock
from uploader.model import Json
from uploader.sandbox import (
    Fault,
    Profile,
    ReplyStyle,
    RequestRecord,
    RequestWindow,
    Sandbox,
    SandboxRules,
    WindowCount,
)
from uploader.sandbox.calls import IDENTITIES
from uploader.sandbox.service import IncomingRequest, PlannedReply

NOW = "2024-06-24T06:42:25.394Z"
ANN: dict[str, Json] = {
    "identity": {"external_id": "ann"},
    "user_properties": {"df_name": "Ann"},
    "request_datetime": NOW,
}


@dataclass(slots=True)
class FakeTime:
    now: float = 1_000.0

    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now - 900, real_clock().sleep)


def letter(content: Json = None, *, body: bytes | None = None) -> IncomingRequest:
    return IncomingRequest(
        body if body is not None else json.dumps(content or ANN).encode(), "shop", "secret", "application/json"
    )


def ask(box: Sandbox, what: IncomingRequest | None = None) -> PlannedReply:
    return box.answer(box.arrive(), what or letter())


def reply(act: PlannedReply) -> tuple[int, str]:
    return act.reply.status, act.reply.code


def test_each_call_has_windows_and_bodies_of_its_own() -> None:
    ann: Json = {"identity": {"external_id": "ann"}, "request_datetime": NOW}
    with Sandbox(SandboxRules(limit=1, per=60), clock=FakeTime().clock()) as box:
        profile = ask(box)
        known = box.answer(box.arrive(IDENTITIES), letter(ann))
        over = box.answer(box.arrive(IDENTITIES), letter(ann))
        not_enough = box.answer(box.arrive(), letter(ann))

        assert [reply(act) for act in (profile, known, over, not_enough)] == [
            (200, "20000"),
            (200, "20000"),
            (429, ""),
            (429, ""),
        ]
        assert [(request.call, request.applied) for request in box.requests()] == [
            ("user-profile", True),
            ("identities", True),
            ("identities", False),
            ("user-profile", False),
        ]
        assert box.report().windows == (
            WindowCount(960.0, 2, 1, 1, "user-profile"),
            WindowCount(960.0, 2, 1, 1, "identities"),
        )
        assert box.report().lines()[-1].endswith("1 over the limit of identities")


def test_an_identity_makes_a_person_known_and_keeps_the_properties() -> None:
    both: Json = {"identity": {"external_id": "ann", "email": "ann@x"}, "request_datetime": NOW}
    bob: Json = {"identity": {"external_id": "bob"}, "request_datetime": NOW}
    with Sandbox(SandboxRules(), clock=FakeTime().clock()) as box:
        ask(box)
        for content in (both, bob):
            assert reply(box.answer(box.arrive(IDENTITIES), letter(content))) == (200, "20000")

        assert box.profiles() == [
            Profile({"external_id": "ann", "email": "ann@x"}, {"df_name": "Ann"}),
            Profile({"external_id": "bob"}, {}),
        ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"request_datetime": NOW}, (400, "")),
        ({"identity": {"external_id": "ann"}}, (400, "")),
        ({"identity": {}, "request_datetime": NOW}, (200, "40001")),
        ({"identity": [], "request_datetime": NOW}, (200, "40000")),
        ({"identity": {"external_id": "ann"}, "request_datetime": "now"}, (200, "40001")),
    ],
)
def test_an_identity_that_is_wrong_is_refused(content: Json, expected: tuple[int, str]) -> None:
    with Sandbox(SandboxRules(), clock=FakeTime().clock()) as box:
        assert reply(box.answer(box.arrive(IDENTITIES), letter(content))) == expected
        assert box.profiles() == []


def test_a_store_that_was_made_for_one_call_is_opened(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Sandbox(SandboxRules(), store, FakeTime().clock()) as box:
        ask(box)
    with closing(sqlite3.connect(store)) as database:
        database.execute("ALTER TABLE requests DROP COLUMN call")

    with Sandbox(SandboxRules(), store, FakeTime().clock()) as box:
        assert [request.call for request in box.requests()] == ["user-profile"]
        assert reply(ask(box)) == (200, "20000")


def test_a_right_request_is_stored_and_remembered() -> None:
    time = FakeTime()
    with Sandbox(SandboxRules(limit=5, per=60, token="secret"), clock=time.clock()) as box:
        act = ask(box)

        assert act.reply.body() == {"status": True, "code": "20000", "message": "OK", "data": True}
        assert box.profiles() == [Profile({"external_id": "ann"}, {"df_name": "Ann"})]
        assert box.requests() == [
            RequestRecord(
                seq=1,
                arrived=1_000.0,
                monotonic=100.0,
                window=RequestWindow(16, 960.0, over=False),
                status=200,
                code="20000",
                identity={"external_id": "ann"},
                body=letter().body,
                applied=True,
                fault="",
                token_ok=True,
            )
        ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "")),
        (b"{", (400, "")),
        (b'{"identity": NaN}', (400, "")),
        (b'\xef\xbb\xbf{"identity": {}}', (400, "")),
        (b'{"identity": {"email": "\\ud800"}}', (400, "")),
        (b"[" * 100_000, (400, "")),
        (b'"x"', (400, "")),
        (b"[{}]", (200, "40000")),
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes, expected: tuple[int, str]) -> None:
    with Sandbox(SandboxRules()) as box:
        assert reply(ask(box, letter(body=body))) == expected
        assert box.profiles() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"identity": "ann"}, (400, "")),
        ({"identity": [{"external_id": "ann"}]}, (200, "40000")),
        ({"identity": {}}, (200, "40001")),
        ({"identity": {"external_id": ""}}, (200, "40001")),
        ({"identity": {"external_id": 1}}, (200, "40001")),
        ({"identity": {"external_id": 10**30}}, (200, "40001")),
        ({"identity": {"external_id": "ann", "nickname": "a"}}, (200, "40001")),
        ({"user_properties": None}, (400, "")),
        ({"user_properties": []}, (200, "40000")),
        ({"user_properties": {}}, (200, "20000")),
        ({"user_properties": {"note": "x" * 9_000}}, (200, "40001")),
        ({"request_datetime": 1719397769}, (400, "")),
        ({"request_datetime": "2024-06-24 06:42:25"}, (200, "40001")),
        ({"request_datetime": "2024-06-24T06:42:25+09:00"}, (200, "40001")),
    ],
)
def test_a_part_of_the_wrong_shape_is_refused(change: dict[str, Json], expected: tuple[int, str]) -> None:
    with Sandbox(SandboxRules()) as box:
        assert reply(ask(box, letter({**ANN, **change}))) == expected


@pytest.mark.parametrize("part", ["identity", "user_properties", "request_datetime"])
def test_a_missing_part_is_a_bad_request_that_names_it(part: str) -> None:
    with Sandbox(SandboxRules()) as box:
        act = ask(box, letter({name: value for name, value in ANN.items() if name != part}))

        assert act.reply.body() == {
            "status": False,
            "code": "",
            "message": "Bad Request",
            "data": f"{part} is missing",
        }


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (replace(letter(), service_id=""), (200, "40101")),
        (replace(letter(), service_id="other", token="wrong"), (200, "40101")),
        (replace(letter(body=b"{"), token="wrong"), (200, "40201")),
        (replace(letter(), token=""), (200, "40201")),
        (replace(letter(), content_type="text/plain"), (400, "")),
    ],
)
def test_the_service_is_judged_before_the_token_and_the_token_before_the_body(
    what: IncomingRequest, expected: tuple[int, str]
) -> None:
    with Sandbox(SandboxRules(token="secret", service_id="shop")) as box:
        assert reply(ask(box, what)) == expected
        assert box.profiles() == []


def test_without_rules_any_token_and_service_will_do_but_none_will_not() -> None:
    with Sandbox(SandboxRules()) as box:
        assert reply(ask(box, replace(letter(), service_id="x", token="y"))) == (200, "20000")
        assert reply(ask(box, replace(letter(), token=""))) == (200, "40201")
        assert reply(ask(box, replace(letter(), service_id=""))) == (200, "40101")


@pytest.mark.parametrize(("how", "expected"), [("429", (429, "")), ("40401", (200, "40401"))])
def test_a_wrong_token_counts_and_the_limit_is_judged_before_it(how: str, expected: tuple[int, str]) -> None:
    rules = SandboxRules(limit=1, token="secret", replies=ReplyStyle("429" if how == "429" else "40401"))
    with Sandbox(rules, clock=FakeTime().clock()) as box:
        wrong = replace(letter(), token="wrong")

        assert [reply(ask(box, wrong)), reply(ask(box, wrong))] == [(200, "40201"), expected]
        assert [record.token_ok for record in box.requests()] == [False, False]


def test_nobody_is_accepted_between_the_limit_and_the_reset() -> None:
    time = FakeTime()
    with Sandbox(SandboxRules(limit=2, per=10), clock=time.clock()) as box:
        codes = []
        for time.now in (1_000.0, 1_001.0, 1_002.0, 1_009.75, 1_010.0):
            codes.append(reply(ask(box)))

        assert codes == [(200, "20000"), (200, "20000"), (429, ""), (429, ""), (200, "20000")]
        assert box.report().windows == (WindowCount(1_000.0, 4, 2, 2), WindowCount(1_010.0, 1, 1, 0))


def test_what_another_client_burns_is_missing() -> None:
    with Sandbox(SandboxRules(limit=3), clock=FakeTime().clock()) as box:
        box.use_up(2)

        assert [ask(box).headers["X-Rate-Limit-Remaining"], reply(ask(box))] == ["0", (429, "")]


def test_a_played_limit_locks_everybody_out_until_the_reset() -> None:
    time = FakeTime()
    rules = SandboxRules(limit=9, per=10, faults=(Fault.parse("limit=40401 times 1"),))
    with Sandbox(rules, clock=time.clock()) as box:
        played, later = ask(box), ask(box)
        time.now += 10
        afterwards = ask(box)

        assert [reply(act) for act in (played, later, afterwards)] == [(200, "40401"), (429, ""), (200, "20000")]
        assert played.headers["X-Rate-Limit-Remaining"] == "0"
        assert [(record.window.over, record.fault) for record in box.requests()] == [
            (True, "limit=40401"),
            (True, ""),
            (False, ""),
        ]


def test_a_limit_played_without_a_form_takes_that_of_the_rules() -> None:
    with Sandbox(SandboxRules(replies=ReplyStyle("40401"), faults=(Fault.parse("limit"),))) as box:
        assert reply(ask(box)) == (200, "40401")


@pytest.mark.parametrize(
    ("fault", "shown", "applied"),
    [
        ("code=50000", (200, "50000"), False),
        ("code=20000", (200, "20000"), False),
        ("http=500:20000", (500, "20000"), False),
        ("hang", (0, ""), False),
        ("drop-before", (0, ""), False),
        ("drop-after", (0, ""), True),
        ("garbage", (200, ""), True),
        ("html", (200, ""), False),
        ("redirect", (302, ""), False),
        ("retry-after=1", (429, ""), False),
        ("cut", (200, "20000"), True),
        ("latency=2s", (200, "20000"), True),
    ],
)
def test_what_stands_in_front_applies_nothing_and_what_spoils_the_reply_does(
    fault: str, shown: tuple[int, str], *, applied: bool
) -> None:
    with Sandbox(SandboxRules(faults=(Fault.parse(fault),))) as box:
        ask(box)

        assert [(record.status, record.code, record.applied) for record in box.requests()] == [(*shown, applied)]
        assert len(box.profiles()) == applied


def test_a_fault_is_kept_for_those_within_the_limit() -> None:
    time = FakeTime()
    with Sandbox(
        SandboxRules(limit=1, per=10, faults=(Fault.parse("code=50000 times 1 after 1"),)), clock=time.clock()
    ) as box:
        codes = []
        for time.now in (1_000.0, 1_001.0, 1_010.0):
            codes.append(reply(ask(box)))

        assert codes == [(200, "20000"), (429, ""), (200, "50000")]


def test_latency_of_the_rules_and_of_a_fault_add_up() -> None:
    with Sandbox(SandboxRules(latency=(0.5, 0.5), faults=(Fault.parse("latency=2s times 1"),))) as box:
        assert [ask(box).delay, ask(box).delay] == [2.5, 0.5]


def test_values_that_do_not_fit_are_not_stored_though_the_reply_is_good() -> None:
    rules = SandboxRules(registered={"age": "long", "score": "double", "free": None, "df_name": "long"})
    properties: Json = {
        "df_name": "Ann",
        "df_push_optin": "true",
        "age": True,
        "score": 1,
        "free": [1, 2],
        "unknown": "x",
    }
    with Sandbox(rules) as box:
        replies = [reply(ask(box, letter({**ANN, "user_properties": properties}))) for _ in range(2)]

        assert replies == [(200, "20000")] * 2
        assert box.profiles() == [Profile({"external_id": "ann"}, {"df_name": "Ann", "free": [1, 2]})]
        assert box.report().not_stored == {
            "df_push_optin: wanted boolean, found string": 2,
            "age: wanted long, found boolean": 2,
            "score: wanted double, found long": 2,
            "unknown: not registered": 2,
        }


def test_a_strict_sandbox_refuses_a_request_of_which_it_would_not_store_a_value() -> None:
    rules = SandboxRules(registered={"age": "long"}, refuses_misfits=True)
    sent: tuple[dict[str, Json], ...] = ({"df_name": "Ann", "age": "old"}, {"agee": 1}, {"df_name": "Ann", "age": 7})
    with Sandbox(rules) as box:
        replies = [reply(ask(box, letter({**ANN, "user_properties": properties}))) for properties in sent]

        assert replies == [(200, "40001"), (200, "40001"), (200, "20000")]
        assert box.profiles() == [Profile({"external_id": "ann"}, {"df_name": "Ann", "age": 7})]
        assert box.report().not_stored == {"age: wanted long, found string": 1, "agee: not registered": 1}


def test_a_profile_that_grows_over_the_limit_is_refused() -> None:
    with Sandbox(SandboxRules()) as box:
        replies = [reply(ask(box, letter({**ANN, "user_properties": {name: "x" * 5_000}}))) for name in ("a", "b")]

        assert replies == [(200, "20000"), (200, "40001")]
        assert [set(profile.properties) for profile in box.profiles()] == [{"a"}]


def test_a_refused_request_counts_nothing_as_not_stored() -> None:
    with Sandbox(SandboxRules(registered={})) as box:
        ask(box, replace(letter({**ANN, "user_properties": {"age": 1}}), token=""))

        assert box.report().not_stored == {}


def test_a_lost_request_is_remembered_as_without_reply() -> None:
    with Sandbox(SandboxRules()) as box:
        box.record_lost(box.arrive())

        assert box.report().codes == {"no reply": 1}


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ({"limit": -1}, "limit: -1 is below 0"),
        ({"per": 0.0}, "per: 0.0 is not above 0"),
        ({"latency": (2.0, 1.0)}, "latency: "),
        ({"registered": {"age": "int"}}, "registered: 'int', the type of 'age', is none of string, long"),
    ],
)
def test_rules_that_can_not_hold_are_refused(rules: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.split(":", maxsplit=1)[0]) as caught:
        SandboxRules(**rules)  # type: ignore[arg-type]  # wrong on purpose

    assert complaint in str(caught.value)


def test_the_token_is_in_no_repr() -> None:
    assert "secret" not in repr((SandboxRules(token="secret"), letter()))


def test_the_time_of_a_fault_is_counted_from_the_first_request_on() -> None:
    time = FakeTime()
    with Sandbox(SandboxRules(faults=(Fault.parse("http=503 from 5s until 6s"),)), clock=time.clock()) as box:
        time.now += 100
        statuses = []
        for seconds in (0, 4.9, 0.2, 0.8, 0.2):
            time.now += seconds
            statuses.append(reply(ask(box))[0])

    assert statuses == [200, 200, 503, 503, 200]
