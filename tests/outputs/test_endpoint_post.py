"""A message to an endpoint ends in time, whatever the endpoint does, and says what it did without the URL's secret."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests.monitors import Manner, Monitor, monitor
from uploader.outputs.endpoint_post import EndpointMessage, EndpointPost, EndpointReply, EndpointRoute, NotifyEndpoint

SECRET = "/services/canary-4711?key=canary-4712"
DIRECT = EndpointRoute()
SOON = 0.6
MARGIN = 20.0
"""What a busy machine may take on top of it; without a limit, it would be 30 s."""


def message(url: str, *, suffix: str = "", route: EndpointRoute = DIRECT) -> EndpointMessage:
    return EndpointMessage(NotifyEndpoint("notify.url", url, route), b"{}", "application/json", suffix)


def reply_to(*messages: EndpointMessage, seconds: float = MARGIN) -> list[EndpointReply]:
    """Post *messages*, and return the replies that come within *seconds*."""
    post = EndpointPost(messages, seconds=seconds)
    post.start()
    try:
        return post.replies(time.monotonic() + seconds)
    finally:
        post.give_up()
        post.join(MARGIN)


def test_a_message_arrives_with_its_path_its_query_and_its_suffix() -> None:
    with monitor() as hook:
        replies = reply_to(message(f"{hook.url}{SECRET}"), message(f"{hook.url}/ping/", suffix="/fail"))

    assert [(reply.words, reply.is_success) for reply in replies] == [("answered 200", True)] * 2
    assert [one.path for one in hook.received] == [SECRET, "/ping/fail"]


@pytest.mark.parametrize(
    ("manner", "words"),
    [
        ("redirects", "answered 307, a redirect, which is not followed"),
        ("fails", "answered 500"),
    ],
)
def test_an_answer_that_is_no_success_is_a_failure(manner: Manner, words: str) -> None:
    with monitor(manner) as hook:
        (reply,) = reply_to(message(f"{hook.url}{SECRET}"))

    assert (reply.words, reply.is_success) == (words, False)
    assert [one.path for one in hook.received] == [SECRET]


@pytest.mark.parametrize("manner", ["hangs", "drips", "drips its handshake"])
def test_an_endpoint_that_takes_its_time_is_given_up_in_time(manner: Manner) -> None:
    with monitor(manner) as hook:
        began = time.monotonic()
        (reply,) = reply_to(message(f"{hook.url}{SECRET}"), seconds=SOON)
        took = time.monotonic() - began

    assert hook.connections == 1
    assert (reply.words, reply.is_success) == ("did not answer in time", False)
    assert took < MARGIN


@pytest.mark.parametrize("manner", ["hangs", "drips", "drips its handshake"])
def test_the_thread_of_a_message_that_was_given_up_ends(manner: Manner) -> None:
    def posting() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name == "notification"]

    with monitor(manner) as hook:
        reply_to(message(f"{hook.url}{SECRET}"), seconds=SOON)

        assert posting() == []


def test_a_name_service_that_does_not_answer_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(MARGIN) and [])
    post = EndpointPost([message("http://monitor.example/x")], seconds=SOON)
    post.start()

    (reply,) = post.replies(time.monotonic() + SOON)

    over.set()
    post.join(MARGIN)
    assert (reply.words, reply.is_success) == ("did not answer in time", False)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA) -> Callable[[str], ssl.SSLContext]:
    def issued(host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(context)
        return context

    return issued


def refusal(hook: Monitor, route: EndpointRoute = DIRECT) -> str:
    (reply,) = reply_to(message(f"{hook.url}{SECRET}", route=route))
    assert not reply.is_success
    assert hook.received == []
    return reply.words


def test_a_certificate_that_nobody_vouches_for_gets_nothing(certificate: Callable[[str], ssl.SSLContext]) -> None:
    with monitor(trust=certificate("127.0.0.1")) as hook:
        assert refusal(hook).startswith("has a certificate that can't be verified (")


def test_a_certificate_for_another_host_gets_nothing(
    certificate: Callable[[str], ssl.SSLContext], authority: trustme.CA
) -> None:
    with monitor(trust=certificate("monitor.example")) as hook, authority.cert_pem.tempfile() as file:
        words = refusal(hook, EndpointRoute(ca_file=Path(file)))

    assert "not valid for '127.0.0.1'" in words


def test_an_authority_of_its_own_is_trusted(
    certificate: Callable[[str], ssl.SSLContext], authority: trustme.CA
) -> None:
    with monitor(trust=certificate("127.0.0.1")) as hook, authority.cert_pem.tempfile() as file:
        (reply,) = reply_to(message(hook.url, route=EndpointRoute(ca_file=Path(file))))

    assert reply.is_success
    assert len(hook.received) == 1


def test_a_refused_connection_is_a_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        (reply,) = reply_to(message(f"http://127.0.0.1:{unused.getsockname()[1]}{SECRET}"))

    assert (reply.words, reply.is_success) == ("can't be reached (Connection refused)", False)


def test_an_answer_that_is_not_http_is_a_failure() -> None:
    def greet(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"220 mail ready\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=greet, args=(server,), daemon=True).start()
        (reply,) = reply_to(message(f"http://127.0.0.1:{server.getsockname()[1]}{SECRET}"))

    assert not reply.is_success
    assert "canary" not in reply.words


def test_what_is_said_of_an_endpoint_has_its_host_and_not_its_secret() -> None:
    post = message(f"https://monitor.example{SECRET}")

    assert post.endpoint.name == "notify.url (monitor.example)"
    assert "canary" not in repr(post)


def test_an_https_proxy_is_said_to_be_no_way() -> None:
    (reply,) = reply_to(message("https://monitor.example/x", route=EndpointRoute("https://127.0.0.1:1")))

    assert reply.words == "can't be reached through an https:// proxy"


def test_a_proxy_is_asked_for_a_tunnel() -> None:
    asked: list[bytes] = []

    def refuse(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            asked.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse, args=(server,), daemon=True).start()
        route = EndpointRoute(f"http://127.0.0.1:{server.getsockname()[1]}", "Basic canary-4713")
        (reply,) = reply_to(message(f"https://monitor.example{SECRET}", route=route))

    assert asked[0].startswith(b"CONNECT monitor.example:443 HTTP/1")
    assert b"Proxy-Authorization: Basic canary-4713" in asked[0]
    assert b"canary-4711" not in asked[0]
    assert not reply.is_success
    assert "canary" not in reply.words
