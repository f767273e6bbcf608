"""An HTTP server that keeps each request as it came, and answers all of them with one body."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request, byte for byte."""

    method: str
    # Path and query as they stand in the request line.
    target: str
    # Names in lower case.
    headers: dict[str, str]
    body: bytes


class Recorder:
    """The server, on a port of its own."""

    def __init__(self, answer: bytes, status: int = 200) -> None:
        """Take the JSON that every request is answered with."""
        self.requests: list[Recorded] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                recorder.requests.append(Recorded(self.command, self.requestline.split()[1], headers, body))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="recorder", daemon=True).start()
        return self

    def __exit__(self, *problem: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
