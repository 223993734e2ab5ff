"""`uploader sandbox`: its words become the rules of a server, which reports what arrived."""

import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import sys
from copy import copy
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.command import Type
from uploader.cli.sandbox import sandbox
from uploader.sandbox import Fault
from uploader.sandbox.property_types import KINDS


def parsed(*words: str) -> dict[str, object]:
    """Return what the command takes *words* for, without what holds if nothing is said."""
    return {name: value for name, value in _values(*words).items() if value != _values()[name]}


def _values(*words: str) -> dict[str, object]:
    # A command keeps the help option of the first context that it is asked in.
    return copy(sandbox).make_context("sandbox", list(words)).params


def test_nothing_said_is_the_service_as_it_is_documented() -> None:
    assert _values() == {
        "port": 8080,
        "limit": (10_000, 60.0),
        "anchor": 0.0,
        "limit_reply": "429",
        "latency": 0.0,
        "faults": (),
        "token": None,
        "service_id": None,
        "registered": None,
        "spelling": "both",
        "unit": "s",
        "clock_skew": 0.0,
        "certificate": None,
        "store": None,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--limit", "1000/10s"], {"limit": (1000, 10.0)}),
        (["--limit", "5/0.5s"], {"limit": (5, 0.5)}),
        (["--limit", "0/1h"], {"limit": (0, 3600.0)}),
        (["--limit", "7/200ms"], {"limit": (7, 0.2)}),
        (["--anchor", "first"], {"anchor": None}),
        (["--anchor", "-2.5"], {"anchor": -2.5}),
        (["--latency", "20ms"], {"latency": 0.02}),
        (["--register", "age:long", "--register", "name"], {"registered": {"age": "long", "name": None}}),
        (["--register", "tags:array<string>"], {"registered": {"tags": "array<string>"}}),
        (["--clock-skew", "-90"], {"clock_skew": -90.0}),
        (
            ["--fault", "code=50000 for 1%", "--fault", "hang times 2"],
            {"faults": (Fault("code", code="50000", share=0.01), Fault("hang", times=2))},
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_become_rules(words: list[str], values: dict[str, object]) -> None:
    assert parsed(*words) == values


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--limit", "1000"], "'--limit': '1000' is not a limit; write 10000/1m or 1000/10s."),
        (["--limit", "x/10s"], "'--limit': 'x/10s' is not a limit; write 10000/1m or 1000/10s."),
        (["--limit", "-1/10s"], "'--limit': '-1/10s' is not a limit; write 10000/1m or 1000/10s."),
        (["--limit", "1000/10"], "'--limit': '10' is not a duration; write 20ms, 2s or 1m."),
        (["--limit", "5/0s"], "'--limit': '5/0s' has a window of no length; write 10000/1m or 1000/10s."),
        (["--latency", "9"], "'--latency': '9' is not a duration; write 20ms, 2s or 1m."),
        (["--latency", f"{'9' * 400}h"], f"'--latency': '{'9' * 400}h' is not a duration; write 20ms, 2s or 1m."),
        (["--anchor", "soon"], "'--anchor': 'soon' is neither 'first' nor seconds."),
        (["--anchor", "nan"], "'--anchor': 'nan' is neither 'first' nor seconds."),
        (["--anchor=-inf"], "'--anchor': '-inf' is neither 'first' nor seconds."),
        (["--clock-skew", "inf"], "'--clock-skew': 'inf' is not a number of seconds, a century at most."),
        (["--clock-skew", "1e12"], "'--clock-skew': '1e12' is not a number of seconds, a century at most."),
        (["--register", ":long"], "'--register': a property without a name; write NAME or NAME:TYPE."),
        (
            ["--register", "age:int"],
            f"'--register': 'int' is not a type; choose from {', '.join(KINDS)}.",
        ),
        (["--fault", "http"], "'--fault': fault 'http': 'http' is written http=STATUS[:CODE]"),
        (["--certificate", "nobody.pem"], "'--certificate': File 'nobody.pem' does not exist."),
        (["--port", "70000"], "'--port': 70000 is not in the range 0<=x<=65535."),
        (["--unit", "min"], "'--unit': 'min' is not one of 's', 'ms'."),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_word_that_cannot_be_a_rule_is_2_and_says_why(typed: Type, words: list[str], why: str) -> None:
    ended = typed("sandbox", "--port", "0", *words)

    assert (ended.status, ended.out, ended.err[-1]) == (2, [], f"Error: Invalid value for {why}")


def test_a_certificate_that_is_none_is_2(typed: Type, folder: Path) -> None:
    (folder / "my.pem").write_text("no certificate", encoding="utf-8")

    ended = typed("sandbox", "--port", "0", "--certificate", "my.pem")

    assert (ended.status, ended.out, ended.err) == (
        2,
        [],
        ["The --certificate of the sandbox holds no key with its certificate, both as PEM."],
    )


def test_a_port_that_is_taken_is_2(typed: Type) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        ended = typed("sandbox", "--port", str(port))

    assert (ended.status, ended.out, ended.err) == (
        2,
        [],
        [f"The sandbox can't serve port {port}: Address already in use. Name another --port."],
    )


def post(url: str, identity: str) -> str:
    """Send one profile to the sandbox at *url*, and return the code of its reply."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    body = {
        "identity": {"external_id": identity},
        "user_properties": {"age": 3},
        "request_datetime": "2024-01-01T00:00Z",
    }
    try:
        connection.request(
            "POST",
            "/api/v1/user-profile?service_id=svc",
            json.dumps(body),
            {"Content-Type": "application/json", "access_token": "right"},
        )
        return str(json.loads(connection.getresponse().read())["code"])
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_sandbox_serves_by_its_rules_until_it_is_told_to_stop_and_then_reports(
    folder: Path, number: signal.Signals
) -> None:
    rules = ["--limit", "3/24h", "--limit-reply", "40401", "--token", "right", "--fault", "code=50000 times 1"]
    words = ["sandbox", "--port", "0", *rules, "--register", "age:string", "--store", "kept.db"]
    with subprocess.Popen(
        [sys.executable, "-m", "uploader", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        assert process.stderr is not None
        greeting = process.stderr.readline()
        url = greeting.split()[3]

        codes = [post(url, identity) for identity in ("1", "1", "2", "3")]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

    assert greeting == f"The sandbox serves {url} until interrupted (Ctrl-C).\n"
    assert codes == ["50000", "20000", "20000", "40401"]
    assert (process.returncode, out) == (0, "")
    lines = err.splitlines()
    assert [line for line in lines if not line.startswith("window ")] == [
        "requests   4 received, 2 applied, 1 over the limit",
        "profiles   2",
        "reply      2 x 20000",
        "reply      1 x 40401",
        "reply      1 x 50000",
        "NOT STORED 2 x age: wanted string, found long",
    ]
    with sqlite3.connect(folder / "kept.db") as store:
        tables = store.execute("SELECT count(*) FROM sqlite_master").fetchone()
    store.close()
    assert tables[0] > 0
