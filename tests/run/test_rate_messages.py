"""What people are told of the pace, word for word."""

import re

import pytest

from uploader.rate import Lowered, Paused, Stalled
from uploader.rate.events import Notice
from uploader.run.rate_messages import message_of

TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2} "


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        (Paused(43.0, "limit"), rf"The service throttles this run: sending pauses for 43 s, until ({DAY})?{TIME}\."),
        (
            Paused(90_000.0, "another run"),
            rf"Another run was throttled: sending pauses for 25 h 0 min, until {DAY}{TIME}\.",
        ),
        (
            Paused(240.0, "window"),
            r"This run's part of the service's window is used up: sending pauses for 4 min, until .*\.",
        ),
        (Paused(240.0, "pace"), r"The limit in rate\.requests allows no more: sending pauses for 4 min, until .*\."),
        (
            Stalled(),
            r"Another run of this machine is suspended .* Continue the other process \(kill -CONT\), or end it\.",
        ),
        (
            Lowered(500),
            (
                r"The service took about 500 requests in 60 s before it refused more, and rate\.requests says 1,000: "
                r"this run sends more slowly\. Correct rate\.requests\."
            ),
        ),
    ],
)
def test_a_notice_says_what_happens_and_until_when(notice: Notice, words: str) -> None:
    assert re.fullmatch(words, message_of(notice, configured=1_000, per=60.0, now=1.7e9))
