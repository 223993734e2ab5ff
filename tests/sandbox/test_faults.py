import pytest

from uploader.sandbox import FAULT_KINDS, Fault
from uploader.sandbox.fault_schedule import FaultSchedule
from uploader.sandbox.request_body import ParsedBody

ANYBODY = ParsedBody({"external_id": "1"}, {"vip": True})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("code=50000", Fault("code", code="50000")),
        ("http=503", Fault("http", status=503)),
        ("http=500:20000", Fault("http", status=500, code="20000")),
        ("limit", Fault("limit")),
        ("limit=429", Fault("limit", status=429)),
        ("limit=40401", Fault("limit", code="40401")),
        ("latency=500ms", Fault("latency", seconds=0.5)),
        ("latency=1.5s", Fault("latency", seconds=1.5)),
        ("latency=2m", Fault("latency", seconds=120.0)),
        ("redirect", Fault("redirect", status=302, url="http://127.0.0.1:1/")),
        ("redirect=http://127.0.0.1:9/x", Fault("redirect", status=302, url="http://127.0.0.1:9/x")),
        ("redirect=301:http://127.0.0.1:9/", Fault("redirect", status=301, url="http://127.0.0.1:9/")),
        ("retry-after=7", Fault("retry-after", status=429, seconds=7.0)),
        ("unasked=20ms", Fault("unasked", seconds=0.02)),
        ("unasked=1s:408", Fault("unasked", seconds=1.0, status=408)),
        (" hang for 12.5% ", Fault("hang", share=0.125)),
        ("close for 100%", Fault("close")),
        ("cut for email=a=b@x times 3 after 2", Fault("cut", field="email", value="a=b@x", times=3, after=2)),
        (
            "cut for df_name=Kim Minsu after 1 times 2",
            Fault("cut", field="df_name", value="Kim Minsu", times=2, after=1),
        ),
        ("drip for email=", Fault("drip", field="email", value="")),
        ("html from 500ms until 1m", Fault("html", begins=0.5, ends=60.0)),
        ("hang for 5% until 2.5s after 3", Fault("hang", share=0.05, after=3, ends=2.5)),
    ],
)
def test_a_fault_is_read_as_it_is_written(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize("kind", [name for name in FAULT_KINDS if FAULT_KINDS[name].pattern == ""])
def test_a_kind_without_an_argument_is_read_by_its_name(kind: str) -> None:
    assert Fault.parse(kind) == Fault(kind)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "fault '' is not of the form KIND[=ARG] [for SHARE%|for FIELD=VALUE] [times N] [after N] [from TIME] "),
        ("hang often", "fault 'hang often' is not of the form KIND[=ARG]"),
        ("explode", "there is no 'explode'; choose from code, http, limit"),
        ("hang=3", "'hang' is written hang"),
        ("code", "'code' is written code=CODE"),
        ("http=999", "'http' is written http=STATUS[:CODE]"),
        ("latency=fast", "'latency' is written latency=TIME"),
        ("limit=500", "'limit' is written limit[=429|40401]"),
        ("hang for 0%", "0% is not above 0% and up to 100%"),
        ("hang for 101%", "101% is not above 0% and up to 100%"),
        ("hang for someone", "'for someone' is neither 'for SHARE%' nor 'for FIELD=VALUE'"),
        ("hang for =x", "'for =x' is neither"),
        ("hang times x", "'times' wants a whole number, found 'x'"),
        ("hang times 1 times 2", "'times' is there twice"),
        ("hang from 5", "'from' wants a time such as 500ms, 5s or 1m, found '5'"),
        ("hang from 5s from 6s", "'from' is there twice"),
        ("hang from 5s until 5s", "it would end before it begins"),
    ],
)
def test_a_wrong_fault_says_what_would_be_right(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="fault") as caught:
        Fault.parse(text)

    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"), [("code=50000", "code=50000"), ("http=503", "http=503"), ("hang times 2", "hang")]
)
def test_a_fault_is_recorded_under_its_kind_and_what_it_plays(text: str, name: str) -> None:
    assert str(Fault.parse(text)) == name


def test_a_fault_leaves_out_the_first_and_ends_after_its_times() -> None:
    fault = Fault.parse("hang times 2 after 1")
    deck = FaultSchedule((fault,), seed=0)

    dealt = [deck.next_fault(ANYBODY) for _ in range(5)]

    assert dealt == [None, fault, fault, None, None]


def test_a_fault_plays_only_in_its_time() -> None:
    fault = Fault.parse("hang from 5s until 65s")
    deck = FaultSchedule((fault,), seed=0)

    dealt = [deck.next_fault(ANYBODY, elapsed=elapsed) for elapsed in (0.0, 4.999, 5.0, 64.999, 65.0, 200.0)]

    assert dealt == [None, None, fault, fault, None, None]


def test_every_fault_counts_the_requests_that_another_fault_takes() -> None:
    first, second = Fault.parse("hang times 1"), Fault.parse("cut times 1 after 1")
    deck = FaultSchedule((first, second), seed=0)

    dealt = [deck.next_fault(ANYBODY) for _ in range(3)]

    assert dealt == [first, second, None]


@pytest.mark.parametrize(
    ("target", "meets"),
    [
        ("external_id=1", True),
        ("external_id=2", False),
        ("email=1", False),
        ("vip=true", True),
        ("vip=True", False),
        ("email=null", False),
    ],
)
def test_a_fault_meets_only_those_it_is_for(target: str, *, meets: bool) -> None:
    deck = FaultSchedule((Fault.parse(f"hang for {target}"),), seed=0)

    assert (deck.next_fault(ANYBODY) is not None) is meets


def test_a_share_is_about_that_share_and_the_same_for_the_same_seed() -> None:
    faults = (Fault.parse("hang for 30%"),)
    one, again, other = FaultSchedule(faults, seed=1), FaultSchedule(faults, seed=1), FaultSchedule(faults, seed=2)

    dealt = [one.next_fault(ANYBODY) for _ in range(2_000)]

    assert 500 < sum(fault is not None for fault in dealt) < 700
    assert dealt == [again.next_fault(ANYBODY) for _ in range(2_000)]
    assert dealt != [other.next_fault(ANYBODY) for _ in range(2_000)]
