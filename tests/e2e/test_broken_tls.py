"""Wait where TLS breaks in mid-run: a balancer's trouble, and no reason to stop a run that was served before."""

import json
import math
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
import trustme

from tests.command import Desk, names_of

ROWS: Final = 40
RUN: Final = (
    *("run", "people.csv", "--summary", "summary.json", "--set", "rate.concurrency=2", "--set", "api.timeout=10s"),
    *("--set", "retry.attempts=5", "--set", "retry.outage_timeout=5m"),
)
ACCEPTED: Final = b'{"status":true,"code":"20000","message":"OK","data":true}'
TROUBLES: Final = {
    "an alert": bytes.fromhex("15030300020228"),
    "a plain 503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "another certificate": None,
}
"""What a balancer says to whoever begins TLS; None: it shows a certificate that nobody vouches for."""


class Balancer(socketserver.ThreadingTCPServer):
    """A service behind TLS, which breaks after so many rows, and is whole again after so many tries to connect."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, authority: trustme.CA, trouble: bytes | None, *, breaks_after: int, tries: float) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.known, self.strange = _context(authority), _context(trustme.CA())
        self.trouble = trouble
        self.breaks_after, self.tries = breaks_after, tries
        self.tried = 0
        self.stored: dict[str, object] = {}

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"

    @property
    def is_broken(self) -> bool:
        return len(self.stored) >= self.breaks_after and self.tried < self.tries


def _context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


class _Connection(socketserver.BaseRequestHandler):
    server: Balancer

    def handle(self) -> None:
        with suppress(OSError):
            if not self.server.is_broken:
                with self.server.known.wrap_socket(self.request, server_side=True) as secure:
                    self._serve(secure)
                return
            self.server.tried += 1
            if self.server.trouble is None:
                self.server.strange.wrap_socket(self.request, server_side=True).close()
            else:
                self.request.recv(65_536)
                self.request.sendall(self.server.trouble)

    def _serve(self, secure: ssl.SSLSocket) -> None:
        """Accept one row after another, as long as there is no trouble."""
        with secure.makefile("rb") as heard:
            while not self.server.is_broken:
                length = 0
                while (line := heard.readline()) not in {b"", b"\r\n"}:
                    name, _, value = line.lower().partition(b":")
                    length = int(value) if name == b"content-length" else length
                if not length:
                    return
                row = json.loads(heard.read(length))
                self.server.stored[row["identity"]["external_id"]] = row["user_properties"]["df_name"]
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ACCEPTED)}\r\n\r\n"
                secure.sendall(head.encode() + ACCEPTED)


@pytest.fixture
def authority(desk: Desk, tmp_path: Path) -> trustme.CA:
    """Return an authority that the command trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    desk.environ["SSL_CERT_FILE"] = str(tmp_path / "authority.pem")
    return authority


@contextmanager
def serving(balancer: Balancer) -> Iterator[Balancer]:
    with balancer:
        thread = threading.Thread(target=balancer.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield balancer
        finally:
            balancer.shutdown()
            thread.join()


@pytest.mark.long
@pytest.mark.parametrize("kind", TROUBLES)
def test_tls_that_breaks_in_mid_run_costs_a_pause_and_no_row(desk: Desk, authority: trustme.CA, kind: str) -> None:
    desk.people(ROWS)
    with serving(Balancer(authority, TROUBLES[kind], breaks_after=10, tries=2)) as balancer:
        desk.configure(balancer.url)

        run = desk.process(*RUN)

    assert (run.status, desk.books()) == (0, {"sent": ROWS}), run.last_line
    assert balancer.stored == names_of(range(1, ROWS + 1))
    assert balancer.tried == 2, "there was trouble"


@pytest.mark.long
def test_tls_that_stays_broken_ends_the_run_as_an_outage(desk: Desk, authority: trustme.CA) -> None:
    desk.people(ROWS)
    with serving(Balancer(authority, TROUBLES["an alert"], breaks_after=10, tries=math.inf)) as balancer:
        desk.configure(balancer.url)

        run = desk.process(*RUN, "--set", "retry.outage_timeout=3s")

    assert (run.status, run.stop) == (
        6,
        (
            "Stopped: no TLS connection can be made with this server, for longer than retry.outage_timeout (3 s). "
            "If it is reached through a proxy, set api.proxy; if the proxy has a certificate authority of its own, set "
            "api.ca_file too. Run again to resume."
        ),
    )
    assert desk.books() == {"sent": len(balancer.stored), "not_attempted": ROWS - len(balancer.stored)}


@pytest.mark.long
@pytest.mark.parametrize("kind", TROUBLES)
def test_tls_that_is_broken_from_the_start_stops_the_run(desk: Desk, authority: trustme.CA, kind: str) -> None:
    desk.people(ROWS)
    with serving(Balancer(authority, TROUBLES[kind], breaks_after=0, tries=math.inf)) as balancer:
        desk.configure(balancer.url)

        run = desk.process(*RUN)

    assert (run.status, desk.books()) == (5, {"not_attempted": ROWS})
    assert "set api.ca_file" in run.last_line
    assert run.stop.endswith("set api.proxy. Then run again to resume.")
