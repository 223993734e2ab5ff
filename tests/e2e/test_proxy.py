"""Run through a real proxy to a service that only it leads to, whose certificate no system knows."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.command import SERVICE, TOKEN, Desk, Ended, names, names_of, rules
from tests.fakes import HOST, Proxy, proxying
from tests.make import Authority, authority
from uploader.sandbox import RunningSandbox

ROWS: Final = 20
PASSWORD: Final = "pw-4711"
RUN: Final = ("run", "people.csv", "-vv", "--set", "retry.outage_timeout=300ms", "--summary", "summary.json")
ADVICE: Final = (
    "Correct api.proxy, or HTTPS_PROXY where that is not set (http://user:password@host:3128), or ask who runs it. "
    "Then run again to resume."
)
ROUTE: Final = (
    "for longer than retry.outage_timeout (0.3 s). If it is reached through a proxy, set api.proxy; if the proxy has a "
    "certificate authority of its own, set api.ca_file too. Run again to resume."
)


AWAY: Final = (
    "for longer than retry.outage_timeout (0.3 s). Correct api.proxy, or HTTPS_PROXY where that is not set "
    "(http://user:password@host:3128), or ask who runs it. Run again to resume."
)


@dataclass(frozen=True)
class Company:
    """A service at `HOST` behind a proxy that asks for a password."""

    desk: Desk
    server: RunningSandbox
    authority: Authority
    stack: ExitStack

    def proxy(self, **more: object) -> Proxy:
        """Start a proxy that leads to the service."""
        port = int(self.server.url.rpartition(":")[2])
        return self.stack.enter_context(proxying(Proxy(port, **{"credentials": f"ann:{PASSWORD}", **more})))  # type: ignore[arg-type]  # the fields of Proxy

    def configure(self, *lines: str) -> None:
        """Write a configuration whose section `api` has *lines* as well."""
        self.desk.configure(f"https://{HOST}")
        file = self.desk.folder / "config.yaml"
        text = file.read_text(encoding="utf-8").replace("timeout: 20s", "\n  ".join(("timeout: 5s", *lines)))
        file.write_text(text, encoding="utf-8")
        # Some of the lines spell out a password.
        file.chmod(0o600)

    def books(self) -> dict[str, int]:
        return self.desk.books()


@pytest.fixture
def company(desk: Desk, sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> Iterator[Company]:
    made = authority(tmp_path, HOST, "127.0.0.1")
    made.file.rename(desk.folder / "company.pem")
    server = sandbox(rules(token=TOKEN, service_id=SERVICE, certificate=made.certificate))
    desk.people(ROWS)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"):
        desk.monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:
        yield Company(desk, server, made, stack)


def with_password(proxy: Proxy, password: str = PASSWORD) -> str:
    """Return the URL of *proxy* as users write it."""
    return f"{proxy.url.partition('//')[0]}//ann:{password}@{proxy.address}"


def assert_silent(desk: Desk, ended: Ended) -> None:
    """See to it that neither password nor token is in anything that was said or written."""
    written = [path.read_bytes() for path in desk.folder.rglob("*") if path.is_file() and path.name != "config.yaml"]
    for text in (ended.out.encode(), ended.err.encode(), *written):
        for secret in (PASSWORD, TOKEN, "YW5u", "Basic"):
            assert secret.encode() not in text


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_run_goes_through_the_proxy_of_the_configuration_and_trusts_its_authority(
    company: Company,
    secure: bool,  # noqa: FBT001 — one of the cases
) -> None:
    proxy = company.proxy(certificate=company.authority.certificate if secure else None)
    company.configure("proxy: ${WAY}", "ca_file: company.pem")
    company.desk.environ["WAY"] = with_password(proxy)

    ended = company.desk.type(*RUN)

    assert (ended.status, company.books()) == (0, {"sent": ROWS})
    assert names(company.server) == names_of(range(1, ROWS + 1))
    assert f"The service is reached through the proxy {proxy.url} (api.proxy)." in ended.err.splitlines()
    assert (
        f"The certificate authorities in {company.desk.folder / 'company.pem'} (api.ca_file) are trusted."
        in ended.err.splitlines()
    )
    assert proxy.refused == 0
    assert not any("access_token" in head.lower() or TOKEN in head for head in proxy.heads)
    assert_silent(company.desk, ended)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_run_goes_through_the_proxy_of_the_environment(company: Company, name: str) -> None:
    proxy = company.proxy()
    company.configure("ca_file: company.pem")
    company.desk.environ[name] = with_password(proxy)

    ended = company.desk.type(*RUN)

    assert (ended.status, company.books()) == (0, {"sent": ROWS})
    assert f"The service is reached through the proxy {proxy.url} ({name})." in ended.err.splitlines()
    assert_silent(company.desk, ended)


def test_a_run_trusts_the_authority_that_ssl_cert_file_names(company: Company) -> None:
    proxy = company.proxy()
    company.configure(f"proxy: {with_password(proxy)}")
    company.desk.environ["SSL_CERT_FILE"] = str(company.desk.folder / "company.pem")

    ended = company.desk.process(*RUN)

    assert (ended.status, company.books()) == (0, {"sent": ROWS})


def test_a_run_goes_directly_to_what_no_proxy_lists(company: Company) -> None:
    proxy = company.proxy()
    company.configure("ca_file: company.pem")
    company.desk.environ |= {"HTTPS_PROXY": with_password(proxy), "NO_PROXY": ".test"}

    ended = company.desk.type(*RUN)

    assert (ended.status, ended.stop) == (6, f"Stopped: the server's name can't be resolved, {ROUTE}")
    assert "The service is reached without a proxy." in ended.err.splitlines()
    assert proxy.heads == []


@pytest.mark.parametrize("sandboxed", [False, True], ids=["loopback", "--sandbox"])
def test_this_machine_is_never_reached_through_a_proxy(
    desk: Desk,
    sandbox: Callable[..., RunningSandbox],
    sandboxed: bool,  # noqa: FBT001 — one of the cases
) -> None:
    server = sandbox(rules())
    desk.configure(f"https://{HOST}" if sandboxed else server.url)
    desk.people(ROWS)
    with proxying(Proxy(int(server.url.rpartition(":")[2]))) as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            desk.environ[name] = proxy.url

        ended = desk.type(*RUN, "--set", f"api.proxy={proxy.url}", *(["--sandbox"] if sandboxed else []))

    assert (ended.status, desk.books()) == (0, {"sent": ROWS})
    assert proxy.heads == []


def test_a_rehearsal_asks_neither_for_the_proxy_nor_for_the_authority(desk: Desk) -> None:
    desk.configure(f"https://{HOST}")
    desk.people(ROWS)
    desk.environ["HTTPS_PROXY"] = "socks5://host:1080"

    ended = desk.type(*RUN, "--sandbox", "--set", "api.ca_file=nowhere.pem")

    assert (ended.status, desk.books()) == (0, {"sent": ROWS})


@pytest.mark.parametrize(
    ("more", "password", "status", "line"),
    [
        (
            {},
            "pw-4712",
            5,
            f"Stopped: the proxy asks for a user and a password that it knows (HTTP 407). {ADVICE}",
        ),
        ({"status": 403}, PASSWORD, 5, f"Stopped: the proxy refuses to connect to the server (HTTP 403). {ADVICE}"),
        ({"status": 502}, PASSWORD, 6, f"Stopped: the proxy can't reach the server (HTTP 502), {AWAY}"),
        ({"ends": True}, PASSWORD, 6, f"Stopped: the proxy ended the connection before the request, {AWAY}"),
    ],
    ids=["407", "403", "502", "no answer"],
)
def test_a_proxy_that_refuses_ends_the_run_and_no_row_is_in_doubt(
    company: Company, more: dict[str, object], password: str, status: int, line: str
) -> None:
    proxy = company.proxy(**more)
    company.configure("proxy: ${WAY}", "ca_file: company.pem")
    company.desk.environ["WAY"] = with_password(proxy, password)

    ended = company.desk.type(*RUN)

    assert (ended.status, ended.stop) == (status, line)
    assert (company.books(), company.desk.summary()["maybe_sent_twice"]) == ({"not_attempted": ROWS}, 0)
    assert company.server.sandbox.requests() == []
    assert "pw-4712" not in ended.err
    assert_silent(company.desk, ended)


def test_a_proxy_that_nobody_runs_is_named_as_what_is_away(company: Company) -> None:
    company.configure("proxy: http://127.0.0.1:1", "ca_file: company.pem")

    ended = company.desk.type(*RUN)

    assert (ended.status, ended.stop) == (6, f"Stopped: no connection to the proxy, {AWAY}")


def test_a_certificate_of_an_authority_that_nobody_named_is_told_with_both_settings(company: Company) -> None:
    company.configure(f"proxy: {with_password(company.proxy())}")

    ended = company.desk.type(*RUN)

    assert (ended.status, ended.stop) == (
        5,
        (
            "Stopped: the server's certificate can't be trusted. Correct api.base_url. If it is signed by a "
            "certificate authority of your own, set api.ca_file; if it is reached through a proxy, set api.proxy. "
            "Then run again to resume."
        ),
    )
    assert company.desk.summary()["maybe_sent_twice"] == 0


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist; name the file of the certificate authority, or delete the key"),
        (b"", "is empty; write the certificate of the authority into it"),
        (b" \n", "is empty; write the certificate of the authority into it"),
        (b"linnet", "holds no certificate that can be read; write one that begins with -----BEGIN CERTIFICATE-----"),
        (
            b"-----BEGIN CERTIFICATE-----\nbGlubmV0\n-----END CERTIFICATE-----\n",
            "holds no certificate that can be read; write one that begins with -----BEGIN CERTIFICATE-----",
        ),
    ],
    ids=["missing", "empty", "blank", "no PEM", "no certificate"],
)
def test_an_authority_that_can_not_be_read_is_told_before_anything_is_read(
    desk: Desk, command: str, content: bytes | None, words: str
) -> None:
    desk.configure(f"https://{HOST}")
    if content is not None:
        desk.write("bad.pem", content)

    ended = desk.type(command, "people.csv", "--set", "api.ca_file=bad.pem")

    assert (ended.status, ended.err) == (2, f"api.ca_file: {desk.folder / 'bad.pem'} {words}\n")


def test_a_folder_or_a_pipe_is_no_authority(desk: Desk) -> None:
    desk.configure(f"https://{HOST}")

    ended = desk.type("check", "people.csv", "--set", "api.ca_file=/dev/null")

    assert (ended.status, ended.err) == (
        2,
        "api.ca_file: /dev/null is not a file; name the file of the certificate authority\n",
    )


def test_an_authority_may_be_der_or_have_remarks_in_any_encoding(company: Company) -> None:
    proxy = company.proxy()
    pem = (company.desk.folder / "company.pem").read_text(encoding="ascii")
    company.desk.write("company.der", ssl.PEM_cert_to_DER_cert(pem))
    company.desk.write("remarks.pem", f"# 회사\n{pem}\n".encode("cp949"))
    company.configure(f"proxy: {with_password(proxy)}")

    for name in ("company.der", "remarks.pem"):
        ended = company.desk.type(*RUN, "--fresh", "--set", f"api.ca_file={name}")

        assert (ended.status, company.books()) == (0, {"sent": ROWS}), name


def test_the_check_says_how_the_service_is_reached_where_asked(company: Company) -> None:
    company.configure("proxy: ${WAY}", "ca_file: company.pem")
    company.desk.environ["WAY"] = f"http://ann:{PASSWORD}@proxy.example:3128"

    asked, unasked, quiet = (company.desk.type("check", "people.csv", *flags) for flags in (["-v"], [], ["-v", "-q"]))

    assert asked.err.splitlines()[:2] == [
        "The service is reached through the proxy http://proxy.example:3128 (api.proxy).",
        f"The certificate authorities in {company.desk.folder / 'company.pem'} (api.ca_file) are trusted.",
    ]
    assert "proxy" not in unasked.err + quiet.err
    assert_silent(company.desk, asked)


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_proxy_of_the_environment_that_can_not_be_used_is_told_before_anything_is_read(
    desk: Desk, command: str
) -> None:
    desk.configure(f"https://{HOST}")
    desk.environ["HTTPS_PROXY"] = f"socks5://ann:{PASSWORD}@host:1080"

    ended = desk.type(command, "people.csv")

    assert (ended.status, ended.err) == (
        2,
        (
            "the variable HTTPS_PROXY is a SOCKS proxy, which is not supported; name an HTTP proxy, as "
            "http://host:3128; or name a proxy in api.proxy, or the service's host in NO_PROXY\n"
        ),
    )


def test_the_command_that_explain_prints_takes_the_same_way(company: Company) -> None:
    company.configure("proxy: ${WAY}", "ca_file: company.pem")
    company.desk.environ |= {"WAY": f"http://ann:{PASSWORD}@proxy.example:3128", "HTTPS_PROXY": "http://other:1"}

    ended = company.desk.type("explain", "people.csv", "--row", "1", "--json")

    assert ended.status == 0
    way = (
        '--proxy http://proxy.example:3128 --proxy-user "$PROXY_USER:$PROXY_PASSWORD" '
        f"--cacert {company.desk.folder / 'company.pem'} -H "
    )
    assert way in json.loads(ended.out)["curl"]
    assert_silent(company.desk, ended)
