"""Hold the flags of `run` and `check` to their promises: what is said, what is written, and what is left alone."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Desk, books_of, names, names_of, plain, rules, sent_ids
from tests.make import repairs
from uploader.sandbox import RunningSandbox

KEYS = [
    *("run_id", "source", "started", "seconds", "read", "sent", "unchanged", "superseded", "rejected", "failed"),
    *("not_attempted", "blank_lines", "repairs", "warnings", "requests", "retries", "limited", "limited_seconds"),
    *("maybe_sent_twice", "requests_per_second", "retry_file", "exit_status"),
    *("ended", "outcome", "error", "job", "sources"),
]


def test_limit_takes_the_first_rows_alone(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(9)
    desk.people(9, "others.csv")

    ended = desk.type("run", "people.csv", "--limit", "4", "--summary", "summary.json")
    checked = desk.type("check", "people.csv", "others.csv", "--limit", "4")

    assert (ended.status, desk.books()) == (0, {"sent": 4})
    assert names(server) == names_of(range(1, 5))
    assert checked.err.splitlines()[::2] == [
        "people.csv: 4 rows, all can be sent.",
        "others.csv: 4 rows, all can be sent.",
    ]


def test_limit_does_not_look_at_what_comes_after(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n1,name1\n2,name2\n" + ",bad\n" * 50)

    ended = desk.type("run", "people.csv", "--limit", "2")

    assert (ended.status, ended.err) == (0, "")
    assert names(server) == names_of([1, 2])


@pytest.mark.parametrize(
    ("fault", "words", "status"),
    [
        ("number-code", (), 0),
        ("number-code", ("--set", "rate.share=2"), 2),
        ("number-code", ("--set", "rate.shaer=50%"), 2),
        ("code=40001 for external_id=2", (), 3),
        ("number-code", ("--set", "mapping.identity.external_id=nowhere"), 4),
        ("code=40201", (), 5),
        ("limit", ("--set", "retry.outage_timeout=10ms"), 6),
    ],
)
def test_the_summary_is_written_whatever_the_status(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str, words: tuple[str, ...], status: int
) -> None:
    desk.configure(sandbox(rules(fault)).url)
    desk.people(3)

    ended = desk.type("run", "people.csv", "--summary", "deep/down/summary.json", *words)

    summary = desk.summary("deep/down/summary.json")
    assert (ended.status, summary["exit_status"], list(summary)) == (status, status, KEYS)
    assert (summary["source"], summary["read"]) == ("people.csv", sum(books_of(summary).values()))
    assert (summary["error"] is None) == (status in {0, 3})


def test_the_summary_replaces_an_older_one_also_for_a_wrong_setting(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(3)
    desk.write("summary.json", "an older one")

    refused = desk.type("run", "people.csv", "--summary", "summary.json", "--set", "rate.share=2")

    assert refused.status == 2
    assert desk.summary()["error"] == refused.err.rstrip("\n")
    assert desk.type("run", "people.csv", "--summary", "summary.json").status == 0
    assert desk.books() == {"sent": 3}


def test_success_without_a_terminal_is_silent(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(3)

    ended = desk.process("run", "people.csv")

    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_verbose_tells_of_a_success(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(3)

    ended = desk.type("run", "people.csv", "-v")

    assert (ended.status, ended.out) == (0, "")
    assert plain(ended.err) == [
        "people.csv: 3 rows, 3 requests in 0 s",
        "  accepted               3",
        "  rejected               0",
        "  failed                 0",
    ]


def test_quiet_tells_of_a_stop_in_one_line(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules("http=404")).url)
    desk.people(3)

    ended = desk.type("run", "people.csv", "-q")

    assert (ended.status, ended.out, ended.err) == (
        5,
        "",
        (
            "Stopped: the server has nothing at this address (HTTP 404). Correct api.base_url. "
            "Then run again to resume: uploader run people.csv\n"
        ),
    )


def test_set_goes_over_the_configuration_and_the_last_one_wins(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure("http://127.0.0.1:1")
    desk.write("people.csv", "id;title\n1;name1\n")

    words = ("source.delimiter=;", "mapping.properties.df_name=nowhere", "mapping.properties.df_name=title")
    url = ("--set", f"api.base_url={server.url}")
    ended = desk.type("run", "people.csv", *url, *(word for text in words for word in ("--set", text)))

    assert (ended.status, ended.err) == (0, "")
    assert names(server) == names_of([1])


def test_the_configuration_may_lie_elsewhere(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    (desk.folder / "etc").mkdir()
    (desk.folder / "config.yaml").rename(desk.folder / "etc/mine.yaml")
    desk.people(3)

    ended = desk.type("run", "people.csv", "--config", "etc/mine.yaml")

    assert ended.status == 0
    assert names(server) == names_of(range(1, 4))


def test_check_tells_everything_and_sends_nothing(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n1,name1\n,name2\n3,name3\n4\n\n5,name5\n")
    monkeypatch.delenv("DFINERY_ACCESS_TOKEN", raising=False)
    desk.environ.clear()
    before = desk.files()

    ended = desk.type("check", "people.csv")

    assert (ended.status, ended.out) == (3, "")
    assert ended.err.splitlines() == [
        "people.csv: 5 rows, 3 can be sent, 2 can't.",
        "  1 blank line is skipped.",
        "  no identity: nothing in 'id': row 2 (line 3)",
        "  the record has 1 field where the header has 2: row 4 (line 5)",
        "  At 5,699,040 requests a minute, sending takes less than a second.",
    ]
    assert server.sandbox.requests() == []
    assert desk.files() == before


def test_check_prints_what_it_found_as_json(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.write("people.csv", "id,name\n1,name1\n,name2\n")
    desk.people(2, "others.csv")

    one = desk.type("check", "people.csv", "--json")
    two = desk.type("check", "people.csv", "others.csv", "--json", "-q")
    wrong = desk.type("check", "nowhere.csv", "--json", "-q")
    usage = desk.type("check", "people.csv", "--json", "--set", "nokey=1")

    facts = json.loads(one.out)
    assert (one.status, facts["read"], facts["exit_status"]) == (3, 2, 3)
    assert one.err.splitlines()[0] == "people.csv: 2 rows, 1 can be sent, 1 can't."
    assert [facts["source"] for facts in json.loads(two.out)] == ["people.csv", "others.csv"]
    assert (two.status, two.err) == (3, "")
    assert (wrong.status, json.loads(wrong.out)["exit_status"]) == (4, 4)
    assert json.loads(wrong.out)["error"] == wrong.last_line
    assert (usage.status, usage.out) == (2, "")


def test_no_value_of_a_row_is_in_what_check_prints(desk: Desk) -> None:
    mapping = "mapping: {identity: {external_id: id, phone_no: phone}, properties: {age: {column: age, type: long}}}\n"
    desk.configure("http://127.0.0.1:1", mapping=mapping)
    desk.write("people.csv", "id,phone,age\ncanary-1,1077778888,1\ncanary-1,7.777E+11,2\ncanary-3,,canary-4\n,,\n")

    ended = desk.type("check", "people.csv", "--json", "-v")

    assert ended.status == 3
    assert not re.search("canary|7777", ended.out + ended.err)


def test_run_tells_what_is_wrong_before_it_sends_if_it_is_asked_to_say_more(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules()).url)
    desk.write("people.csv", "id,name\n1,name1\n,name2\n3,#N/A\n")

    watched = desk.type("run", "people.csv", "-v")
    quiet = desk.type("run", "people.csv", "-v", "-q")
    alone = desk.type("run", "people.csv")

    first = [
        "people.csv: 1 of 3 rows can't be sent.",
        "  no identity: nothing in 'id': row 2 (line 3)",
        "  Warnings, of rows that can be sent all the same:",
        "    column 'name': an error of a spreadsheet, such as #N/A or ####: row 3 (line 4)",
    ]
    assert watched.err.splitlines()[:4] == first
    assert plain(watched.err)[4] == "people.csv: 3 rows, 2 requests in 0 s"
    assert plain(alone.err)[:4] == ["people.csv: 3 rows.", *first[2:], "people.csv: 3 rows, 2 requests in 0 s"]
    assert "#N/A" not in quiet.err


def test_repairs_are_told_at_the_end_and_counted_in_the_summary_once(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    mapping = "mapping: {identity: {external_id: id}, properties: {df_name: {column: name, trim: true}}}\n"
    desk.configure(server.url, mapping=mapping)
    desk.write("people.csv", "id,name\n1, Kim\n\n2,Lee \n3,Cho\n")

    ended = desk.type("run", "people.csv", "-v", "--summary", "summary.json")

    assert names(server) == {"1": "Kim", "2": "Lee", "3": "Cho"}
    assert "  2 values were trimmed (trim: true)." in ended.err.splitlines()
    assert (desk.summary()["repairs"], desk.summary()["blank_lines"]) == (repairs(trimmed=2), 1)


def test_check_names_each_row_when_asked_to(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.write("people.csv", "id,name\n1,name1\n" + ",bad\n" * 5)

    ended = desk.type("check", "people.csv", "-v")

    assert ended.status == 3
    assert ended.err.splitlines()[:5] == [
        f"people.csv: row {number} (line {number + 1}): no identity: nothing in 'id'" for number in range(2, 7)
    ]


def test_check_says_how_long_sending_takes_at_the_configured_rate(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.people(5000)
    rate = ("--set", "rate.requests=100", "--set", "rate.per=1m", "--set", "rate.share=1", "--set", "rate.burst=5")

    ended = desk.type("check", "people.csv", *rate)

    # Ten of the hundred are kept for what is in flight, and two for the burst.
    assert (ended.status, ended.err.splitlines()) == (
        0,
        [
            "people.csv: 5,000 rows, all can be sent.",
            "  At 88 requests a minute, sending takes about 57 min.",
        ],
    )


def test_check_is_silent_when_asked_to_be(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.write("people.csv", "id,name\n1,name1\n,name2\n")

    ended = desk.type("check", "people.csv", "-q")

    assert (ended.status, ended.out, ended.err) == (3, "", "")


def test_check_reads_standard_input(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")

    ended = desk.type("check", "-", stdin=b"id,name\n1,name1\n")

    assert (ended.status, ended.err.splitlines()[0]) == (0, "standard input: 1 row, all can be sent.")


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def throwaway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let temporary folders be made in a place that can be looked at."""
    folder = tmp_path / "throwaway"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_rehearsal_needs_no_credentials_and_touches_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, throwaway: Path
) -> None:
    for name in ("DFINERY_SERVICE_ID", "DFINERY_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    desk.environ.clear()
    desk.configure("https://openapi.dfinery.ai")
    desk.write("people.csv", "id,name\n1,name1\n,name2\n3,name3\n")
    before = _snapshot(desk.folder)

    ended = desk.type("run", "people.csv", "--sandbox")

    (kept,) = throwaway.rglob("people.retry.csv")
    assert (ended.status, ended.out) == (3, "")
    assert _snapshot(desk.folder) == before
    assert str(kept) in ended.err
    assert [row[:2] for row in desk.retry_rows(str(kept))] == [(2, "rejected")]
    told = plain(ended.err)
    assert told[:4] == [
        "people.csv: 3 rows, 2 requests in 0 s",
        "  accepted               2",
        "  rejected               1",
        "  failed                 0",
    ]
    assert "The sandbox's report:" in told
    assert "  requests   2 received, 2 applied, 0 over the limit" in told
    assert told[-1] == "This was a dry run: nothing left this machine."


def test_a_dry_run_takes_the_retry_file_of_a_run_or_of_another_dry_run(
    desk: Desk, sandbox: Callable[..., RunningSandbox], throwaway: Path
) -> None:
    desk.configure(sandbox(rules()).url)
    desk.write("people.csv", "id,name\n1,name1\n,name2\n")
    desk.type("run", "people.csv")
    desk.type("run", "people.csv", "--sandbox")

    for kept in (desk.folder / "people.retry.csv", next(throwaway.rglob("people.retry.csv"))):
        kept.write_text(kept.read_text(encoding="utf-8").replace("\n,name2", "\n2,name2"), encoding="utf-8")
        assert desk.type("run", str(kept), "--sandbox").status == 0


def test_a_rehearsal_enforces_the_limit_of_the_configuration(desk: Desk, throwaway: Path) -> None:
    desk.configure("https://openapi.dfinery.ai")
    desk.people(30)
    limit = ("--set", "rate.requests=20", "--set", "rate.per=500ms", "--set", "rate.share=1")

    ended = desk.type("run", "people.csv", "--sandbox", "-v", "--summary", "summary.json", *limit)

    assert ended.status == 0
    assert desk.books() == {"sent": 30}
    assert "  requests   30 received, 30 applied, 0 over the limit" in ended.err.splitlines()
    assert list(throwaway.rglob("*.retry.csv")) == []


def test_rows_of_one_person_go_in_the_order_of_the_file(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("http=503 for df_name=a3 times 1", latency=(0.0, 0.02)))
    desk.configure(server.url)
    people = [f"{person},{person}{turn}" for turn in range(1, 6) for person in "abcdefgh"]
    desk.write("people.csv", "\n".join(["id,name", *people, ""]))

    ended = desk.type("run", "people.csv")

    assert ended.status == 0
    assert names(server) == {person: f"{person}5" for person in "abcdefgh"}
    applied = [request for request in server.sandbox.requests() if request.applied]
    for person in "abcdefgh":
        bodies = [request.body.decode() for request in applied if request.identity["external_id"] == person]
        assert [f'"{person}{turn}"' in body for turn, body in enumerate(bodies, start=1)] == [True] * 5
    assert len(sent_ids(server)) == 41


@pytest.mark.parametrize("name", ["people.csv", "./people.csv", "config.yaml", "people.retry.csv"])
def test_a_summary_never_takes_the_place_of_another_file_of_the_run(
    desk: Desk, sandbox: Callable[..., RunningSandbox], name: str
) -> None:
    server = sandbox(rules("code=40001 for external_id=2"))
    desk.configure(server.url)
    desk.people(3)
    before = {name: (desk.folder / name).read_bytes() for name in desk.files()}

    run = desk.type("run", "people.csv", "--summary", name)

    assert run.status == 2
    assert {name: (desk.folder / name).read_bytes() for name in desk.files()} == before
    assert server.sandbox.requests() == []


def test_twice_verbose_tells_of_each_retry(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules("code=50000 for external_id=2 times 1")).url)
    desk.people(3)

    run = desk.type("run", "people.csv", "-vv")

    assert "row 2" in run.err


def test_a_header_without_rows_is_told_without_a_terminal(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.write("people.csv", "id,name\n")

    run = desk.type("run", "people.csv")

    assert (run.status, run.err) == (0, "people.csv: no rows, nothing to do.\n")


def test_quiet_tells_that_rows_were_not_accepted(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=1")).url)
    desk.people(3)

    run = desk.type("run", "people.csv", "-q")

    assert run.status == 3
    assert "people.retry.csv" in run.err
