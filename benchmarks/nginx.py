"""Serve the API's success reply with nginx, on loopback: a server that costs its clients nothing."""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PATH: Final = "/api/v1/user-profile"
_SECONDS: Final = 10.0

_CONF: Final = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /status {{ stub_status; }}
        location = /api/v1/user-profile {{
            add_header X-Rate-Limit-Limit 1m always;
            add_header X-Rate-Limit-Remaining 9999 always;
            add_header X-Rate-Limit-Reset 4102444800 always;
            return 200 '{{"status": true, "code": "20000", "message": "OK", "data": true}}';
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A server that is up: its base *url*, its *version*."""

    url: str
    version: str

    @property
    def address(self) -> str:
        """Where a profile is posted to."""
        return f"{self.url}{PATH}?service_id=bench"

    def requests(self) -> int:
        """Return how many requests it has counted, this question among them."""
        with urllib.request.urlopen(f"{self.url}/status", timeout=_SECONDS) as reply:  # noqa: S310 — loopback
            text = reply.read().decode("ascii")
        counted = re.search(r"^ \d+ \d+ (\d+) $", text, re.MULTILINE)
        return int(counted[1]) if counted else 0


def program() -> str | None:
    """Return the path of nginx, which may be kept where only administrators look; None if it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Nginx]:
    """Serve on a free port with one worker while the context lasts; what nginx writes goes to *folder*.

    Raises:
        SystemExit: it does not start; shows what it said.
    """
    binary, port = program() or "nginx", _free_port()
    conf = folder / "nginx.conf"
    conf.write_text(_CONF.format(folder=folder, port=port), encoding="utf-8")
    process = subprocess.Popen([binary, "-p", str(folder), "-c", str(conf), "-e", "stderr"], stderr=subprocess.PIPE)
    try:
        _wait_for(port, process)
        yield Nginx(f"http://127.0.0.1:{port}", version_of(binary))
    finally:
        process.terminate()
        process.communicate()


def version_of(binary: str) -> str:
    """Return the version that the nginx at *binary* tells."""
    output = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False).stderr
    return output.strip().rpartition("/")[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    process.terminate()
    _, said = process.communicate()
    sys.exit(f"nginx does not start: {said.decode(errors='replace').strip()}")
