"""A proxy on loopback that is also whoever stands behind it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen
class Passed:
    """What reached the proxy: the request line's method and target, and headers in lower case."""

    method: str
    target: str
    headers: dict[str, str]


class Proxy(ThreadingHTTPServer):
    """Keeps what passes, and answers each POST with one ranking.

    Args:
        reply: The ranking.
        certificate: Shown inside a tunnel.
    """

    daemon_threads = True

    def __init__(self, reply: Any, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.passed: list[Passed] = []
        self.reply = json.dumps(reply).encode()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)

    def address(self, user: str = "") -> str:
        """What stands in the variable; with a user, `name:password@` before the host."""
        return f"http://{user}127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may leave when it likes."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _keep(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.passed.append(Passed(self.command, self.path, headers))

    def do_CONNECT(self) -> None:
        self._keep()
        self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        inside = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.request = self.connection = inside
        self.rfile, self.wfile = inside.makefile("rb"), inside.makefile("wb")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self._keep()
        self.send_response(200)
        self.send_header("content-length", str(len(self.server.reply)))
        self.end_headers()
        self.wfile.write(self.server.reply)
        self.wfile.flush()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Print nothing."""


@contextmanager
def proxying(reply: Any, certificate: Path) -> Iterator[Proxy]:
    """A proxy for the length of a `with` block."""
    with Proxy(reply, certificate) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
