"""Where a run is reported is read strictly, and from a wrong configuration as far as it can be."""

from pathlib import Path

import pytest

from tests.make import Load
from uploader.config.error_messages import UnfitValueError
from uploader.config.notify_settings import endpoint_url, readable_log_format, readable_notify, readable_path
from uploader.config.report_settings import ReportSettings
from uploader.config.secret_masking import known_secrets, written_out
from uploader.config.yaml_document import Tree
from uploader.errors import ConfigError

SECRET = "services/canary-4711"
HOOK = f"https://monitor.example/{SECRET}"


@pytest.mark.parametrize(
    "url", [HOOK, "https://monitor.example:8443/x?key=1", "http://127.0.0.1:8000/ping/1", "http://localhost/x"]
)
def test_an_address_is_taken_as_it_stands(url: str) -> None:
    assert endpoint_url(url) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("monitor.example/x", "is not a URL that starts with https:// and a host"),
        ("ftp://monitor.example/x", "is not a URL that starts with https:// and a host"),
        ("https://", "is not a URL that starts with https:// and a host"),
        ("https://monitor.example:0/x", "is not a URL that starts with https:// and a host"),
        ("https://[::1/x", "is not a URL"),
        ("https://monitor.example:x/", "is not a URL"),
        ("https://monitor.example/a b", "is not a URL"),
        ("https://모니터.example/x", "is not a URL"),
        ("https://user:pass@monitor.example/x", "has a user name or a # in it"),
        ("https://monitor.example/x#y", "has a user name or a # in it"),
        ("http://monitor.example/x", "would be sent unencrypted"),
        (["https://monitor.example"], "is not a URL"),
    ],
)
def test_an_address_that_is_none_is_refused_and_not_quoted(url: object, words: str) -> None:
    with pytest.raises(UnfitValueError) as refused:
        endpoint_url(url)

    assert str(refused.value).startswith(words)
    assert url == "https://" or str(url) not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "on: [sucess]",
            "notify.on[0]: 'sucess' is not one of failure, rejected, success, started; did you mean success?",
        ),
        ("on: failure", "notify.on: 'failure' is not a list; write it in brackets, for example [a, b]"),
        ("hook: x", "notify.hook is not a key; the keys of notify are: on, url, ping"),
    ],
)
def test_what_is_wrong_is_named(loaded: Load, least: str, line: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(f"{least}notify: {{{line}}}\n")

    assert words in str(refused.value)


def test_of_a_wrong_section_the_rest_is_read() -> None:
    parts: dict[str, Tree] = {"notify": {"on": ["nonsense"], "url": HOOK, "ping": "ftp://x", "more": "1"}}

    found = readable_notify(parts)

    assert (found.on, found.url, found.ping) == (("failure", "rejected"), HOOK, None)


@pytest.mark.parametrize("section", [None, "text", ["list"], {}])
def test_a_section_that_is_none_reports_nothing(section: Tree) -> None:
    found = readable_notify({"notify": section})

    assert (found.url, found.ping) == (None, None)


def test_a_path_is_relative_to_the_folder_of_the_configuration() -> None:
    parts: dict[str, Tree] = {"metrics": {"textfile": "a.prom", "other": "~/x"}}

    assert readable_path(parts, "metrics", "textfile", Path("/srv")) == Path("/srv/a.prom")
    assert readable_path(parts, "metrics", "other", Path("/srv")) is None
    assert readable_path(parts, "metrics", "missing", Path("/srv")) is None


@pytest.mark.parametrize(("value", "style"), [("json", "json"), ("plain", "plain"), ("text", "text"), ("x", "text")])
def test_a_log_format_that_is_none_is_text(value: str, style: str) -> None:
    assert readable_log_format({"log_format": value}) == style


def test_a_readable_configuration_is_read_alike_by_both_ways(loaded: Load, least: str, tmp_path: Path) -> None:
    text = f"{least}notify: {{url: '{HOOK}'}}\nmetrics: {{textfile: a.prom}}\n"
    settings = loaded(text)

    found = ReportSettings.readable(tmp_path / "config.yaml", environ={})

    assert found == ReportSettings.of(settings)


def test_a_wrong_proxy_of_the_environment_leaves_the_direct_way(loaded: Load, least: str) -> None:
    where = ReportSettings.of(loaded(f"{least}notify: {{url: '{HOOK}'}}\n"))

    direct, through = where.webhook({"https_proxy": "socks5://x"}), where.webhook({"https_proxy": "proxy.example:3128"})

    assert direct is not None
    assert through is not None
    assert through.proxy is not None
    assert (direct.proxy, through.proxy.url) == (None, "http://proxy.example:3128")


def test_the_path_of_an_address_is_a_secret() -> None:
    tree: dict[str, Tree] = {"notify": {"url": HOOK, "ping": "https://monitor.example/"}}

    assert known_secrets(tree, {}) == (SECRET,)
    assert [*written_out(tree)] == [("notify", "url")]


@pytest.mark.parametrize("url", ["https://monitor.example", "https://monitor.example/x/${KEY}", "${HOOK}"])
def test_an_address_whose_secret_is_a_variable_is_not_written_out(url: str) -> None:
    assert [*written_out({"notify": {"url": url}})] == []


def test_an_address_is_not_taken_on_the_command_line(loaded: Load, least: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(least, f"notify.url={HOOK}")

    assert "--set notify.url would show a secret address to anyone who lists processes" in str(refused.value)
    assert SECRET not in str(refused.value)
