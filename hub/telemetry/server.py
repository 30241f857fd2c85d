"""`/metrics`, `/healthz` and `/readyz` of a role, on a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from hub.telemetry.telemetry import Telemetry

Probe = Callable[[], tuple[bool, str]]
"""Whether all is well, and a word about it."""


class Served:
    """A running server."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        """Start to serve."""
        self._server = server
        self.port: int = server.server_address[1]
        threading.Thread(target=server.serve_forever, name="telemetry", daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def serve(telemetry: Telemetry, host: str, port: int, health: Probe, ready: Probe) -> Served:
    """Serve on `port`, 0 for a free one; OSError when it is taken."""

    class Handler(BaseHTTPRequestHandler):
        """Answers three paths."""

        def do_GET(self) -> None:
            """Answer."""
            path, _, query = self.path.partition("?")
            if path == "/metrics":
                # As prometheus_client's own server takes it: all there is takes 30 ms to write.
                names = parse_qs(query).get("name[]")
                registry = telemetry.registry.restricted_registry(names) if names else telemetry.registry
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif path in ("/healthz", "/readyz"):
                good, word = (health if path == "/healthz" else ready)()
                self._answer(200 if good else 503, "text/plain; charset=utf-8", f"{word}\n".encode())
            else:
                self._answer(404, "text/plain; charset=utf-8", b"/metrics, /healthz, /readyz\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            # Whoever asked may have hung up meanwhile.
            with suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is no news."""

    return Served(ThreadingHTTPServer((host, port), Handler))
